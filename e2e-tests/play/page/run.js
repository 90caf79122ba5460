// The run that the page shows: what has happened in it, the head that moves over that, and the
// address that says which run it is. The same address gives the same run.

const data = (id) => {
  const element = document.getElementById(id);
  return element && JSON.parse(element.textContent);
};

/** Laws, deliberate faults, buttons, and the tables of the shop. */
export const facts = data('facts');
const recorded = data('recorded');

/** Whether it is a file that has its run in it, and nothing to ask. */
export const isRecorded = recorded !== null;

const began = Date.parse(facts.began);

/** Steps in a second; a step is about a millisecond of the shop's time. */
export const SPEEDS = [[50, 'a twentieth'], [200, 'a fifth'], [1000, 'as it is'], [5000, 'five times']];

const STEPS_MAX = 1_000_000;

export const run = { seed: 0, orders: 0, mutation: '', weather: 'calm', presses: [], head: 0, to: 0, over: false, entries: [], clock: [[0, 0]], playing: false, speed: 1000, stopAt: null, trouble: null };

const heard = { entry: new Set(), reset: new Set(), state: new Set(), tick: new Set() };

/** Calls `listener` on each `entry`, `reset`, `state` or `tick`; the answer ends that. */
export function on(what, listener) {
  heard[what].add(listener);
  return () => heard[what].delete(listener);
}
const tell = (what, value) => [...heard[what]].forEach((listener) => listener(value));

/** Where the head is. */
export const t = () => Math.floor(run.head);

/** The shop's time in milliseconds since the run began, at a step. */
export function msAt(step) {
  let low = 0, high = run.clock.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    run.clock[middle][0] <= step ? (low = middle) : (high = middle - 1);
  }
  const [from, ms] = run.clock[low], [to, until] = run.clock[low + 1] ?? [from + 1, ms];
  return ms + ((until - ms) * Math.min(step - from, to - from)) / (to - from);
}

/** A time of the shop, in milliseconds since 1970. */
export const at = (ms) => began + ms;

/** What has happened up to the head. */
export const past = () => run.entries.slice(0, next);

const pressText = ({ step, name, service }) => [step, name, service].filter((part) => part !== undefined).join('.');

/** The run and where it is, as an address has it. */
export function query(step = t()) {
  const query = new URLSearchParams({ seed: run.seed });
  if (run.orders !== facts.usual.orders) query.set('orders', run.orders);
  if (run.weather !== facts.usual.weather) query.set('weather', run.weather);
  if (run.mutation) query.set('mutation', run.mutation);
  if (run.presses.length) query.set('presses', run.presses.map(pressText).join('_'));
  if (step) query.set('t', step);
  return query;
}

function write() {
  try {
    history.replaceState(null, '', `?${query()}${location.hash}`);
  } catch {
    // Of a file from disk, browsers let only the fragment change.
  }
}

let next = 0, generation = 0, asking = null, last = 0, written = 0;

function append(piece) {
  run.entries.push(...piece.entries);
  run.clock.push(...piece.clock);
  Object.assign(run, { to: piece.to, over: piece.over });
}

async function ask() {
  const mine = generation, from = run.to, to = Math.min(from + Math.max(1000, run.speed * 2), STEPS_MAX);
  const which = query(0);
  which.set('from', from);
  which.set('to', to);
  try {
    const response = await fetch(`tape?${which}`, { signal: AbortSignal.timeout(60_000) });
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw Object.assign(new Error(body.detail ?? `The player answers ${response.status}.`), { final: true });
    if (mine !== generation) return;
    if (run.trouble) { run.trouble = null; tell('state'); }
    append(body);
  } catch (error) {
    if (mine !== generation) return;
    const { final = false } = error;
    run.trouble = { final, words: final ? error.message : 'The player does not answer. Start ./shop play again; the page goes on by itself.' };
    if (final) run.playing = false;
    tell('state');
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
  }
}

