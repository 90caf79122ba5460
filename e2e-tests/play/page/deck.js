// The clock, the buttons for faults, and which run it is.

import { h, s, show, hidden } from './dom.js';
import { SPEEDS, begin, facts, isRecorded, msAt, on, play, press, query, run, seek, step, stop, t } from './run.js';
import { remarkOf } from './live.js';
import { count } from './words.js';

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** What an entry says, in a line. */
function told(entry) {
  if (entry.kind === 'transition') return `${entry.event.writer}: ${entry.event.transition}`;
  if (entry.kind === 'refusal') return `orders: ${entry.refusal.command} refused`;
  if (entry.kind === 'remark') return `${remarkOf(entry).service ?? entry.actor}: ${remarkOf(entry).what}`;
  if (entry.kind === 'condition') return `${entry.service} is ${entry.condition}`;
  if (entry.kind === 'violation') return `The law “${entry.name}” is broken`;
  return 'Every order has ended';
}

export function deck(section) {
  const going = h('button', { class: 'go run', onclick: () => (run.playing ? stop() : play()) });
  const said = h('p', { class: 'said', role: 'status' });
  const stepping = h('button', { class: 'quiet step-on', onclick: async () => {
    const entry = await step();
    show(said, entry ? `${seconds(entry.ms)}: ${told(entry)}` : 'Nothing more happens.');
  } }, 'Step', hidden(' to what happens next'));
  const speed = h('select', { id: 'speed', onchange: () => { run.speed = Number(speed.value); } },
    SPEEDS.map(([steps, name]) => h('option', { value: steps, selected: steps === run.speed }, name)));
  const time = h('output', { class: 'number time', for: 'head' });
  // While it is dragged, it is where the hand is; the run follows when the hand rests.
  let sliding = null;
  const slider = h('input', { type: 'range', id: 'head', min: 0, step: 1, 'aria-label': 'Time of the run', oninput: () => {
    clearTimeout(sliding);
    sliding = setTimeout(async () => {
      await seek(Number(slider.value));
      sliding = null;
    }, 120);
    if (run.playing) stop();
  } });
  const marks = s('svg', { class: 'marks', 'aria-hidden': 'true' });

  const where = h('select', { id: 'where' }, facts.topology.services.filter(({ optional }) => !optional).map(({ name }) => h('option', { value: name, selected: name === 'payments' }, name)));
  const button = ({ name, label, says, of_service: ofService }) => h('button', { class: 'fault', 'data-fault': name, 'aria-describedby': `says-${name}`, onclick: () => {
    press(name, ofService ? where.value : undefined);
    show(said, `${label}${ofService ? ` at ${where.value}` : ''}: ${says.charAt(0).toLowerCase()}${says.slice(1)}`);
  } }, label, h('span', { class: 'hidden', id: `says-${name}` }, says));
  const atService = facts.buttons.filter((one) => one.of_service), elsewhere = facts.buttons.filter((one) => !one.of_service);
  const faults = h('div', { class: 'faults', role: 'group', 'aria-label': 'Faults' },
    h('label', { for: 'where' }, 'At ', where), atService.map(button), h('span', { class: 'gap', 'aria-hidden': 'true' }), elsewhere.map(button));
  const pressed = h('p', { class: 'pressed dim' });

  const seed = h('input', { id: 'seed', inputmode: 'numeric', pattern: '[0-9]{1,19}', required: true, autocomplete: 'off' });
  const weather = h('select', { id: 'weather' }, h('option', { value: 'calm' }, 'calm: only what you press'), h('option', { value: 'storm' }, 'storm: the seed brings faults'));
  const mutation = h('select', { id: 'mutation' }, h('option', { value: '' }, 'none'), facts.mutations.map(({ name }) => h('option', { value: name }, name)));
  const means = h('p', { class: 'dim small', id: 'mutation-means' });
  mutation.setAttribute('aria-describedby', means.id);
  const explain = () => {
    const found = facts.mutations.find(({ name }) => name === mutation.value);
    show(means, found ? `${found.statement} The law “${found.law}” notices it, in some run.` : 'A deliberate fault breaks one promise of the code, to see whether the auditor notices.');
  };
  mutation.addEventListener('change', explain);
  const another = h('details', { class: 'another' }, h('summary', null, 'This run: ', h('span', { class: 'which' })),
    h('form', { onsubmit: (event) => {
      event.preventDefault();
      // The same buttons at the same steps, where only the rest is another.
      begin({ seed: seed.value.trim(), weather: weather.value, mutation: mutation.value, presses: run.presses }).then(() => play());
    } },
    h('label', { for: 'seed' }, 'Seed ', seed), h('label', { for: 'weather' }, 'Weather ', weather), h('label', { for: 'mutation' }, 'Deliberate fault ', mutation),
    h('div', { class: 'actions' }, h('button', { class: 'go' }, 'Run it'), h('button', { type: 'button', class: 'quiet', onclick: () => { seed.value = String(Math.floor(Math.random() * 10_000)); begin({ seed: seed.value }).then(() => play()); } }, 'Another seed'),
      h('button', { type: 'button', class: 'quiet', onclick: () => { begin({ seed: run.seed, weather: run.weather, mutation: run.mutation, orders: run.orders }).then(() => play()); } }, 'Take all presses back')),
    means, h('p', { class: 'dim small' }, 'To keep this run as a file: ', h('code', { class: 'command' }))));

  show(section, h('div', { class: 'clock' }, going, stepping, h('label', { class: 'pace', for: 'speed' }, 'Pace ', speed), h('div', { class: 'line' }, marks, slider), time),
    isRecorded ? pressed : faults, h('div', { class: 'foot' }, !isRecorded && another, said));

  /** Until the end is known, it is guessed. */
  const end = () => (run.over ? run.to : Math.max(run.to, run.orders * 1_100 + 8_000));

  function drawTime() {
    slider.max = end();
    if (sliding === null) slider.value = t();
    slider.setAttribute('aria-valuetext', `${seconds(msAt(t()))}, step ${count(t())}`);
    show(time, h('strong', null, seconds(msAt(t()))), h('span', { class: 'dim' }, ` step ${count(t())}`));
  }

  function drawState() {
    show(going, run.playing ? 'Stop' : run.over && run.head >= run.to ? 'From the beginning' : 'Run');
    speed.value = run.speed;
    for (const one of faults.querySelectorAll('button')) one.disabled = Boolean(run.trouble);
    show(marks, run.presses.map((one) => s('text', { x: `${(100 * one.step) / end()}%`, y: 12, 'text-anchor': 'middle' }, '⚡')));
    const words = run.presses.map((one) => `${facts.buttons.find(({ name }) => name === one.name)?.label ?? one.name}${one.service ? ` at ${one.service}` : ''} at step ${count(one.step)}`);
    show(pressed, 'A recording', run.mutation ? [' with the deliberate fault ', h('code', null, run.mutation)] : '', words.length ? `. ${words.join(', ')}.` : '.');
    if (document.activeElement !== seed) seed.value = run.seed;
    Object.assign(weather, { value: run.weather });
    Object.assign(mutation, { value: run.mutation });
    explain();
    show(another.querySelector('.which'), h('strong', { class: 'number' }, `seed ${run.seed}`), `, ${run.weather}, `, run.mutation ? ['with the deliberate fault ', h('strong', { class: 'bad' }, run.mutation)] : 'no deliberate fault', words.length ? `, ${words.length} pressed` : '');
    show(another.querySelector('.command'), `./shop play --record run.html --run '${query(0)}'`);
    const link = document.getElementById('link'), state = run.trouble ? 'away' : run.playing ? 'live' : 'waiting';
    link.dataset.state = state;
    show(link, run.trouble ? run.trouble.words : isRecorded ? 'recorded' : run.playing ? 'running' : 'stopped');
    drawTime();
  }

  on('tick', drawTime);
  on('state', drawState);
  on('reset', drawState);
  drawState();
  return { at: (service) => { where.value = service; } };
}
