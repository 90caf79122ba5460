// The screens of the shop.

import { order, orders } from './order.js';
import { shop } from './shop.js';
import { choreography } from './choreography.js';
import { h, show } from './dom.js';
import { questions } from './questions.js';
import { route } from './router.js';
import { workshopUrl } from './live.js';

const main = document.getElementById('main');

/** Only a shop with a Workshop has its file. */
function workshop() {
  let leave, over = false;
  import('./workshop.js').then(({ workshop }) => { if (!over) leave = workshop(main); }, (error) => { if (!over) show(main, h('section', { class: 'empty' }, h('h1', null, 'The Workshop did not load'), h('p', null, error.message), h('button', { onclick: () => location.reload() }, 'Try again'))); });
  return () => {
    over = true;
    leave?.();
  };
}

route(main, {
  shop: () => shop(main),
  orders: (id, address) => (id ? order(main, id, address) : orders(main)),
  choreography: () => choreography(main),
  questions: (id, address) => questions(main, id, address),
  ...(workshopUrl && { workshop }),
}, 'shop');
// What is broken on purpose says so on every screen.
if (workshopUrl) import('./workshop.js').then(({ tellFaults }) => tellFaults(), () => {});