/** The next piece of the run, which is asked for once at a time. */
function more() {
  if (run.over || run.trouble?.final) return Promise.resolve();
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function move(head) {
  run.head = head;
  while (next < run.entries.length && run.entries[next].t <= head) tell('entry', run.entries[next++]);
  tell('tick');
}

function frame(time) {
  if (!run.playing) return;
  const passed = Math.min(time - last, 100);
  last = time;
  const limit = Math.min(run.to, run.stopAt ?? run.to);
  move(Math.min(run.head + (passed * run.speed) / 1000, limit));
  if (time - written > 1000) {
    written = time;
    write();
  }
  if (run.head >= (run.stopAt ?? Infinity) || (run.over && run.head >= run.to)) return stop();
  if (run.to - run.head < run.speed) more();
  requestAnimationFrame(frame);
}

/** Lets the clock run; up to a step, if one is given. */
export function play(stopAt = null) {
  run.stopAt = stopAt;
  if (run.playing) return;
  // At its end, it begins again.
  if (run.over && run.head >= run.to) seek(0);
  run.playing = true;
  tell('state');
  last = performance.now();
  requestAnimationFrame(frame);
}

/** Stops the clock. */
export function stop() {
  Object.assign(run, { playing: false, stopAt: null });
  write();
  tell('state');
}

/** On to the next thing that happens; what that is. */
export async function step() {
  stop();
  const mine = generation;
  const ahead = () => run.entries.slice(next).find(({ kind }) => kind !== 'laws');
  while (!ahead() && !run.over && !run.trouble?.final && mine === generation) await more();
  const entry = ahead();
  if (!entry || mine !== generation) return null;
  move(entry.t);
  write();
  return entry;
}

/** Sets the head on a step, which may be before or after. */
export async function seek(step) {
  const mine = generation;
  while (run.to < step && !run.over && !run.trouble?.final && mine === generation) await more();
  if (mine !== generation) return;
  run.head = Math.min(step, run.to);
  const after = run.entries.findIndex((entry) => entry.t > run.head);
  next = after < 0 ? run.entries.length : after;
  write();
  tell('reset');
  tell('tick');
}

/** Forgets what comes after `step`: it will be another one. */
function forget(step) {
  generation += 1;
  asking = null;
  const clock = run.clock.filter(([known]) => known < step);
  clock.push([step, msAt(step)]);
  const entries = run.entries.filter((entry) => entry.t <= step);
  Object.assign(run, { entries, clock, to: step, head: step, over: false, trouble: null });
  next = entries.length;
}

/** Presses a button here and now; what was pressed later in this run is taken back. */
export function press(name, service) {
  const step = t();
  run.presses = [...run.presses.filter((press) => press.step <= step), { step, name, service }];
  forget(step);
  write();
  tell('state');
  play();
}

/** Another run, from its beginning or from a step. */
export async function begin(wanted, step = 0) {
  run.playing = false;
  if (!isRecorded) {
    Object.assign(run, { mutation: '', weather: facts.usual.weather, orders: facts.usual.orders, presses: [] }, wanted);
    run.clock = [[0, 0]];
    forget(0);
    run.clock = [[0, 0]];
  }
  tell('state');
  await seek(step);
  more();
}

const presses = (text) => (text ?? '').split('_').filter(Boolean).map((press) => {
  const [step, name, service] = press.split('.');
  return { step: Number(step), name, service };
});

/** The run of the address, or of the file. */
export async function open() {
  const address = new URLSearchParams(location.search);
  if (isRecorded) {
    const { asked, tape } = recorded;
    Object.assign(run, asked, { presses: presses(asked.presses) });
    append(tape);
    return seek(Number(address.get('t')) || asked.t);
  }
  const number = (name) => (address.has(name) ? address.get(name) : facts.usual[name]);
  const wanted = { seed: number('seed'), orders: Number(number('orders')), mutation: address.get('mutation') ?? '', weather: address.get('weather') ?? facts.usual.weather, presses: presses(address.get('presses')) };
  return begin(wanted, Math.min(Number(address.get('t')) || 0, STEPS_MAX));
}
