// The auditor at work: each law with its standing, what it has caught, and what went wrong so far.

import { h, show, hidden } from './dom.js';
import { facts, isRecorded, on, past } from './run.js';
import { remarkOf } from './live.js';
import { clock, count, short } from './words.js';

const STANDING = { unseen: ['·', 'not looked at yet'], waits: ['…', 'on its way'], holds: ['✓', 'holds'], broken: ['✕', 'broken'] };

/** Most lines of what went wrong. */
const LINES_MAX = 12;

export function auditor(section) {
  const verdict = h('p', { class: 'verdict', role: 'status' });
  const caught = h('div', { class: 'caught' });
  const list = h('ul', { class: 'laws', 'aria-label': 'Laws' });
  const wrong = h('ol', { class: 'wrong', 'aria-label': 'What went wrong, newest first' });
  show(section, h('h2', null, 'The auditor'), verdict, caught, list, h('h2', null, 'What went wrong'), wrong);
  let standing, violations, remarks, numbers, soon = false;

  function take(entry) {
    if (entry.kind === 'laws') {
      Object.assign(standing, entry.laws);
      numbers = entry;
    } else if (entry.kind === 'violation') {
      const known = violations.some(({ name, order, sku }) => name === entry.name && order === entry.order && sku === entry.sku);
      if (!known) violations.push(entry);
    } else if (entry.kind === 'remark' && remarkOf(entry).unusual) remarks.unshift(entry);
  }

  function draw() {
    soon = false;
    const broken = facts.laws.filter(({ name }) => standing[name] === 'broken');
    const holds = Object.values(standing).filter((one) => one === 'holds').length;
    show(verdict, broken.length ? h('strong', { class: 'bad' }, `✕ ${broken.length === 1 ? 'A law is' : `${broken.length} laws are`} broken`)
      : numbers ? [h('strong', { class: 'good' }, 'Every law holds'), h('span', { class: 'dim number' }, ` · ${count(numbers.checked)} checks of ${holds} laws, ${count(numbers.pending)} on their way`)] : 'Nothing has happened yet.');
    show(caught, broken.map(({ name, statement }) => {
      const first = violations.find((one) => one.name === name);
      if (!first) return null;
      return h('article', { class: 'violation', 'data-law': name }, h('h3', null, `✕ ${name}`), h('p', null, statement),
        h('p', { class: 'bad' }, first.order && ['Order ', h('a', { href: `#/orders/${first.order}` }, h('code', null, short(first.order))), ': '], first.sku && `${first.sku}: `, first.detail),
        first.story.length > 0 && h('details', { open: broken.length === 1 }, h('summary', null, 'The story of the order'),
          h('ol', { class: 'story' }, first.story.map((moment) => h('li', null, h('time', { class: 'number dim' }, clock(moment.at)), h('span', null, h('strong', { class: `of-${moment.who}` }, moment.who), ' ', moment.what), h('code', { class: 'dim' }, moment.place))))));
    }));
    show(list, facts.laws.map(({ name, statement }) => {
      const [mark, words] = STANDING[standing[name] ?? 'unseen'];
      return h('li', { class: `law ${standing[name] ?? 'unseen'}`, 'data-law': name, title: statement }, h('span', { class: 'mark', 'aria-hidden': 'true' }, mark), h('span', null, name, hidden(`: ${words}`)));
    }));
    show(wrong, remarks.length ? remarks.slice(0, LINES_MAX).map(remarkOf).map((remark) => h('li', { class: remark.bad ? 'bad' : '' }, h('time', { class: 'number dim', datetime: remark.at }, clock(remark.at)),
      h('span', null, remark.service && [h('strong', { class: `of-${remark.service}` }, remark.service), ' '], remark.what))) : h('li', { class: 'dim' }, isRecorded ? 'Nothing yet.' : 'Nothing yet. Press a fault above.'));
  }

  /** At most some times a second: a run may be fast. */
  const drawSoon = () => {
    if (soon) return;
    soon = true;
    setTimeout(draw, 150);
  };

  function again() {
    [standing, violations, remarks, numbers] = [{}, [], [], null];
    past().forEach(take);
    draw();
  }

  on('entry', (entry) => {
    take(entry);
    if (['laws', 'violation', 'remark'].includes(entry.kind)) drawSoon();
  });
  on('reset', again);
  again();
}

/** How each service is at the head, where it is not at work. */
export function conditions() {
  const found = new Map();
  for (const { kind, service, condition } of past()) if (kind === 'condition') found.set(service, condition);
  return found;
}

