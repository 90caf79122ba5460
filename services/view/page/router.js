// Screens by the fragment of the address, so that each state has an address to share.

import { h, show } from './dom.js';

/**
 * Shows the screen that the fragment names, now and whenever it changes. `screens` has by name what
 * draws one, given the rest of the path and the query; it answers what ends it. `home` is the first.
 * The answer draws the screen again, from its beginning.
 */
export function route(main, screens, home) {
  let leave = () => {}, here = '';

  function go(fresh) {
    const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
    const [screen, id] = path.split('/');
    const address = new URLSearchParams(query);
    // Another version of the same order is another address on the same screen.
    const there = `${screen}/${id ?? ''}`;
    if (!fresh && there === here && main.update?.(address)) return;
    leave();
    here = there;
    main.update = undefined;
    const found = screens[screen || home];
    for (const link of document.querySelectorAll('header nav a')) {
      const is = link.hash.slice(2) === (screen || home);
      is ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current');
    }
    if (!found) {
      document.title = 'Not found · Murmuration';
      show(main, h('section', { class: 'empty' }, h('h1', null, 'No bird has landed here'), h('p', null, 'This address leads nowhere. ', h('a', { href: `#/${home}` }, `Go to the ${home}.`))));
      leave = () => {};
      return;
    }
    leave = found(id, address) ?? (() => {});
  }

  addEventListener('hashchange', () => {
    const before = here;
    go();
    if (before === here) return;
    scrollTo(0, 0);
    // A new screen begins at its beginning, for those who do not see it as well.
    main.focus({ preventScroll: true });
  });
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
  });
  go();
  return () => go(true);
}
