// The page of the simulation: the view's pictures over a run, with a clock, faults and the auditor.

import { h, s, show } from './dom.js';
import { choreography } from './choreography.js';
import { order, orders } from './order.js';
import { route } from './router.js';
import { begin, facts, isRecorded, on, open, play, run } from './run.js';
import { deck } from './deck.js';
import { auditor, conditions } from './auditor.js';
import { tour } from './tour.js';

const main = document.getElementById('main');
const { at } = deck(document.getElementById('deck'));
auditor(document.getElementById('auditor'));
tour(document.getElementById('tour'));

const quiet = () => ['The sky is quiet. ', h('button', { class: 'quiet', onclick: () => play() }, 'Let the clock run'), ', and birds take off.'];


const again = route(main, {
  choreography: () => choreography(main, quiet()),
  orders: (id, address) => (id ? order(main, id, address) : orders(main, 'Let the clock run: customers order as the seed says.')),
}, 'choreography');

/** A service that is not at work shows it in the picture. */
function mark() {
  const nodes = main.querySelectorAll('.node'), found = nodes.length ? conditions() : null;
  for (const node of nodes) {
    const condition = found.get(node.dataset.name) ?? 'up';
    for (const name of ['down', 'frozen']) node.classList.toggle(name, condition === name);
    const said = node.querySelector('.condition'), words = condition === 'up' ? '' : condition;
    // Above the age of what waits there.
    const y = node.querySelector('.age').textContent ? '-50' : '-35';
    if (said && said.getAttribute('y') !== y) said.setAttribute('y', y);
    if ((said?.textContent ?? '') === words) continue;
    said?.remove();
    if (words) node.append(s('text', { class: 'condition', y, 'text-anchor': 'middle' }, words));
  }
}

main.addEventListener('click', (event) => {
  const name = event.target.closest?.('.node')?.dataset.name;
  if (name) at(name);
});

/** A run that cannot be made says why, and leads back. */
function trouble() {
  if (!run.trouble?.final || main.querySelector('.trouble')) return;
  show(main, h('section', { class: 'empty trouble' }, h('h1', null, 'This run cannot be made'), h('p', null, run.trouble.words),
    h('button', { class: 'go', onclick: () => begin({ seed: facts.usual.seed }).then(() => play()) }, 'Show the usual run')));
}

on('reset', again);
on('tick', mark);
// The picture is drawn again when the window changes.
new MutationObserver(mark).observe(main, { childList: true, subtree: true });
on('state', trouble);
open().then(() => {
  // A shared address shows its moment; without one, the run begins.
  if (!isRecorded && run.head === 0 && !run.trouble) play();
});
