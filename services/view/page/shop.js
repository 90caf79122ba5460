// The shop: products with their stock, a basket, and what becomes of the order.

import { h, s, show, hidden, isStill } from './dom.js';
import { get, post, follow, newKey, people, report, theTopology } from './live.js';
import { bird } from './picture.js';
import { count, mark, money, short, span, statusName, tone } from './words.js';

/** Survives a change of the screen. */
const basket = { lines: new Map(), customer: 'ada', note: '', key: null, placed: null };

export function shop(main) {
  document.title = 'Shop · Murmuration';
  const shelf = h('ul', { class: 'shelf', 'aria-label': 'Products' });
  const side = h('aside', { class: 'basket', 'aria-label': 'Basket' });
  // Where the basket is below the shelf.
  const toBasket = h('button', { class: 'go to-basket', hidden: true, onclick: () => { side.scrollIntoView({ behavior: isStill() ? 'auto' : 'smooth' }); side.querySelector('button, select')?.focus({ preventScroll: true }); } });
  show(main, h('div', { class: 'hello' }, h('h1', null, 'A shop without a conductor'),
    h('p', null, 'Each order flies from service to service by itself. Place one and watch it settle.')),
    h('div', { class: 'shop' }, shelf, side), toBasket);
  show(shelf, Array.from({ length: 6 }, () => h('li', { class: 'product ghost', 'aria-hidden': 'true' })));
  let products = null, customers = [], over = false, stopPlaced = () => {};

  // A change of the basket makes another request, and so another key.
  const change = () => { basket.key = null; drawBasket(); };

  function put(sku, quantity) {
    quantity > 0 ? basket.lines.set(sku, Math.min(quantity, 1000)) : basket.lines.delete(sku);
    change();
  }

  const picture = (product) => product.picture.trimStart().startsWith('<svg')
    ? h('img', { src: `data:image/svg+xml,${encodeURIComponent(product.picture)}`, alt: '', class: 'picture' })
    : h('span', { class: 'picture', 'aria-hidden': 'true' }, product.picture);

  const stock = ({ available, on_hand, reserved, active }) => {
    if (!active) return h('p', { class: 'stock none' }, 'not for sale at the moment');
    const words = available === 0 ? 'none left' : available === 1 ? 'the last piece' : `${count(available)} left`;
    return h('p', { class: `stock number ${available === 0 ? 'none' : available <= 5 ? 'few' : ''}` }, words,
      reserved > 0 && h('span', { class: 'dim' }, ` · ${count(reserved)} of ${count(on_hand)} on hold`));
  };

  function drawShelf() {
    const cards = products.map((product) => h('li', { class: 'product', 'data-sku': product.sku },
      picture(product), h('h2', null, product.name), h('p', { class: 'about' }, product.description), stock(product),
      h('div', { class: 'buy' }, h('strong', { class: 'number' }, money(product.price)),
        h('button', { disabled: !product.active, 'aria-label': `Add ${product.name}`, onclick: () => put(product.sku, (basket.lines.get(product.sku) ?? 0) + 1) }, 'Add'))));
    const focus = document.activeElement?.closest?.('.product')?.dataset.sku;
    if (cards.length) show(shelf, cards);
    else show(shelf, h('li', { class: 'empty' }, h('h2', null, 'The shelves are empty'), h('p', null, 'Products live in the catalog database and arrive by change data capture.')));
    if (focus) shelf.querySelector(`[data-sku="${CSS.escape(focus)}"] button`)?.focus();
  }

  function drawBasket() {
    if (basket.placed) return;
    const lines = [...basket.lines].map(([sku, quantity]) => ({ quantity, product: products?.find((one) => one.sku === sku) })).filter(({ product }) => product);
    const total = lines.reduce((sum, { quantity, product }) => sum + quantity * product.price.amount_minor, 0);
    const focus = side.contains(document.activeElement) ? document.activeElement.id : null;
    show(side, h('h2', null, 'Basket'),
      lines.length === 0 && h('p', { class: 'dim' }, 'Nothing in it yet.'),
      h('ul', { class: 'lines' }, lines.map(({ quantity, product: { sku, name, price } }) => h('li', null,
        h('span', null, name), h('span', { class: 'number' }, money({ ...price, amount_minor: quantity * price.amount_minor })),
        h('span', { class: 'pieces' },
          h('button', { class: 'quiet', id: `less-${sku}`, 'aria-label': `One ${name} less`, onclick: () => put(sku, quantity - 1) }, '−'),
          h('output', { class: 'number' }, quantity, hidden(` pieces of ${name}`)),
          h('button', { class: 'quiet', id: `more-${sku}`, 'aria-label': `One ${name} more`, onclick: () => put(sku, quantity + 1) }, '+'))))),
      h('form', { onsubmit: (event) => { event.preventDefault(); place(); } },
        h('label', null, 'Customer', h('select', { id: 'customer', onchange: (event) => { basket.customer = event.target.value; change(); } },
          customers.map(({ customer_id, name, active }) => h('option', { value: customer_id, selected: customer_id === basket.customer, disabled: !active }, name)))),
        h('label', null, 'Note ', h('input', { id: 'note', value: basket.note, maxlength: 500, placeholder: 'ring twice', autocomplete: 'off', oninput: (event) => { basket.note = event.target.value; basket.key = null; } })),
        h('button', { id: 'place', class: 'go', disabled: lines.length === 0 || customers.length === 0 }, 'Place the order', lines.length > 0 && h('span', { class: 'number' }, ` · ${money({ ...lines[0].product.price, amount_minor: total })}`)),
        h('p', { class: 'said', role: 'alert' })));
    const pieces = lines.reduce((sum, { quantity }) => sum + quantity, 0);
    toBasket.hidden = pieces === 0;
    if (pieces) show(toBasket, 'Basket ', h('span', { class: 'number' }, `${pieces} · ${money({ ...lines[0].product.price, amount_minor: total })}`));
    if (focus) document.getElementById(focus)?.focus();
  }

  async function place() {
    const button = side.querySelector('#place'), said = side.querySelector('.said');
    button.disabled = true;
    // The same key until the order is accepted: to send it again makes no second order.
    basket.key ??= newKey();
    const lines = [...basket.lines].map(([sku, quantity]) => ({ sku, quantity }));
    try {
      const { order_id } = await post('/orders', basket.key, { customer_id: basket.customer, lines, ...(basket.note && { note: basket.note }) });
      Object.assign(basket, { placed: { id: order_id, key: basket.key, steps: [], refused: null }, key: null, note: '' });
      basket.lines.clear();
      watch();
    } catch (error) {
      button.disabled = false;
      const wrong = error.problem.errors?.map(({ field, detail }) => `${field}: ${detail}`).join('; ');
      const again = error.status === 0 || error.status === 503;
      show(said, wrong ?? error.message, again && ' Place it again: it has the same key, so it is placed once.');
    }
  }

  const placed = h('div', { class: 'placed' });
  function watch() {
    show(side, placed);
    toBasket.hidden = true;
    drawPlaced();
    stopPlaced();
    const { placed: order } = basket;
    stopPlaced = follow(`/orders/${order.id}/events`, {}, {
      transition: (event) => {
        if (event.version <= order.steps.length) return;
        order.steps.push(event);
        drawPlaced();
        soon();
      },
      refused: (refused) => { order.refused = refused; drawPlaced(); },
    });
    placed.querySelector('h2')?.setAttribute('tabindex', '-1');
    placed.querySelector('h2')?.focus();
  }

  async function drawPlaced() {
    const { placed: order } = basket;
    const topology = await theTopology().catch(() => null);
    if (!topology || basket.placed !== order || over) return;
    const last = order.steps.at(-1), status = order.refused ? 'refused' : last?.status;
    const holder = status ? topology.statuses.find((one) => one.status === status)?.holder : 'orders';
    if (!holder) stopPlaced();
    const outcome = !holder && !order.refused ? await get(`/orders/${order.id}`).catch(() => null) : order.refused;
    if (basket.placed !== order || over) return;
    const cancel = holder && h('button', { class: 'quiet', id: 'cancel', onclick: async () => {
      cancel.disabled = true;
      await post(`/orders/${order.id}/cancellation`, newKey()).catch((error) => show(placed.querySelector('.said'), error.message));
    } }, 'Cancel it');
    show(placed, h('h2', { class: status ? tone(status) : 'open', 'data-status': status ?? 'accepted' }, h('span', { 'aria-hidden': 'true' }, status ? mark(status) : '…'), ' ', status ? statusName(status) : 'Accepted'),
      h('p', { class: 'dim' }, 'Order ', h('a', { href: `#/orders/${order.id}` }, h('code', null, short(order.id))), holder ? [' · ', h('strong', { class: `of-${holder}` }, holder), ' has the baton'] : last && [' · settled after ', h('span', { class: 'number' }, span(last.latency_ms))]),
      h('ol', { class: 'hops' }, order.steps.map((step) => h('li', null,
        s('svg', { viewBox: '-10 -8 20 16', width: 20, height: 16, 'aria-hidden': 'true' }, bird(step.writer)),
        h('span', null, step.transition), h('span', { class: 'number dim' }, span(step.latency_ms))))),
      outcome?.reasons.length > 0 && h('ul', { class: 'refusal' }, outcome.reasons.map(({ code, detail }) => h('li', null, h('strong', null, code), ' ', detail))),
      h('div', { class: 'actions' }, cancel, !holder && h('button', { class: 'go', id: 'another', onclick: () => { basket.placed = null; drawBasket(); } }, 'Place another one')),
      h('p', { class: 'dim small' }, 'Sent under the key ', h('code', null, short(order.key))),
      h('p', { class: 'said', role: 'status' }, status ? `The order is ${statusName(status).toLowerCase()}.` : 'Orders has taken the command.'));
  }

  async function look() {
    try {
      const [shown, known] = await Promise.all([get('/products?limit=100'), customers.length ? null : people()]);
      if (over) return;
      if (known) customers = known.customers;
      if (known && !customers.some(({ customer_id }) => customer_id === basket.customer)) basket.customer = customers[0]?.customer_id;
      const news = JSON.stringify(shown.products) !== JSON.stringify(products);
      products = shown.products;
      if (news) drawShelf();
      if (known) drawBasket();
    } catch (error) {
      // What is there stays: the line in the header says that it may be old.
      if (!products && !over) show(shelf, h('li', { class: 'empty' }, h('h2', null, 'The view does not answer'), h('p', null, error.message, ' The page tries again by itself.')));
    }
  }

  let timer;
  // Stock moves with orders, a moment after them.
  const soon = () => { clearTimeout(timer); timer = setTimeout(look, 300); };
  const stop = follow('/events', { singles: 4 }, { transition: soon, flock: soon });
  const polling = setInterval(look, 3000);
  look();
  drawBasket();
  if (basket.placed) watch();
  return () => {
    over = true;
    stop();
    stopPlaced();
    clearTimeout(timer);
    clearInterval(polling);
    report('questions', null);
  };
}
