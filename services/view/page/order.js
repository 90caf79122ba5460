// One order: who wrote what, when and where; what it was at each version; and all orders, to choose.

import { h, s, show, hidden, isStill, keyed } from './dom.js';
import { get, post, follow, now, theTopology, newKey, report } from './live.js';
import { bird, causedBy, fly } from './picture.js';
import { customer } from './session.js';
import { cause, clock, mark, money, place, short, span, statusMeans, statusName, tone } from './words.js';

const chip = (status) => h('span', { class: `chip ${tone(status)}` }, h('span', { 'aria-hidden': 'true' }, mark(status)), ' ', statusName(status));

function drawFlight(link, steps) {
  const last = steps.at(-1), width = steps.length * 20;
  show(link, h('code', null, short(last.order_id)), chip(last.status),
    h('span', { class: 'trail', 'aria-hidden': 'true' }, s('svg', { viewBox: `0 0 ${width} 16`, width, height: 16 }, steps.map((step, index) => s('g', { transform: `translate(${10 + index * 20} 9)` }, bird(step.writer))))),
    h('span', { class: 'number' }, span(last.latency_ms)), h('time', { class: 'number', datetime: last.occurred_at }, clock(last.occurred_at)));
}

/** The latest orders, as they go on; `begin` says how there come to be some. */
export function orders(main, begin = ['Place one in the ', h('a', { href: '#/shop' }, 'shop'), ' or with ', h('code', null, './shop order TEA=2'), '.']) {
  document.title = 'Orders · Murmuration';
  const known = new Map();
  const list = h('ol', { class: 'flights', 'aria-label': 'The latest orders' });
  const none = h('section', { class: 'empty' }, h('h2', null, 'No order has taken off yet'), h('p', null, begin));
  const form = h('form', { class: 'open-order', onsubmit: (event) => { event.preventDefault(); location.hash = `#/orders/${form.elements.id.value.trim()}`; } },
    h('label', null, 'Open an order by its id ', h('input', { name: 'id', required: true, pattern: '\\s*[0-9a-fA-F\\-]{32,36}\\s*', placeholder: '8dcdeb2e-6f10-…', autocomplete: 'off', spellcheck: 'false' })), h('button', null, 'Open'));
  show(main, h('h1', null, 'Orders'), form, h('div', { class: 'list' }, h('p', { class: 'loading' }, 'Looking for the latest orders …')));
  const body = main.querySelector('.list');
  let drawn = false;
  const draw = () => {
    drawn = false;
    const latest = [...known.values()].sort((a, b) => b.at(-1).occurred_at.localeCompare(a.at(-1).occurred_at)).slice(0, 40);
    keyed(list, latest, ([{ order_id }]) => order_id, ([{ order_id }]) => {
      const link = h('a', { class: 'flight-link', href: `#/orders/${order_id}` });
      let shown;
      return { element: h('li', null, link), update: (steps) => { if (steps !== shown) drawFlight(link, shown = steps); } };
    });
    const wanted = latest.length ? list : none;
    if (!wanted.isConnected) show(body, wanted);
  };
  const soon = () => { if (!drawn) { drawn = true; setTimeout(draw, 100); } };
  const stop = follow('/events', { latest: 200, singles: 60 }, {
    transition: (event) => {
      const steps = known.get(event.order_id) ?? [];
      if ((steps.at(-1)?.version ?? 0) < event.version) known.set(event.order_id, [...steps, event]);
      if (known.size > 500) known.delete(known.keys().next().value);
      soon();
    },
  });
  const mine = async ({ order_id }) => {
    const { transitions } = await get(`/orders/${order_id}/timeline`);
    if (transitions.length) known.set(order_id, transitions.map((step) => ({ ...step, order_id })));
    soon();
  };
  // A customer who has signed in hears of their own orders alone.
  if (customer) get(`/customers/${customer}/orders?limit=40`).then((list) => Promise.all(list.orders.map(mine))).catch(() => {});
  setTimeout(soon, 400);
  return stop;
}

