// What the page asks, and what it hears without asking.

import * as session from './session.js';

export const ordersUrl = document.querySelector('meta[name=orders-url]').content;
/** Where the Workshop listens, if the shop has one. */
export const workshopUrl = document.querySelector('meta[name=workshop-url]')?.content;

/** The time, in milliseconds. */
export const now = () => Date.now();

const states = new Map();
const line = () => document.getElementById('link');

/** Says whether `what` is live; the line in the header tells the worst of all. */
export function report(what, state) {
  if (state) states.set(what, state);
  else states.delete(what);
  const all = [...states.values()];
  const worst = ['away', 'waiting', 'live'].find((one) => all.includes(one)) ?? 'live';
  const words = { live: 'live', waiting: 'connecting …', away: 'no answer; trying again' };
  if (line().dataset.state === worst) return;
  line().dataset.state = worst;
  line().textContent = words[worst];
}

/** An answer that is no success: an RFC 9457 problem, or silence. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? 'There was no answer.');
    Object.assign(this, { status, problem });
  }
}

/** Sends a request; its answer, or a [`Refusal`]. */
export async function ask(url, options = {}) {
  let response;
  try {
    const headers = { ...options.headers, ...session.bearer() };
    response = await fetch(url, { signal: AbortSignal.timeout(20_000), ...options, headers });
  } catch (error) {
    throw new Refusal(0, { detail: `${new URL(url, location.href).host} does not answer.` });
  }
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) session.ask();
  if (!response.ok) throw new Refusal(response.status, body);
  return body;
}

/** A question to the view. */
export async function get(path) {
  try {
    const answer = await ask(path, { headers: { accept: 'application/json' } });
    report('questions', 'live');
    return answer;
  } catch (error) {
    if (error.status === 0 || error.status === 503) report('questions', 'away');
    throw error;
  }
}

/** The customers to choose from: all of them, or the one who has signed in. */
export const people = async () =>
  session.customer ? { customers: [{ customer_id: session.customer, name: session.customer, active: true }] } : get('/customers?limit=100');

/** A command to orders, under a key, so that it may be sent again. */
export const post = (path, key, body) =>
  ask(ordersUrl + path, {
    method: 'POST',
    headers: { 'idempotency-key': key, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });

/** A key for a command; `crypto.randomUUID` is for secure pages alone. */
export const newKey = () =>
  crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * Follows an event stream until the answer is called. The browser goes on after a lost connection
 * by itself; after an answer such as 503 this does, with the id of the last event. A page that is not
 * seen follows nothing: browsers have six connections to a server, for all of its pages.
 */
export function follow(path, first, listeners) {
  // What happens to others is not for customers.
  if (path === '/events' && session.customer) return () => {};
  let source, timer, after, delay = 1000, over = false;
  const open = () => {
    const url = new URL(path, location.origin);
    const begin = after === undefined ? first : { ...first, after };
    for (const [name, value] of Object.entries(begin)) url.searchParams.set(name, value);
    report(path, 'waiting');
    source = session.events(url);
    source.onopen = () => {
      delay = 1000;
      report(path, 'live');
    };
    source.onerror = () => {
      report(path, source.readyState === EventSource.CLOSED ? 'away' : 'waiting');
      if (over || source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, delay);
      delay = Math.min(delay * 2, 10_000);
    };
    for (const [name, listener] of Object.entries(listeners)) {
      source.addEventListener(name, (event) => {
        after = event.lastEventId;
        listener(JSON.parse(event.data));
      });
    }
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
  };
  const turn = () => {
    close();
    if (!document.hidden) open();
  };
  document.addEventListener('visibilitychange', turn);
  turn();
  return () => {
    over = true;
    document.removeEventListener('visibilitychange', turn);
    close();
    report(path, null);
  };
}

/** What waits where; customers are not told. */
export const theBatons = async () => (session.customer ? null : get('batons'));

let topology;
/** Services, topics, flows and the baton table: asked for once. */
export const theTopology = () => {
  topology ??= get('topology').catch((error) => {
    topology = undefined;
    throw error;
  });
  return topology;
};
