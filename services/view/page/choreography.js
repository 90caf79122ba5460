// The choreography as it happens: services where the registry of topics has them, and birds that
// leave one service and settle at the next.

import { h, s, show, isStill } from './dom.js';
import { follow, now, report, theBatons, theTopology } from './live.js';
import { bird, causedBy, fly } from './picture.js';
import { clock, count, few, mark, place, short, span, statusName, tone } from './words.js';

/** Above so many flights in a beat, a flock flies with their number. */
const BIRDS_MAX = 8;
/** Above so many transitions a second, the view sends their numbers. */
const SINGLES = 20;
const BEAT_MS = 350;
const FLIGHT_MS = 1100;
/** How often the view is asked what waits where. */
const WAITS_MS = 1000;
/** So many events are told. */
const LOG_MAX = 24;
/** A rate that follows what happens within about two seconds. */
const SMOOTH = 0.2;

/** Who is in the picture: the services, those who ask them, and those outside. */
function cast(topology) {
  const services = topology.services.filter(({ optional }) => !optional);
  return ['customer', ...services.map(({ name }) => name), 'catalog'];
}

/** Who sends to whom, with the topics between them. */
function ways(topology, names) {
  const found = new Map();
  for (const { name: topic, writers, readers } of topology.topics) {
    if (topic.endsWith('.dlq')) continue;
    const from = writers.flatMap((writer) => writer === 'cdc' ? ['catalog'] : writer !== 'any' ? [writer]
      : topology.services.some(({ edge }) => edge.includes(topic)) ? ['customer'] : []);
    for (const a of from) for (const b of readers) {
      if (a === b || !names.includes(a) || !names.includes(b)) continue;
      const key = `${a} ${b}`;
      found.set(key, { a, b, topics: [...(found.get(key)?.topics ?? []), topic] });
    }
  }
  return found;
}