/** What the table leads to from `status` if all goes well: the first step of each status. */
function ahead(status, steps) {
  const way = [];
  for (let step; (step = steps.find(({ from }) => from === status)); status = step.to) way.push(step);
  return way;
}

/** The lines of `now` that `before` does not have. */
function changed(now, before) {
  const old = new Map();
  for (const line of before) old.set(line, (old.get(line) ?? 0) + 1);
  return now.map((line) => {
    const left = old.get(line.replace(/,$/, '')) ?? 0;
    old.set(line.replace(/,$/, ''), left - 1);
    return left <= 0;
  });
}

const pretty = (value) => JSON.stringify(value, null, 2).split('\n');

export function order(main, id, address) {
  document.title = `Order ${short(id)} · Murmuration`;
  const state = { steps: [], bodies: new Map(), now: null, chosen: Number(address.get('version')) || null, topology: null, fresh: false, over: false };
  const head = h('div', { class: 'order-head' });
  const lanes = s('svg', { class: 'lanes', 'aria-hidden': 'true' });
  const steps = h('ol', { class: 'steps', 'aria-label': 'Transitions, oldest first' });
  const slider = h('input', { type: 'range', min: 1, step: 1, id: 'version', 'aria-describedby': 'at-version', oninput: () => choose(Number(slider.value)) });
  const at = h('p', { id: 'at-version', class: 'number' });
  const json = h('pre', { class: 'json', tabindex: 0, 'aria-label': 'The order at this version, as JSON' });
  const flight = h('section', { class: 'flight', 'aria-label': 'The way of the order' }, lanes, steps);
  const inspector = h('section', { class: 'inspector', 'aria-label': 'The order at a version' }, h('label', { for: 'version' }, 'Version'), slider, at, json);
  show(main, head, h('p', { class: 'loading' }, 'Looking for the order …'));
  let stop = () => {}, ticking;

  function choose(version) {
    const last = state.steps.length;
    state.chosen = version >= last ? null : Math.max(version, 1);
    history.replaceState(null, '', `#/orders/${id}${state.chosen ? `?version=${state.chosen}` : ''}`);
    inspect();
  }

  function inspect() {
    const last = state.steps.length, version = state.chosen ?? last;
    if (!last) return;
    Object.assign(slider, { max: last, value: version, disabled: last === 1 });
    const step = state.steps[version - 1];
    slider.setAttribute('aria-valuetext', `${version} of ${last}: ${step.transition}`);
    show(at, h('strong', null, `${version} of ${last}`), ` ${step.transition}, ${clock(step.occurred_at)}`, state.chosen ? '' : ' (now)');
    for (const [index, item] of [...steps.querySelectorAll('button.step')].entries()) {
      item.setAttribute('aria-current', index + 1 === version ? 'step' : 'false');
    }
    const body = state.bodies.get(version), before = state.bodies.get(version - 1);
    if (!body) return show(json, h('span', { class: 'loading' }, 'Looking back …'));
    if (body instanceof Error) return show(json, body.message);
    const lines = pretty(body);
    const is = before && !(before instanceof Error) ? changed(lines, pretty(before).map((line) => line.replace(/,$/, ''))) : [];
    show(json, lines.map((line, index) => (is[index] ? h('mark', null, line + '\n') : line + '\n')));
  }

  function drawHead() {
    const { now, topology } = state;
    const last = state.steps.at(-1);
    const status = last?.status ?? now.status;
    const holder = topology?.statuses.find((one) => one.status === status)?.holder;
    // Where no command is taken there is no button.
    const cancel = holder && post && h('button', { class: 'quiet', onclick: () => cancelOrder(cancel) }, 'Cancel the order');
    show(head,
      h('p', { class: 'eyebrow' }, 'Order ', h('code', null, id)),
      h('h1', { class: tone(status) }, h('span', { 'aria-hidden': 'true' }, mark(status)), ' ', statusName(status)),
      h('p', { class: 'means' }, statusMeans(status), holder ? [' ', h('strong', { class: `of-${holder}` }, holder), ' has the baton.'] : null),
      now?.customer_id && h('p', { class: 'facts' },
        h('span', null, 'for ', h('strong', null, now.customer_id)), now.total && h('strong', { class: 'number' }, money(now.total)),
        h('span', null, now.lines.map((line) => `${line.quantity} × ${line.name}`).join(', ')),
        last && h('span', { class: 'number' }, holder ? ['ends by ', clock(now.deadline)] : [span(last.latency_ms), ' from its request to its end'])),
      h('div', { class: 'actions' }, cancel, h('button', { class: 'quiet', onclick: (event) => copy(event.target) }, 'Copy the link')),
      h('p', { class: 'said', role: 'status' }));
  }

  const say = (words) => show(head.querySelector('.said'), words);

  async function cancelOrder(button) {
    button.disabled = true;
    try {
      await post(`/orders/${id}/cancellation`, newKey());
      say('Asked for. The holder of the baton acts on it.');
      // A refusal is no transition, so no event tells of it.
      setTimeout(look, 1000);
    } catch (error) {
      button.disabled = false;
      say(`Not asked for: ${error.message}`);
    }
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = 'Copied';
    } catch {
      say('The browser does not let the page copy. The link is in its address line.');
    }
  }

  const reasons = (list, name = 'refusal') => h('ul', { class: name }, list.map(({ check, code, detail }) => h('li', null, h('strong', null, code), ` ${detail} `, h('span', { class: 'dim' }, `(${check})`))));

  /** What went wrong on the way, and what was done about it; only a run that is told has remarks. */
  const remark = ({ at, service, lane, what, bad }) => h('li', { class: `remark ${bad ? 'bad' : ''}`, 'data-at': lane }, h('p', null, h('span', { 'aria-hidden': 'true' }, bad ? '⚡' : '·'), ' ', service && [h('strong', { class: `of-${service}` }, service), ' '], what), h('time', { class: 'number dim', datetime: at }, clock(at)));

  function drawSteps() {
    const { topology } = state;
    const remarks = [...(state.now?.remarks ?? [])];
    const remarksBefore = (version) => remarks.splice(0, remarks.filter(({ before }) => before !== null && before <= version).length).map(remark);
    const rows = state.steps.flatMap((step, index) => {
      const before = state.steps[index - 1];
      // The next writer may be behind the clock of the log, by an answer of it.
      const since = before ? Math.max(0, step.latency_ms - before.latency_ms) : 0;
      const body = state.bodies.get(step.version), old = state.bodies.get(step.version - 1);
      const news = body?.reasons?.slice(old?.reasons?.length ?? 0) ?? [];
      const by = causedBy(step, topology), from = step.causation_id && cause(step.causation_id);
      const failed = tone(step.status) === 'bad';
      return [...remarksBefore(step.version), h('li', { 'data-writer': step.writer, 'data-by': by, class: failed ? 'failed' : '' },
        h('button', { class: 'step', onclick: () => choose(step.version) },
          h('span', { class: 'what' }, h('strong', null, step.transition), ' ', chip(step.status)),
          h('span', { class: 'since number' }, before ? ['+', span(since)] : 'at once', hidden(before ? ' after the one before' : '')),
          h('span', { class: 'who' }, 'by ', h('strong', { class: `of-${step.writer}` }, step.writer), h('code', null, place(step))),
          from && h('span', { class: 'why' }, 'because of ', h('code', null, place(from)), by && [' from ', h('strong', { class: `of-${by}` }, by === 'customer' ? 'the customer' : by)])),
        news.length > 0 && reasons(news))];
    });
    rows.push(...remarks.map(remark));
    for (const refusal of state.now?.refusals ?? []) {
      rows.push(h('li', { 'data-writer': 'customer', class: 'refused' },
        h('div', { class: 'step' }, h('span', { class: 'what' }, h('strong', null, refusal.command), ' ', chip('refused')), h('span', { class: 'since number' }, clock(refusal.refused_at)),
          h('span', { class: 'who' }, 'refused by ', h('strong', { class: 'of-orders' }, 'orders'), refusal.order_version ? ` at version ${refusal.order_version}` : '')),
        reasons(refusal.reasons)));
    }
    const status = state.steps.at(-1)?.status;
    for (const [index, step] of (status ? ahead(status, topology.steps) : []).entries()) {
      rows.push(h('li', { 'data-writer': step.writer, class: 'pending' },
        h('div', { class: 'step' }, h('span', { class: 'what' }, h('strong', null, step.transition), index ? ' then' : ' next'),
          h('span', { class: 'since number', 'data-since': index ? null : state.steps.at(-1).occurred_at }),
          h('span', { class: 'who' }, index ? 'by ' : 'waiting for ', h('strong', { class: `of-${step.writer}` }, step.writer)))));
    }
    show(steps, rows);
  }

  /** The lanes beside the steps: their middle is where their row is. */
  function drawLanes() {
    const rows = [...steps.children];
    if (!rows.length) return;
    const names = ['customer', 'orders', 'inventory', 'payments'];
    for (const row of rows) for (const name of [row.dataset.writer, row.dataset.by, row.dataset.at]) if (name && !names.includes(name)) names.push(name);
    const box = flight.getBoundingClientRect(), top = steps.getBoundingClientRect().top - box.top;
    const width = lanes.getBoundingClientRect().width, height = box.height, lane = width / names.length;
    const x = (name) => lane * (names.indexOf(name) + 0.5);
    const y = (row) => row.offsetTop + Math.min(row.offsetHeight / 2, 40);
    lanes.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const slanted = lane < 66;
    const drawn = names.map((name) => [
      s('line', { class: `lane of-${name}`, x1: x(name), x2: x(name), y1: top, y2: height }),
      s('text', { class: `of-${name}`, ...(slanted ? { transform: `translate(${x(name) - 4} ${top - 10}) rotate(-40)` } : { x: x(name), y: top - 14, 'text-anchor': 'middle' }) }, name),
    ]);
    const wings = [], birds = [];
    let from = null, newest = null;
    const settled = rows.findLast(({ classList }) => !['remark', 'pending', 'refused'].some((kind) => classList.contains(kind)));
    for (const [index, row] of rows.entries()) {
      if (row.classList.contains('remark')) {
        if (row.dataset.at) birds.push(s('text', { class: row.classList.contains('bad') ? 'cross' : `of-${row.dataset.at}`, x: x(row.dataset.at), y: y(row) + 5, 'text-anchor': 'middle' }, row.classList.contains('bad') ? '⚡' : '·'));
        continue;
      }
      const { writer, by } = row.dataset, to = { x: x(writer), y: y(row) };
      const pending = row.classList.contains('pending'), refused = row.classList.contains('refused');
      if (refused) {
        birds.push(s('text', { class: 'cross', x: to.x, y: to.y + 5, 'text-anchor': 'middle' }, '✕'));
        continue;
      }
      let d = from ? `M${from.x} ${from.y}` : '', start = from;
      if (by) {
        const stop = { x: x(by), y: from ? (from.y + to.y) / 2 : Math.max(top + 4, to.y - 30) };
        d = d ? `${d}${curve(start, stop)}` : `M${stop.x} ${stop.y}`;
        birds.push(s('circle', { class: `perch of-${by}`, cx: stop.x, cy: stop.y, r: 4 }));
        start = stop;
      }
      if (start) d += curve(start, to);
      const path = d && s('path', { class: `wing of-${writer} ${pending ? 'pending' : ''}`, d });
      if (path) wings.push(path);
      const isLast = row === settled;
      const holds = pending && !rows[index - 1].classList.contains('pending');
      if (holds) birds.push(s('circle', { class: `baton of-${writer}`, cx: to.x, cy: to.y, r: 13 }));
      const node = pending ? s('circle', { class: `waits of-${writer}`, cx: to.x, cy: to.y, r: 6 }) : s('g', { transform: `translate(${to.x} ${to.y})` }, bird(writer, isLast ? 'last' : ''));
      birds.push(node);
      if (isLast) newest = { node, path };
      from = to;
    }
    show(lanes, drawn, wings, birds);
    if (state.fresh && newest?.path && !isStill()) fly(newest.node, newest.path, 700, () => {});
    state.fresh = false;
  }

  const curve = (from, to) => `C${from.x} ${from.y + (to.y - from.y) * 0.6},${to.x} ${to.y - (to.y - from.y) * 0.6},${to.x} ${to.y}`;

  function draw() {
    if (!state.topology || !state.now) return;
    if (!flight.isConnected) show(main, head, h('div', { class: 'order' }, flight, state.steps.length ? inspector : null));
    else if (state.steps.length && !inspector.isConnected) main.querySelector('.order').append(inspector);
    drawHead();
    drawSteps();
    drawLanes();
    inspect();
  }

  async function look() {
    try {
      const wanted = state.steps.filter(({ version }) => !state.bodies.has(version));
      const [now, topology] = await Promise.all([get(`/orders/${id}`), theTopology(), ...wanted.map(async ({ version }) => {
        state.bodies.set(version, await get(`/orders/${id}?version=${version}`).catch((error) => error));
      })]);
      Object.assign(state, { now, topology });
      draw();
    } catch (error) {
      if (!state.over) failed(error);
    }
  }

  function failed(error) {
    if (state.now || error.status === 404) return;
    show(main, h('section', { class: 'empty' }, h('h1', null, error.status === 400 ? 'This is no order id' : 'The view does not answer'), h('p', null, error.message), h('button', { onclick: () => { location.reload(); } }, 'Try again')));
  }

  let soon;
  stop = follow(`/orders/${id}/events`, {}, {
    transition: (event) => {
      if (event.version <= state.steps.length) return;
      state.steps.push(event);
      state.fresh = state.now !== null;
      clearTimeout(soon);
      soon = setTimeout(look, 20);
      // After the end, there is nothing to follow.
      theTopology().then(({ statuses }) => statuses.find(({ status }) => status === event.status)?.holder ?? stop(), () => {});
    },
    remark: () => {
      clearTimeout(soon);
      soon = setTimeout(look, 100);
    },
    refused: (refused) => {
      stop();
      theTopology().then((topology) => { Object.assign(state, { now: refused, topology }); draw(); });
    },
  });
  const missing = setTimeout(async () => {
    if (state.steps.length || state.now) return;
    const known = await get(`/orders/${id}`).catch((error) => error);
    if (known.status === 404) show(main, h('section', { class: 'empty' }, h('h1', null, 'No bird by this name yet'), h('p', null, 'The view knows no order ', h('code', null, id), '. If it was placed a moment ago, it will land here by itself.')));
    else if (known instanceof Error) failed(known);
  }, 1500);
  ticking = setInterval(() => {
    for (const waits of steps.querySelectorAll('[data-since]')) waits.textContent = span(Math.max(0, now() - new Date(waits.dataset.since)));
  }, isStill() ? 1000 : 100);
  const sizes = new ResizeObserver(() => drawLanes());
  sizes.observe(flight);
  main.update = (next) => {
    state.chosen = Number(next.get('version')) || null;
    inspect();
    return true;
  };
  return () => {
    state.over = true;
    stop();
    clearTimeout(soon);
    clearTimeout(missing);
    clearInterval(ticking);
    sizes.disconnect();
    report('questions', null);
  };
}
