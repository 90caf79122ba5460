// The Workshop: what breaks the shop on purpose, and what shows that it holds. It talks to the program that
// keeps the shop, and to the view about its views.

import { h, hidden, keyed, show } from './dom.js';
import { ask, get, report, workshopUrl } from './live.js';
import { clock, count, short, span } from './words.js';

const at = (path, method, body) => ask(workshopUrl + path, {
  method, ...(method && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) }),
});

/** Does `work` again `pause()` ms after it has ended, while the page is seen. */
function every(pause, work) {
  let timer, over = false, running = false, again = false;
  async function once() {
    clearTimeout(timer);
    if (running) { again = true; return; }
    running = true;
    if (!document.hidden) await work().catch(() => {});
    running = false;
    if (over) return;
    timer = setTimeout(once, again ? 0 : pause());
    again = false;
  }
  once();
  return { now: once, stop: () => { over = true; clearTimeout(timer); } };
}

let known = null, asking, changed = null;

/** Follows the switches, and says on every screen what is on. */
export function tellFaults() {
  if (asking) return;
  const line = h('p', { class: 'faults', role: 'status', hidden: true });
  document.querySelector('header.top').after(line);
  asking = every(() => (changed || known?.some(({ state }) => state !== 'off') ? 1000 : 3000), async () => {
    known = await at('/switches').then(({ switches }) => switches, () => null);
    const on = (known ?? []).filter(({ state }) => state !== 'off');
    line.hidden = on.length === 0;
    show(line, on.length > 0 && h('strong', null, 'On now'), on.map(({ title, state, seconds_left: left }, index) => [
      index ? ', ' : ' ', h('a', { href: '#/workshop' }, title), left ? h('span', { class: 'number' }, ` ${Math.ceil(left)} s`) : state === 'ending' ? ' (coming back)' : '']));
    changed?.();
  });
}

/** A button whose second click within three seconds does it. */
function sure(words, attributes, work) {
  let timer;
  const button = h('button', { ...attributes, onclick: () => {
    if (button.dataset.sure) {
      clearTimeout(timer);
      delete button.dataset.sure;
      show(button, words);
      return work(button);
    }
    button.dataset.sure = 'asked';
    show(button, 'Sure?');
    timer = setTimeout(() => { delete button.dataset.sure; show(button, words); }, 3000);
  } }, words);
  return button;
}

const bad = (text) => h('span', { class: 'bad' }, text);
const saying = () => h('p', { class: 'said', role: 'status' });
const words = (error) => error.problem?.errors?.map(({ field, detail }) => `${field} ${detail}`).join('; ') ?? error.message;