/** `quiet` is what stands in place of events while there are none. */
export function choreography(main, quiet = ['The sky is quiet. ', h('a', { href: '#/shop' }, 'Place an order'), ', and birds take off.']) {
  document.title = 'Choreography · Murmuration';
  const sky = s('svg', { class: 'sky', role: 'img', 'aria-label': 'Services and the events between them. The list beside it has the same events as text.' });
  const rate = h('strong', { class: 'number' }, '0');
  const log = h('ol', { class: 'log', 'aria-label': 'The latest events' });
  const table = h('details', { class: 'ways' });
  const waits = h('section', { class: 'batons', 'aria-label': 'What waits where' });
  show(main, h('div', { class: 'stage-head' }, h('h1', null, 'Choreography'), h('p', null, rate, ' events in the last second. The lit bird is the baton: it may write what happens next.')),
    h('div', { class: 'stage' }, sky, waits, h('section', { class: 'heard-last', 'aria-label': 'Events' }, h('p', { class: 'empty quiet-empty' }, quiet), log)), table);
  let topology, names = [], edges, at = {}, waiting = [], stop = () => {}, first = true, over = false;
  let lots = {}, batons = null, asking;
  const heard = [];

  function layout() {
    const { width, height } = sky.getBoundingClientRect();
    if (!width || !topology) return;
    sky.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const tall = height > width;
    at = Object.fromEntries(names.map((name, index) => {
      // Customers come from the left, or from above; the others stand around.
      const angle = (index / names.length) * 2 * Math.PI + (tall ? -Math.PI / 2 : Math.PI);
      return [name, { x: width / 2 + Math.cos(angle) * width * 0.37, y: height / 2 + Math.sin(angle) * height * 0.35 }];
    }));
    const middle = { x: width / 2, y: height / 2 };
    const paths = [...edges.values()].map((edge) => {
      const { a, b } = edge, from = at[a], to = at[b];
      // Bent to the middle, and a little to its right, so that both ways are seen.
      const bend = { x: (from.x + to.x) / 4 + middle.x / 2 + (to.y - from.y) * 0.08, y: (from.y + to.y) / 4 + middle.y / 2 - (to.x - from.x) * 0.08 };
      edge.rate ??= 0;
      edge.path = s('path', { class: `way of-${a}`, d: `M${from.x} ${from.y}Q${bend.x} ${bend.y},${to.x} ${to.y}` }, s('title'));
      return edge.path;
    });
    const nodes = names.map((name) => {
      const { waits_for: needs = [] } = topology.services.find((one) => one.name === name) ?? {};
      const outside = needs.filter((need) => need !== 'postgres').map((need) => (need === 'smtp' ? 'mail server' : need));
      return s('g', { class: `node of-${name}`, transform: `translate(${at[name].x} ${at[name].y})`, 'data-name': name },
        s('circle', { class: 'halo', r: 30 }), s('circle', { class: 'rock', r: 20 }), s('text', { class: 'held number', y: 5, 'text-anchor': 'middle' }), s('text', { class: 'age number', y: -35, 'text-anchor': 'middle' }),
        s('text', { class: 'name', y: 42, 'text-anchor': 'middle' }, name === 'catalog' ? 'catalog (CDC)' : name === 'customer' ? 'people' : name),
        outside.length > 0 && s('text', { class: 'outside', y: 57, 'text-anchor': 'middle' }, `asks the ${outside.join(' and the ')}`));
    });
    show(sky, s('g', null, paths), s('g', { class: 'flock' }), s('g', null, nodes));
    held();
  }

  /** How many batons each has, and the age of the oldest, if that is worth a look. */
  function held() {
    for (const node of sky.querySelectorAll('.node')) {
      const { name } = node.dataset, number = lots[name] ?? 0;
      const ms = Math.max(0, ...(batons?.batons ?? []).filter(({ holder }) => holder === name).map(({ waiting_ms }) => waiting_ms));
      node.classList.toggle('lit', number > 0);
      node.classList.toggle('late', ms > batons?.late_after_ms);
      node.querySelector('.held').textContent = number ? few(number) : '';
      node.querySelector('.age').textContent = ms >= 1000 ? span(ms) : '';
    }
  }

  /** Asks what waits where, as long as somebody looks. What has happened since then comes on top. */
  async function ask() {
    const found = document.hidden ? batons : await theBatons().catch(() => batons);
    if (over) return;
    if (found !== batons) {
      beat();
      batons = found;
      lots = {};
      for (const { holder, orders } of found.batons) lots[holder] = (lots[holder] ?? 0) + orders;
      held();
      drawWaits();
    }
    asking = setTimeout(ask, WAITS_MS);
  }

  function drawWaits() {
    const { batons: all, late_after_ms: late } = batons;
    const rows = () => [...waits.querySelectorAll('tbody tr')];
    // What is there stays there: somebody may have the focus in it.
    const isSame = rows().length === all.length && all.every(({ status }, index) => rows()[index].dataset.status === status);
    if (!isSame || !all.length) {
      show(waits, h('h2', null, 'What waits where'), !all.length ? h('p', { class: 'dim' }, 'No order waits: each has come to its end.')
        : h('p', { class: 'dim' }, `Who has the baton of open orders. One that has not moved for ${late / 1000} s is late.`),
        all.length > 0 && h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Orders that wait' }, h('table', null,
          h('thead', null, h('tr', null, ['Baton with', 'Status', 'Orders', 'Longest wait', 'Order'].map((name) => h('th', { scope: 'col' }, name)))),
          h('tbody', null, all.map(({ holder, status }) => h('tr', { 'data-status': status, 'data-holder': holder },
            h('th', { scope: 'row' }, h('strong', { class: `of-${holder}` }, holder)), h('td', null, statusName(status)), h('td', { class: 'number' }), h('td', { class: 'number' }),
            h('td', null, h('a', null, h('code')))))))));
    }
    rows().forEach((row, index) => {
      const { orders, oldest, waiting_ms: ms } = all[index], [, , number, time, order] = row.cells;
      number.textContent = count(orders);
      order.firstChild.href = `#/orders/${oldest}`;
      order.querySelector('code').textContent = short(oldest);
      row.toggleAttribute('data-late', ms > late);
      time.textContent = ms > late ? `${span(ms)}, late` : span(ms);
    });
  }

  const holderOf = (status) => topology.statuses.find((one) => one.status === status)?.holder ?? null;

  /** What an event sets in motion: its cause to its writer, the baton on, and word to all who act. */
  function flights(event) {
    const { writer, status } = event, by = causedBy(event, topology), holder = holderOf(status);
    const found = [];
    if (by) found.push({ a: by, b: writer, kind: 'word' });
    if (holder && holder !== writer) found.push({ a: writer, b: holder, kind: 'baton' });
    for (const { service, from, on } of topology.flows) {
      if (from !== event.topic || service === writer || service === holder || (on.length && !on.includes(status))) continue;
      if (!found.some(({ b }) => b === service)) found.push({ a: writer, b: service, kind: 'word' });
    }
    return found.filter(({ a, b }) => edges.has(`${a} ${b}`));
  }

  function take(event) {
    if (!topology) return;
    for (const name of [event.writer, causedBy(event, topology)]) {
      if (name && !names.includes(name)) {
        names.splice(-1, 0, name);
        edges = ways(topology, names);
        layout();
      }
    }
    const holder = holderOf(event.status), { count = 1, writer, version } = event;
    // Who writes had the baton, and passes it on; the next answer of the view sets right what is not.
    if (version > 1) lots[writer] = Math.max(0, (lots[writer] ?? 0) - count);
    if (holder) lots[holder] = (lots[holder] ?? 0) + count;
    tell(event);
  }

  function launch({ a, b, kind, number }) {
    const path = edges.get(`${a} ${b}`)?.path, flock = sky.querySelector('.flock');
    if (!path || !flock) return;
    path.classList.remove('heard');
    path.getBoundingClientRect();
    path.classList.add('heard');
    if (isStill()) return;
    const one = s('g', null, kind === 'baton' && s('circle', { class: `glow of-${a}`, r: 12 }), bird(a, kind),
      number > 1 && [s('g', { transform: 'translate(-13 7) scale(.7)' }, bird(a, kind)), s('g', { transform: 'translate(13 6) scale(.7)' }, bird(a, kind)), s('text', { class: 'number', y: -11, 'text-anchor': 'middle' }, number)]);
    flock.append(one);
    fly(one, path, FLIGHT_MS, () => one.remove());
  }

  function beat() {
    const since = performance.now() - 1000;
    while (heard.length && heard[0][0] < since) heard.shift();
    rate.textContent = count(heard.reduce((sum, [, number]) => sum + number, 0));
    // What was there before comes before.
    if (first) return;
    const events = waiting;
    waiting = [];
    events.forEach(take);
    // Nothing flies where it is not seen.
    const all = document.hidden ? [] : events.flatMap((event) => flights(event).map((flight) => ({ ...flight, number: event.count ?? 1 })));
    drawRates(all);
    if (!events.length) return;
    if (all.length <= BIRDS_MAX && all.every(({ number }) => number === 1)) all.forEach((flight, index) => setTimeout(() => over || launch(flight), (index * BEAT_MS) / all.length));
    else {
      const sums = new Map();
      for (const flight of all) {
        const key = `${flight.a} ${flight.b} ${flight.kind}`;
        sums.set(key, { ...flight, number: (sums.get(key)?.number ?? 0) + flight.number });
      }
      sums.forEach(launch);
    }
    held();
  }

  /** The more goes a way, the wider it is. */
  function drawRates(all) {
    const beats = 1000 / BEAT_MS, sums = new Map();
    for (const { a, b, number } of all) sums.set(`${a} ${b}`, (sums.get(`${a} ${b}`) ?? 0) + number);
    edges?.forEach((edge, key) => {
      const flown = sums.get(key) ?? 0;
      if (!edge.path || (!edge.rate && !flown)) return;
      edge.rate += (flown * beats - edge.rate) * SMOOTH;
      if (edge.rate < 0.05) edge.rate = 0;
      edge.path.style.strokeWidth = edge.rate ? `${1.4 + Math.min(Math.log2(1 + edge.rate), 8)}px` : '';
      edge.path.querySelector('title').textContent = `${edge.a} to ${edge.b}: ${edge.rate.toFixed(1)} a second`;
    });
  }

  /** The newest comes on top; the others stay as they are, and so does the focus. */
  function tell(event) {
    main.querySelector('.quiet-empty')?.setAttribute('hidden', '');
    log.prepend(h('li', null,
      s('svg', { viewBox: '-10 -8 20 16', width: 20, height: 16, 'aria-hidden': 'true' }, bird(event.writer)),
      h('span', null, h('strong', null, event.transition), event.count > 1 && h('strong', { class: 'number' }, ` × ${count(event.count)}`), h('span', { class: 'dim' }, ' by ', h('span', { class: `of-${event.writer}` }, event.writer))),
      h('a', { href: `#/orders/${event.order_id}?version=${event.version}`, 'aria-label': `order ${short(event.order_id)}, version ${event.version}` }, h('code', null, short(event.order_id))),
      h('span', { class: `dim ${tone(event.status)}` }, mark(event.status), ' ', statusName(event.status)),
      h('code', { class: 'dim' }, place(event)), h('time', { class: 'number dim', datetime: event.occurred_at }, clock(event.occurred_at))));
    while (log.childElementCount > LOG_MAX) log.lastElementChild.remove();
  }

  function drawTable() {
    show(table, h('summary', null, 'Who hears whom, as the registry of topics has it'),
      h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Topics' }, h('table', null, h('thead', null, h('tr', null, ['Topic', 'Carries', 'Written by', 'Read by'].map((name) => h('th', { scope: 'col' }, name)))),
        h('tbody', null, topology.topics.filter(({ name }) => !name.endsWith('.dlq')).map(({ name, value, writers, readers }) => h('tr', null,
          h('th', { scope: 'row' }, h('code', null, name)), h('td', null, value),
          h('td', null, writers.map((writer) => h('span', { class: `tag of-${writer}` }, writer === 'any' ? 'any process' : writer === 'cdc' ? 'Debezium' : writer))),
          h('td', null, readers.map((reader) => h('span', { class: `tag of-${reader}` }, reader)))))))));
  }

  const sizes = new ResizeObserver(layout);
  async function begin() {
    try {
      topology = await theTopology();
    } catch {
      if (!over) setTimeout(begin, 2000);
      return;
    }
    if (over) return;
    names = cast(topology);
    edges = ways(topology, names);
    drawTable();
    sizes.observe(sky);
    layout();
    const early = [];
    setTimeout(() => {
      // What was there before is told, and does not fly; what waits of it, the view knows.
      early.sort((x, y) => x.occurred_at.localeCompare(y.occurred_at)).forEach(take);
      lots = {};
      first = false;
      ask();
    }, 600);
    const hear = (events, number) => {
      heard.push([performance.now(), number]);
      waiting.push(...events);
    };
    stop = follow('/events', { latest: 200, singles: SINGLES }, {
      transition: (event) => (first && now() - new Date(event.occurred_at) > 3000 ? early.push(event) : hear([event], 1)),
      flock: ({ alike, transitions }) => hear(alike, transitions),
    });
  }
  begin();
  const beats = setInterval(beat, BEAT_MS);
  return () => {
    over = true;
    stop();
    clearInterval(beats);
    clearTimeout(asking);
    sizes.disconnect();
    report('questions', null);
  };
}
