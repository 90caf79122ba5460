// The screens, by the fragment of the address, so that each state has an address to share.

import { h, show } from './dom.js';
import { order, orders } from './order.js';
import { shop } from './shop.js';
import { choreography } from './choreography.js';

const main = document.getElementById('main');
let leave = () => {};
let here = '';

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [screen, id] = path.split('/');
  const address = new URLSearchParams(query);
  // Another version of the same order is another address on the same screen.
  const there = `${screen}/${id ?? ''}`;
  if (there === here && main.update?.(address)) return;
  leave();
  here = there;
  main.update = undefined;
  const found = { shop: () => shop(main), orders: () => (id ? order(main, id, address) : orders(main)), choreography: () => choreography(main) }[screen || 'shop'];
  for (const link of document.querySelectorAll('nav a')) {
    const is = link.hash.slice(2) === (screen || 'shop');
    is ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current');
  }
  if (!found) {
    document.title = 'Not found · Murmuration';
    show(main, h('section', { class: 'empty' }, h('h1', null, 'No bird has landed here'), h('p', null, 'This address leads nowhere. ', h('a', { href: '#/shop' }, 'Go to the shop.'))));
    leave = () => {};
    return;
  }
  leave = found() ?? (() => {});
  scrollTo(0, 0);
}

addEventListener('hashchange', () => {
  const moved = here;
  route();
  // A new screen begins at its beginning, for those who do not see it as well.
  if (moved !== here) main.focus({ preventScroll: true });
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
route();
