// What the modules of the view's page ask and hear, answered from a run: in the place of the view's
// own live.js, which asks a server.

import { at, facts, msAt, on, past, run } from './run.js';

/** The time of the shop at the head, in milliseconds. */
export const now = () => at(msAt(run.head));

/** Nothing takes a command here: customers do as the seed says. */
export const post = null;
export const newKey = () => null;

/** What a run says is there as soon as it is asked for. */
export const report = () => {};

/** An answer that is no success. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail);
    Object.assign(this, { status, problem });
  }
}

const topology = facts.topology;
export const theTopology = async () => topology;

/** The service that an actor of the trace is a part of, or acts for. */
export function serviceOf(actor) {
  if (/^(supervisor|bank|relay)/.test(actor)) return 'payments';
  return topology.services.map(({ name }) => name).find((name) => actor.startsWith(name)) ?? null;
}

/** What a line of the trace says, without what stands beside it. */
function words(what, about) {
  const order = about?.length === 1 ? about[0] : null;
  const said = (order ? what.replaceAll(`${order}.`, '').replace(` ${order.slice(0, 8)}`, '') : what).replace(/^! /, '').replace(/@murmuration\.shop$/, '');
  return said.replace(/BankAnswered\((\w+)(?: \{ \w+: "([^"]*)".*)?\)$/, (_, answer, detail) => `${answer.toLowerCase()}${detail ? `, ${detail}` : ''}`)
    .replace(/BankUnknown\("(.*)"\)$/, '$1').replace('VoidConfirmed', 'voided').replace('RefundConfirmed', 'refunded');
}

const OUTSIDE = { bank: 'The bank: ', relay: 'Debezium: ' };

/** A line of the trace, for people. */
export const remarkOf = ({ ms, actor, what, about }) => ({
  at: new Date(at(ms)).toISOString(),
  service: OUTSIDE[actor] ? null : serviceOf(actor),
  lane: serviceOf(actor),
  what: `${OUTSIDE[actor] ?? ''}${words(what, about)}`,
  bad: what.startsWith('! ') || what === 'is dead',
  // What goes wrong and what is done about it, besides what is usual.
  unusual: !/^(calls the bank: \w+ \w+, attempt 1$|mail accepted)/.test(what) && !(actor === 'bank' && /BankAnswered|Confirmed/.test(what)),
});

/** What is known of an order at the head: as the view answers it, and with what went wrong. */
function known(id) {
  const ours = past().filter((entry) => (entry.event?.order_id ?? entry.order_id) === id);
  const steps = ours.filter(({ kind }) => kind === 'transition');
  const refusals = ours.filter(({ kind }) => kind === 'refusal');
  if (!steps.length) return refusals.at(-1)?.order ?? null;
  const order = steps.at(-1).order, holder = topology.statuses.find(({ status }) => status === order.status)?.holder;
  const until = holder ? Infinity : steps.at(-1).t;
  const remarks = past().filter((entry) => entry.kind === 'remark' && (entry.about ? entry.about.includes(id) : entry.t >= steps[0].t && entry.t <= until && serviceOf(entry.actor)));
  return { ...order, refusals: refusals.map(({ refusal }) => refusal), remarks: remarks.map((remark) => ({ ...remarkOf(remark), before: steps.find((step) => step.t >= remark.t)?.event.version ?? null })) };
}

/** A question to the view: an order, now or at a version. */
export async function get(path) {
  const [where, query] = path.split('?'), id = where.split('/').pop(), version = Number(new URLSearchParams(query).get('version'));
  const step = version && past().find((entry) => entry.kind === 'transition' && entry.event.order_id === id && entry.event.version === version);
  const found = version ? step?.order : known(id);
  if (!found) throw new Refusal(404, { detail: 'Nothing is known of this order yet.' });
  return found;
}

/** What waits where at the head, as the view answers it. */
export async function theBatons() {
  const last = new Map();
  for (const { kind, event } of past()) if (kind === 'transition') last.set(event.order_id, event);
  const batons = topology.statuses.filter(({ holder }) => holder).flatMap(({ status, holder }) => {
    const waiting = [...last.values()].filter((event) => event.status === status);
    const [first] = waiting.sort((x, y) => x.occurred_at.localeCompare(y.occurred_at));
    return first ? [{ status, holder, orders: waiting.length, oldest: first.order_id, waiting_ms: Math.max(0, now() - Date.parse(first.occurred_at)) }] : [];
  });
  return { late_after_ms: 5000, batons };
}

/** Follows the transitions of the run, or those of one order, until the answer is called. */
export function follow(path, first, listeners) {
  const id = path.match(/^\/orders\/([^/]+)\/events$/)?.[1];
  let over = false, told = false;
  // What comes before the earlier ones are told waits for them.
  const waiting = [];
  const take = (entry) => {
    if (over) return;
    const about = entry.event?.order_id ?? entry.order_id;
    if (entry.kind === 'transition' && (!id || about === id)) listeners.transition?.(entry.event);
    else if (id && about === id && entry.kind === 'refusal') entry.order ? listeners.refused?.(entry.order) : listeners.remark?.();
    else if (id && entry.kind === 'remark' && (!entry.about || entry.about.includes(id))) listeners.remark?.();
  };
  const earlier = past();
  const shown = id ? earlier : earlier.filter(({ kind }) => kind === 'transition').slice(-first.latest);
  const begin = setTimeout(() => {
    if (id || first.latest) shown.forEach(take);
    told = true;
    waiting.forEach(take);
  }, 0);
  const end = on('entry', (entry) => (told ? take(entry) : waiting.push(entry)));
  return () => {
    over = true;
    clearTimeout(begin);
    end();
  };
}
