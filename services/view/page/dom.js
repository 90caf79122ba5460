// Elements, without a library. No attribute `style`: the page's policy forbids it.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** An element of HTML; `on…` attributes are listeners, and absent values are left out. */
export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** An element of SVG. */
export const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Puts `children` in the place of what `element` has. */
export const show = (element, ...children) => element.replaceChildren(...children.flat(Infinity).filter(Boolean));

/**
 * One element per item, made once, so that what has the focus keeps it and a click finds it: `make`
 * answers it with what updates it.
 */
export function keyed(list, items, key, make) {
  const there = list.made ??= new Map();
  const wanted = new Set(items.map(key));
  for (const [name, { element }] of there) if (!wanted.has(name)) { element.remove(); there.delete(name); }
  items.forEach((item, index) => {
    const name = key(item);
    if (!there.has(name)) there.set(name, make(item));
    const { element, update } = there.get(name);
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    update(item);
  });
}

/** Whether people ask for less motion; asked each time, as they may change their mind. */
export const isStill = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** A text for screen readers alone. */
export const hidden = (text) => h('span', { class: 'hidden' }, text);
