// The items one by one, with a filter; the worker holds the list and gives a page of it at a time.

import { inert, make } from './elements.js';

const PAGE = 200;

/** Draw filter and table; `ask(query)` sends a question to the worker, `answer(page)` must be called with its answer. */
export function itemView(words, ask) {
  const query = { text: '', result: '', from: 0, count: PAGE };
  const body = make('tbody', {});
  const status = make('p', { role: 'status', className: 'hint', id: 'items-status' });
  const more = make('button', { type: 'button', className: 'more', hidden: true }, words.page('more-items'));
  const again = (change) => {
    Object.assign(query, { from: 0 }, change);
    ask({ ...query });
  };
  more.onclick = () => again({ from: body.rows.length });
  const element = make('section', {},
    make('h2', {}, words.page('items-head')), make('p', { className: 'hint' }, words.page('items-help')),
    filters(words, again), status, make('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': words.page('items-head') },
      make('table', {}, make('thead', {}, make('tr', {}, columns(words))), body)), more);
  const answer = (page) => {
    if (page.from === 0) body.replaceChildren();
    body.append(...page.rows.map((row) => drawRow(row, words)));
    const kept = page.kept < page.total ? ` ${words.page('items-kept', { kept: page.kept })}` : '';
    status.textContent = (page.total ? words.page('items-shown', { shown: body.rows.length, found: page.found, total: page.total }) : words.page('items-none')) + kept;
    more.hidden = body.rows.length >= page.found;
  };
  again({});
  return { element, answer };
}

function filters(words, again) {
  let waiting;
  const later = (text) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => again({ text }), 200);
  };
  const options = ['', 'match', 'mismatch', 'not verifiable'].map((value) => (
    make('option', { value }, value ? words.result(value) : words.page('filter-all'))));
  return make('div', { className: 'filters' },
    make('label', {}, words.page('filter-text'), make('input', { type: 'text', id: 'filter', maxLength: 200, oninput: (event) => later(event.target.value) })),
    make('label', { className: 'narrow' }, words.page('filter-result'), make('br'),
      make('select', { id: 'filter-result', onchange: (event) => again({ result: event.target.value }) }, options)));
}

const columns = (words) => ['item', 'result', 'artifact', 'outcome', 'source', 'file'].map((key) => (
  make('th', { scope: 'col' }, words.page(`column-${key}`))));

function drawRow(row, words) {
  const kind = row.kind ? ` (${words.get('difference', row.kind)})` : '';
  const file = row.path === null ? words.page('no-bytes') : [make('code', {}, inert(row.path)), ` ${words.size(row.size)} `, make('code', {}, row.sha256)];
  return make('tr', {},
    make('td', {}, String(row.item)), make('td', { className: `word ${row.result.replace(' ', '-')}` }, words.get('result', row.result) + kind),
    make('td', {}, inert(row.artifact)), make('td', {}, words.page(`outcome-${row.outcome}`)),
    make('td', { className: 'long' }, inert(row.source)), make('td', { className: 'long' }, file));
}
