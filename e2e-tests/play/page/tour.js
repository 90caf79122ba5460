// Six steps from an order that flies by itself to a bug that is caught. Each is a run with its
// buttons pressed already, so it is the same for all who take the tour.

import { h, show } from './dom.js';
import { begin, isRecorded, on, play, run } from './run.js';

/** The run of the tour. At the same step of it, the same answer of the bank is lost. */
const SEED = 11;
const LOST = [{ step: 3600, name: 'lost-answer', service: 'payments' }];
const SKY = () => '#/choreography';

/** What is shown: from which step to which, at which pace; `order` counts the orders of the run. */
const STEPS = [
  { title: 'An order, and no conductor', from: 100, until: 1200, pace: 200, screen: SKY, next: 'See it record by record', words: [
    'A customer has ordered. No service tells another one what to do: each reads what has happened, and writes what it makes of it.',
    'The lit bird is the baton. At each moment, one service alone may write what happens next to an order: first orders, then payments, then orders again.'] },
  { title: 'The same order, record by record', from: 1200, until: 1200, pace: 200, screen: (ids) => `#/orders/${ids[0]}`, next: 'Let a process die', words: [
    'A lane for each service, a bird for each record that it wrote, and a line to what caused it. Inventory has answered on a topic of its own.',
    'Move the slider to see the order as it was at each version.'] },
  { title: 'A process dies in the middle', from: 2560, until: 8050, pace: 1000, screen: SKY, presses: [{ step: 2830, name: 'crash', service: 'payments' }], next: 'Lose an answer', words: [
    'The bank has captured the money, and payments dies before it could write that down. The order waits for it: only payments may go on.',
    'Payments starts again and finds in its database that it had begun to charge. It asks the bank once more, under the same idempotency key, and the bank answers as before. Other orders go on meanwhile.'] },
  { title: 'An answer that is lost', from: 3440, until: 6600, pace: 1000, screen: (ids) => `#/orders/${ids[2]}`, presses: LOST, next: 'Ask the auditor', words: [
    'Now the bank captures, and its answer gets lost on the way. Was the customer charged, or not? Payments cannot know.',
    'It asks again under the same key. The bank knows the key and says what it said before: one order, one capture. See attempt 2 on the way of the order.'] },
  { title: 'The auditor at work', from: 6600, until: 6600, pace: 1000, screen: (ids) => `#/orders/${ids[2]}`, presses: LOST, next: 'Switch a deliberate fault on', words: [
    'Beside the shop, an auditor looks at every record, the books, the bank’s statement and the mails. It shares no code with the services that decide. Each law below is one sentence; all of them hold.',
    'Would it notice a bug? Next comes the same run: the same seed, the same answer lost at the same step. But payments calls the bank without an idempotency key. That is a deliberate fault, one of the mutations of the simulation.'] },
  { title: 'Caught', from: 3440, until: 6600, pace: 1000, screen: (ids) => `#/orders/${ids[2]}`, presses: LOST, mutation: 'no-bank-key', next: 'End the tour', words: [
    'The answer is lost again, and payments asks again. Without the key the bank takes it for another charge, and captures twice.',
    'The law “one capture” turns red, with the story of the order: two lines of the bank for one order. The order itself looks well: without the auditor, only the customer would notice.',
    'This run has an address. Each person who opens it sees the same bug at the same step.'] },
];

export function tour(section) {
  if (isRecorded) return;
  let current = null;

  function draw() {
    if (current === null) {
      show(section, h('h2', null, 'Six steps to a caught bug'), h('p', { class: 'dim' }, 'A crash, an answer that is lost, and a law that turns red. It takes three minutes.'),
        h('div', { class: 'actions' }, h('button', { class: 'go', onclick: () => enter(0) }, 'Take the tour')));
      return;
    }
    const { title, words, next } = STEPS[current];
    show(section, h('p', { class: 'step-of' }, `Tour: ${current + 1} of ${STEPS.length}`), h('ol', { 'aria-hidden': 'true' }, STEPS.map((_, index) => h('li', { class: index <= current ? 'done' : '' }))),
      h('h2', { tabindex: -1 }, title), words.map((text) => h('p', null, text)),
      h('div', { class: 'actions' }, h('button', { class: 'go', onclick: () => (current + 1 < STEPS.length ? enter(current + 1) : leave()) }, next),
        current > 0 && h('button', { class: 'quiet', onclick: () => enter(current - 1) }, 'Back'), h('button', { class: 'quiet', onclick: () => enter(current) }, 'Again'),
        current + 1 < STEPS.length && h('button', { class: 'quiet', onclick: leave }, 'Leave the tour')));
  }

  async function enter(index) {
    current = index;
    draw();
    const { from, until, pace, screen, presses = [], mutation = '' } = STEPS[index];
    run.speed = pace;
    await begin({ seed: String(SEED), presses, mutation }, from);
    if (current !== index) return;
    const ids = [...new Set(run.entries.filter(({ kind }) => kind === 'transition').map(({ event }) => event.order_id))];
    const hash = screen(ids), heading = () => section.querySelector('h2').focus();
    // A new screen takes the focus; the words about it are to be read first.
    if (location.hash !== hash) addEventListener('hashchange', heading, { once: true });
    location.hash = hash;
    heading();
    if (until > from) play(until);
  }

  function leave() {
    current = null;
    draw();
    section.querySelector('button').focus();
  }

  // A run of one's own ends the tour, without a word about it.
  on('state', () => {
    if (current === null || String(run.seed) === String(SEED)) return;
    current = null;
    draw();
  });
  draw();
}
