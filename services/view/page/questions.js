// What an operator asks of the views: twelve questions by name, each with its SQL and its answer.

import { h, show } from './dom.js';
import { get, report } from './live.js';
import { clock, count, mark, money, short, span, statusName, tone } from './words.js';

let known;
/** The questions with their SQL, parameters and columns: asked for once. */
const theQuestions = () => {
  known ??= get('questions').then(({ questions }) => questions).catch((error) => {
    known = undefined;
    throw error;
  });
  return known;
};

/** Every question takes it. */
const LIMIT = { name: 'limit', about: 'Most rows of the answer', default: 100, minimum: 1, maximum: 1000 };

/** `waiting_ms` as a heading; the unit stands with each value. */
const heading = (column) => column.replace(/_(ms|minor|at|id)$/, '').replaceAll('_', ' ');

/** A value as people read it. Its column's name says what it is. */
function cell(column, value, row) {
  if (value === null) return h('span', { class: 'dim' }, 'none');
  if (column === 'order_id') return h('a', { href: `#/orders/${value}` }, h('code', null, short(value)));
  if (column === 'status') return h('span', { class: tone(value) }, h('span', { 'aria-hidden': 'true' }, mark(value)), ' ', statusName(value));
  if (column.endsWith('_ms')) return span(Number(value));
  if (column.endsWith('_minor')) return money({ amount_minor: Number(value), currency: row.currency });
  if (column.endsWith('_at')) return h('time', { datetime: value }, new Date(value).toLocaleDateString('en-GB'), ' ', clock(value));
  if (['writer', 'last_writer', 'source'].includes(column)) return h('strong', { class: `of-${value.split(':')[0]}` }, value);
  return typeof value === 'number' ? count(value) : String(value);
}

const isNumber = (column, value) => column !== 'order_id' && (typeof value === 'number' || column.endsWith('_ms') || column.endsWith('_minor'));

function table({ question, columns, rows, is_cut: isCut }, at) {
  const said = h('p', { class: 'dim number' }, `${count(rows.length)} ${rows.length === 1 ? 'row' : 'rows'}${isCut ? ', and there are more' : ''}.`, ' Asked at ', clock(at), '.');
  if (rows.length === 0) return [said, h('p', { class: 'empty quiet-empty' }, 'No row answers this question.')];
  return [said, h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'The answer' }, h('table', { class: 'answer', 'data-question': question },
    h('thead', null, h('tr', null, columns.map((column, index) => h('th', { scope: 'col', class: isNumber(column, rows[0][index]) ? 'right' : '' }, heading(column))))),
    h('tbody', null, rows.map((values) => {
      const row = Object.fromEntries(columns.map((column, index) => [column, values[index]]));
      return h('tr', null, columns.map((column) => h('td', { class: isNumber(column, row[column]) ? 'right number' : '' }, cell(column, row[column], row))));
    }))))];
}

/** The SQL as it is asked: `$1` stands for the first parameter. */
const sql = ({ sql, parameters }) => h('pre', { class: 'sql json', tabindex: 0, 'aria-label': 'The SQL' },
  sql.split(/(\$\d)/).map((part) => (part[0] === '$' && parameters[part[1] - 1] ? h('mark', { title: parameters[part[1] - 1].name }, part) : part)));

function detail(question, address) {
  const parameters = [...question.parameters, LIMIT];
  const answer = h('div', { class: 'answered', role: 'status' }), wrong = h('p', { class: 'refusal', role: 'alert' });
  const fields = parameters.map(({ name, about, default: usual, minimum, maximum }, index) => h('label', null,
    h('span', null, about, index < question.parameters.length && h('code', null, ` $${index + 1}`)),
    h('input', { name, inputmode: 'numeric', value: address.get(name) ?? usual, autocomplete: 'off', 'aria-describedby': `bounds-${name}` }),
    h('span', { class: 'small', id: `bounds-${name}` }, `${count(minimum)} to ${count(maximum)}`)));
  const form = h('form', { class: 'ask', novalidate: true, onsubmit: (event) => { event.preventDefault(); ask(); } }, fields, h('button', { class: 'go', id: 'ask' }, 'Ask'));

  async function ask() {
    const query = new URLSearchParams();
    for (const { name, default: usual } of parameters) {
      const value = form.elements[name].value.trim();
      form.elements[name].removeAttribute('aria-invalid');
      if (value !== String(usual)) query.set(name, value);
    }
    const asked = `questions/${question.name}${query.size ? `?${query}` : ''}`;
    history.replaceState(null, '', `#/${asked}`);
    show(wrong);
    try {
      show(answer, table(await get(asked), Date.now()));
    } catch (error) {
      const errors = error.problem?.errors ?? [];
      for (const { field } of errors) form.elements[field]?.setAttribute('aria-invalid', 'true');
      show(answer);
      show(wrong, h('strong', null, error.problem?.title ?? 'No answer'), ' ', errors.length ? errors.map((one) => `${one.field} ${one.detail}`).join('; ') : error.message);
    }
  }

  show(answer, h('p', { class: 'loading' }, 'Asking …'));
  ask();
  return h('article', { class: 'question' },
    h('a', { class: 'back-to-all', href: '#/questions' }, '← All questions'),
    h('h1', null, question.answers), form, wrong, answer,
    h('section', { 'aria-label': 'How it is asked' }, h('h2', null, 'How it is asked'),
      h('p', { class: 'dim' }, 'Read-only, within two seconds. As JSON: ', h('a', { href: `questions/${question.name}` }, h('code', null, `/questions/${question.name}`))), sql(question)));
}

export function questions(main, name, address) {
  document.title = 'Questions · Murmuration';
  let over = false;
  show(main, h('p', { class: 'loading' }, 'Looking for the questions …'));

  async function draw() {
    let all;
    try {
      all = await theQuestions();
    } catch (error) {
      if (over) return;
      show(main, h('section', { class: 'empty' }, h('h1', null, 'The view does not answer'), h('p', null, error.message, ' The page tries again by itself.')));
      return setTimeout(() => over || draw(), 2000);
    }
    if (over) return;
    const asked = all.find((one) => one.name === name);
    const list = h('nav', { class: 'asks', 'aria-label': 'Questions' }, h('ul', null, all.map((one) => h('li', null,
      h('a', { href: `#/questions/${one.name}`, 'aria-current': one === asked ? 'page' : null }, h('span', null, one.answers), h('code', { class: 'dim' }, one.name))))));
    if (asked) show(main, h('div', { class: 'questions asking' }, list, detail(asked, address)));
    else if (name) show(main, h('section', { class: 'empty' }, h('h1', null, 'No such question'), h('p', null, 'There is no question ', h('code', null, name), '. ', h('a', { href: '#/questions' }, 'See those that there are.'))));
    else show(main, h('div', { class: 'stage-head' }, h('h1', null, 'Questions'), h('p', null, 'What an operator asks of a running shop. Each shows its SQL, and none can write.')), h('div', { class: 'questions' }, list));
  }
  draw();
  return () => {
    over = true;
    report('questions', null);
  };
}
