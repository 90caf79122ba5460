// Who uses the page, if the shop asks: a token from the address (`#token=…`) or from the form. It stays
// in this tab, and leaves the address at once. What it says counts for nothing here: the services judge it.

const KEY = 'token';

const given = location.hash.match(/^#token=([\w.-]+)$/)?.[1];
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, '', '#/shop');
}
const token = sessionStorage.getItem(KEY);

function claims() {
  try {
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
  } catch {
    return {};
  }
}
const { sub, roles = [] } = token ? claims() : {};

/** The customer who has signed in; a shop that does not ask, and staff, have none. */
export const customer = token && !roles.includes('staff') ? sub : null;

/** The header with the token, if there is one. */
export const bearer = () => (token ? { authorization: `Bearer ${token}` } : {});

const form = document.getElementById('session');
const field = form.querySelector('input');
form.addEventListener('submit', (event) => {
  event.preventDefault();
  token && !form.classList.contains('asks') ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, field.value.trim());
  location.reload();
});

function draw(asks) {
  form.hidden = !token && !asks;
  form.classList.toggle('asks', asks);
  form.querySelector('label').hidden = field.disabled = !asks;
  form.querySelector('button').textContent = asks ? 'Sign in' : `Sign out ${sub ?? ''}`;
}
draw(false);

/** The shop has asked for a token, or for another one. */
export const ask = () => draw(true);

/** An event stream with the token, which the browser's own cannot show; otherwise like that one. */
class Stream extends EventTarget {
  readyState = EventSource.CONNECTING;
  #stop = new AbortController();

  constructor(url) {
    super();
    this.#read(url).catch(() => {}).then(() => {
      if (this.#stop.signal.aborted) return;
      this.readyState = EventSource.CLOSED;
      this.onerror?.();
    });
  }

  close() {
    this.readyState = EventSource.CLOSED;
    this.#stop.abort();
  }

  async #read(url) {
    const response = await fetch(url, { headers: { accept: 'text/event-stream', ...bearer() }, signal: this.#stop.signal });
    if (response.status === 401) ask();
    if (response.status !== 200) return;
    this.readyState = EventSource.OPEN;
    this.onopen?.();
    let text = '';
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let chunk; !(chunk = await reader.read()).done; ) {
      const blocks = (text + chunk.value).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) this.#tell(block);
    }
  }

  #tell(block) {
    const lines = block.split('\n').map((line) => line.split(/: ?(.*)/s));
    const of = (name) => lines.filter(([field]) => field === name).map(([, value]) => value);
    const data = of('data').join('\n');
    if (data) this.dispatchEvent(new MessageEvent(of('event')[0] ?? 'message', { data, lastEventId: of('id')[0] }));
  }
}

/** Follows `url`. */
export const events = (url) => (token ? new Stream(url) : new EventSource(url));
