// How the page speaks: money, times, statuses.

export const money = ({ amount_minor, currency }) =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).format(
    amount_minor / 10 ** new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits,
  );

export const count = (number) => new Intl.NumberFormat('en').format(number);

/** The same where there is room for four characters: 1.2K. */
export const few = (number) => new Intl.NumberFormat('en', { notation: 'compact' }).format(number);

export function span(ms) {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export const clock = (time) => new Date(time).toLocaleTimeString('en-GB');

/** The end of an id: ids of the same minute begin alike. */
export const short = (id) => `…${id.slice(-8)}`;

const STATUS = {
  requested: ['Requested', 'The order is there; its checks are under way.'],
  validated: ['Validated', 'Every check has passed; the payment is due.'],
  paid: ['Paid', 'The bank has captured the total.'],
  payment_declined: ['Payment declined', 'The bank said no.'],
  refund_due: ['Refund due', 'Cancelled after the payment: the money goes back.'],
  confirmed: ['Confirmed', 'Paid, and the goods leave.'],
  rejected: ['Rejected', 'A check has failed.'],
  cancelled: ['Cancelled', 'It has ended, and no money is held.'],
  refunded: ['Refunded', 'Cancelled, and the money went back.'],
  refused: ['Refused', 'The command changed nothing.'],
};

export const statusName = (status) => STATUS[status]?.[0] ?? status;
export const statusMeans = (status) => STATUS[status]?.[1] ?? '';

/** A mark beside a status, so that no meaning hangs on colour alone. */
export const mark = (status) =>
  ({ confirmed: '✓', rejected: '✕', cancelled: '✕', refused: '✕', payment_declined: '✕', refunded: '↩', refund_due: '↩' })[status] ?? '…';

export const tone = (status) =>
  status === 'confirmed' ? 'good' : ['rejected', 'cancelled', 'refused', 'payment_declined'].includes(status) ? 'bad' : ['refunded', 'refund_due'].includes(status) ? 'back' : 'open';

export const place = ({ topic, partition, offset }) => `${topic}/${partition}@${offset}`;

/** A `topic/partition/offset` in the page's form. */
export const cause = (id) => {
  const [offset, partition, ...topic] = id.split('/').reverse();
  return { topic: topic.reverse().join('/'), partition: Number(partition), offset: Number(offset) };
};