function switchCard({ name, title, does, watch, look, holds, seconds }) {
  const wanted = seconds && h('input', { type: 'number', min: 1, max: seconds.max, value: seconds.usual, 'aria-label': `Seconds of: ${title}` });
  const button = h('button', { class: 'go', onclick: turn, 'aria-label': `Switch on: ${title}` }), said = saying();
  const left = h('progress', { max: seconds?.usual ?? 1, 'aria-label': `Time left of: ${title}`, hidden: true });
  let state = 'off';
  async function turn() {
    button.disabled = true;
    show(said);
    try {
      if (state === 'off') {
        const lasts = wanted ? { seconds: Number(wanted.value) } : {};
        left.max = lasts.seconds ?? 1;
        await at(`/switches/${name}`, 'POST', lasts);
      } else await at(`/switches/${name}`, 'DELETE');
    } catch (error) {
      show(said, bad(words(error)));
      button.disabled = false;
    }
    asking.now();
  }
  const element = h('li', { class: 'fault', 'data-switch': name }, h('h3', null, title), h('p', { class: 'dim' }, does),
    h('dl', null, h('dt', null, 'Watch'), h('dd', null, watch, look !== 'workshop' && [' ', h('a', { href: `#/${look}` }, 'Look', hidden(`: ${title}`))]), h('dt', null, 'Must hold'), h('dd', null, holds)),
    h('div', { class: 'turn' }, button, wanted && h('label', null, 'for ', wanted, ' s'), left), said);
  const update = ({ state: next, seconds_left: remaining, last }) => {
    const was = state;
    state = next;
    element.dataset.state = state;
    button.disabled = state === 'ending' || (state === 'on' && !seconds);
    const does = state === 'off' ? (seconds ? 'Switch on' : 'Do it') : state === 'on' && seconds ? 'Switch off' : 'Coming back …';
    if (button.textContent !== does) { show(button, does); button.setAttribute('aria-label', `${does}: ${title}`); }
    if (wanted) wanted.parentElement.hidden = state !== 'off';
    left.hidden = !(state === 'on' && seconds);
    if (remaining) { left.max = Math.max(left.max, remaining); left.value = remaining; }
    if (state !== 'off') show(said, state === 'on' && seconds ? h('strong', { class: 'number' }, `On, ${Math.ceil(remaining)} s left`) : '');
    else if (last?.failed) show(said, bad(`It could not be done: ${last.failed}`));
    else if (last && (was !== 'off' || !said.textContent.includes(' '))) show(said, `Over since ${clock(Date.now() - last.seconds_ago * 1000)}.`);
  };
  return { element, update };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;
const place = (key) => (UUID.test(key ?? '') ? h('a', { href: `#/orders/${key}` }, h('code', null, short(key))) : h('code', null, key ?? 'none'));

/** Replays or discards letters, some at a time; `tell` hears how far it is, and `gone` has those that are done. */
async function settle(how, ids, gone, tell) {
  const failed = [];
  for (let done = 0; done < ids.length; done += 5) {
    tell(`${done} of ${ids.length} …`);
    const { letters } = await at(`/dead-letters/${how}`, 'POST', { ids: ids.slice(done, done + 5) });
    for (const letter of letters) letter.problem ? failed.push(letter) : gone.add(letter.id);
  }
  const past = how === 'replay' ? 'replayed' : 'discarded';
  tell(`${ids.length - failed.length} ${past}`, failed);
}

function letters(section) {
  const list = h('ul', { class: 'causes' }), said = saying(), none = h('p', { class: 'dim', hidden: true }, 'None waits: every record could be handled.');
  show(section, h('h2', null, 'Dead letters ', h('span', { class: 'number dim', id: 'letters' })), h('p', { class: 'dim' }, 'Records that a service could not handle: put back on their topic, or given up.'), none, list, said);
  const gone = new Set();
  const act = (how, ids) => async () => {
    const buttons = [...section.querySelectorAll('button')];
    for (const button of buttons) button.disabled = true;
    try {
      await settle(how, ids, gone, (words, failed = []) => show(said, words, failed.map(({ id, problem }) => bad(` ${id}: ${problem}.`))));
    } catch (error) {
      show(said, bad(words(error)));
    }
    for (const button of buttons) button.disabled = false;
    polling.now();
  };
  const card = ({ id, origin, since, key, value, cause, headers }) => h('li', { class: 'letter', 'data-letter': id },
    h('details', null, h('summary', null, h('code', null, origin), ' ', place(key), ' ', h('time', { class: 'dim number', datetime: since }, clock(since))),
      h('p', null, cause), h('pre', { class: 'json', tabindex: 0, 'aria-label': `The value of ${id}` }, value ?? 'no value'),
      h('p', { class: 'small dim' }, headers.map(([name, text]) => `${name}: ${text}`).join(' · '))),
    h('div', { class: 'actions' }, h('button', { class: 'quiet', 'data-act': 'replay', 'aria-label': `Replay ${id}`, onclick: act('replay', [id]) }, 'Replay'), sure('Discard', { class: 'quiet', 'data-act': 'discard', 'aria-label': `Discard ${id}` }, act('discard', [id]))));
  const make = (group) => {
    const inner = h('ul', { class: 'letters' }), head = h('div', { class: 'cause' });
    return { element: h('li', { 'data-service': group.service }, head, inner), update: ({ service, cause, count: number, letters }) => {
      if (head.dataset.shown !== `${number} ${letters.length}`) {
        head.dataset.shown = `${number} ${letters.length}`;
        const ids = letters.map(({ id }) => id);
        show(head, h('p', null, h('strong', { class: `of-${service}` }, service), ' ', h('span', null, cause), h('span', { class: 'dim number' }, ` · ${count(number)}`)),
          number > 1 && h('div', { class: 'actions' }, h('button', { class: 'quiet', 'data-all': 'replay', onclick: act('replay', ids) }, `Replay all ${ids.length}`), sure(`Discard all ${ids.length}`, { class: 'quiet', 'data-all': 'discard' }, act('discard', ids))));
      }
      keyed(inner, letters, ({ id }) => id, (letter) => ({ element: card(letter), update: () => {} }));
    } };
  };
  const polling = every(() => 4000, async () => {
    const { causes: all } = await at('/dead-letters');
    // An answer may be older than what was done meanwhile.
    for (const cause of all) {
      const left = cause.letters.filter(({ id }) => !gone.has(id));
      cause.count -= cause.letters.length - left.length;
      cause.letters = left;
    }
    const causes = all.filter((cause) => cause.count), number = causes.reduce((sum, cause) => sum + cause.count, 0);
    none.hidden = number > 0;
    section.querySelector('#letters').textContent = number || '';
    keyed(list, causes, ({ service, cause }) => `${service} ${cause}`, make);
  });
  return polling.stop;
}

const size = (bytes) => (bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function views(section) {
  const list = h('ul', { class: 'views' }), said = saying();
  show(section, h('h2', null, 'Lean views'), h('p', { class: 'dim' }, 'Folds of the log: dropped, or rebuilt while they serve.'), list, said);
  let busy = false;
  const act = (path, method) => async () => {
    show(said);
    await ask(path, { method }).catch((error) => show(said, bad(error.message)));
    polling.now();
  };
  const make = ({ name }) => {
    const state = h('p', { class: 'dim small number' }), bar = h('progress', { 'aria-label': `Rebuild of ${name}`, hidden: true });
    const drop = sure('Drop', { class: 'quiet', 'aria-label': `Drop ${name}` }, act(`views/${name}`, 'DELETE'));
    const rebuild = h('button', { class: 'quiet', 'data-act': 'rebuild', 'aria-label': `Rebuild ${name}`, onclick: act(`views/${name}/rebuild`, 'POST') }, 'Rebuild');
    return { element: h('li', { 'data-view': name }, h('div', null, h('strong', null, name), state, bar), h('div', { class: 'actions' }, rebuild, drop)), update: (view) => {
      const { rebuild: going, rebuilt, bytes } = view;
      list.querySelector(`[data-view="${name}"]`).dataset.state = going ? 'rebuilding' : view.state;
      bar.hidden = !going;
      rebuild.disabled = !!going;
      drop.disabled = view.state === 'dropped';
      if (going?.left !== null && going?.left !== undefined) Object.assign(bar, { max: going.records + going.left || 1, value: going.records });
      else bar.removeAttribute('value');
      show(state, going?.problem ? bad(going.problem)
        : going ? `${count(going.records)} records${going.records_per_second ? `, ${count(Math.round(going.records_per_second))} per second` : ''}${going.seconds_left ? `, ${Math.ceil(going.seconds_left)} s left` : ''}`
          : view.state === 'dropped' ? bad('dropped: what it answers is 503') : [size(bytes), rebuilt && ` · rebuilt at ${clock(rebuilt.at)}: ${count(rebuilt.records)} records in ${span(rebuilt.took_ms)}`]);
    } };
  };
  const polling = every(() => (busy ? 500 : 3000), async () => {
    const { views } = await get('views');
    busy = views.some(({ rebuild }) => rebuild);
    keyed(list, views, ({ name }) => name, make);
  });
  return polling.stop;
}

function audit(section) {
  const button = h('button', { class: 'go', id: 'audit', onclick: look }, 'Look at everything'), verdict = h('div', { class: 'verdict', role: 'status' });
  show(section, h('h2', null, 'The auditor'), h('p', { class: 'dim' }, 'Reads the log, the books, the bank, the mails and the views, and has no code of the services.'), h('div', { class: 'actions' }, button), verdict);
  let drawn, looking = false, asked = 0;
  async function look() {
    asked += 1;
    button.disabled = looking = true;
    await at('/audit', 'POST').catch((error) => show(verdict, bad(error.message)));
    asked += 1;
    polling.now();
  }
  const found = ({ order, sku, detail }) => h('li', null, order && [h('a', { href: `#/orders/${order}` }, 'order ', h('code', null, short(order))), ' '], sku && [h('code', null, sku), ' '], detail);
  const law = ({ name, statement, violations, found: all }) => h('li', { 'data-law': name }, h('p', { class: 'bad' }, h('span', { 'aria-hidden': 'true' }, '✕ '), h('strong', null, name), h('span', { class: 'number' }, ` · ${count(violations)}`)), h('p', { class: 'dim small' }, statement), h('ul', { class: 'found small' }, all.map(found)));
  function draw({ took_seconds: took, seconds_ago: ago, problem, verdict: said }) {
    if (drawn === took) return;
    drawn = took;
    if (problem) return show(verdict, h('p', { class: 'bad' }, `It could not look: ${problem}`));
    const broken = said.laws.filter(({ violations }) => violations), checks = said.laws.reduce((sum, { checked }) => sum + checked, 0);
    show(verdict,
      h('p', { class: `outcome ${broken.length ? 'bad' : 'good'}`, 'data-clean': broken.length ? null : true }, h('span', { 'aria-hidden': 'true' }, broken.length ? '✕ ' : '✓ '), broken.length ? `${count(said.violations)} violations of ${broken.length} ${broken.length === 1 ? 'law' : 'laws'}` : `All ${said.laws.length} laws hold`),
      h('p', { class: 'dim small number' }, `${count(said.orders)} orders, ${count(checks)} checks in ${took.toFixed(1)} s, at ${clock(Date.now() - ago * 1000)}`, said.pending > 0 && `; ${count(said.pending)} effects are still on their way`, said.unknown > 0 && `; ${count(said.unknown)} cannot be told any more`),
      h('ul', { class: 'laws' }, broken.map(law)),
      h('details', null, h('summary', null, 'Every law'), h('ul', { class: 'small every-law' }, said.laws.map(({ name, statement, checked, violations }) => h('li', null, h('span', { class: violations ? 'bad' : 'good', 'aria-hidden': 'true' }, violations ? '✕' : checked ? '✓' : '·'), h('span', null, h('strong', null, name), hidden(violations ? ' is broken' : ''), ' ', h('span', { class: 'dim' }, statement)), h('span', { class: 'number dim' }, count(checked)))))),
      said.remarks.length > 0 && h('ul', { class: 'small dim' }, said.remarks.map((remark) => h('li', null, remark))));
  }
  const polling = every(() => (looking ? 500 : 5000), async () => {
    const before = asked, { looking_seconds: since, last } = await at('/audit');
    if (before !== asked) return;
    looking = since !== null;
    button.disabled = looking;
    show(button, looking ? `Looking … ${Math.floor(since)} s` : 'Look at everything');
    if (last && !looking) draw(last);
  });
  return polling.stop;
}

function processes(section) {
  const list = h('ul', { class: 'processes' });
  show(section, h('h2', null, 'Processes'), list);
  const make = ({ name }) => {
    const state = h('span', { class: 'dim small' });
    const element = h('li', { 'data-process': name }, h('span', { class: `dot of-${name.replace(/-\d+$/, '')}`, 'aria-hidden': 'true' }), h('span', null, name), state);
    return { element, update: ({ state: does, healthy, restarts }) => {
      const is = does !== 'running' ? does : healthy ? 'ready' : 'not ready';
      element.dataset.state = is;
      show(state, is, restarts > 0 && ` · came back ${restarts}×`);
    } };
  };
  return every(() => 3000, async () => keyed(list, (await at('/processes')).processes, ({ name }) => name, make)).stop;
}

export function workshop(main) {
  document.title = 'Workshop · Murmuration';
  tellFaults();
  const list = h('ul', { class: 'fault-list' }, h('li', { class: 'loading' }, 'Asking …')), away = h('p', { class: 'refusal', role: 'alert' });
  const [dead, lean, auditor, running] = ['Dead letters', 'Lean views', 'The auditor', 'Processes'].map((name) => h('section', { class: 'bench', 'aria-label': name }));
  show(main, h('div', { class: 'stage-head' }, h('h1', null, 'Workshop'), h('p', null, 'Break the shop on purpose, and see what holds. Each fault ends by itself.')), away,
    h('div', { class: 'workshop' }, h('section', { class: 'bench wide', 'aria-label': 'Faults' }, h('h2', null, 'Faults'), list), auditor, dead, lean, running));
  const draw = () => {
    show(away, known ? '' : 'The program that keeps the shop does not answer.');
    if (!known) return;
    list.querySelector('.loading')?.remove();
    keyed(list, known, ({ name }) => name, switchCard);
  };
  if (known) draw();
  changed = draw;
  asking.now();
  const stops = [letters(dead), views(lean), audit(auditor), processes(running)];
  return () => {
    changed = null;
    stops.forEach((stop) => stop());
    report('questions', null);
  };
}
