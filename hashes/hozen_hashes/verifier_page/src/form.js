// The form: what is to be checked, what is trusted, and the button.

import { make } from './elements.js';
import { chosen, dropped, roleOf } from './roles.js';

const SHOWN = 60;

/** Draw the form for `state`; `act` has `add(where, files)`, `set(key, value)`, `verify()`, `clear()`. */
export function drawForm(state, words, act) {
  return make('form', { className: 'form', onsubmit: (event) => { event.preventDefault(); act.verify(); } },
    inside(state, words, act), outside(state, words, act),
    state.complaint ? make('p', { className: 'error', role: 'alert' }, words.page(state.complaint)) : null,
    make('div', { className: 'actions' },
      make('button', { className: 'main', type: 'submit', id: 'verify', disabled: state.working }, words.page('verify')),
      make('button', { type: 'button', onclick: act.clear }, words.page('clear'))));
}

function inside(state, words, act) {
  const add = (files) => act.add('inside', files);
  return zone(add, words.page('inside-head'),
    make('p', { className: 'hint', id: 'inside-help' }, words.page('inside-help')),
    picker('inside', words.page('choose'), add, { 'aria-describedby': 'inside-help' }),
    picker('folder', words.page('choose-folder'), add, { webkitdirectory: true }),
    make('p', { className: 'hint' }, words.page('drop')),
    fileList(state.inside.map(({ path, file }) => [roleOf(path), path, file]), words));
}

function outside(state, words, act) {
  const add = (files) => act.add('dropped', files);
  const rows = [...state.roots.map(({ path, file }) => ['root', path, file]), ...state.tsaRoots.map(({ path, file }) => ['tsa-root', path, file]),
    ...state.logKeys.map(({ path, file }) => ['log-key', path, file])];
  return zone(add, words.page('outside-head'),
    make('p', { className: 'hint' }, words.page('outside-help')),
    picker('roots', words.page('roots'), (files) => act.add('roots', files), { accept: '.pem,.crt,.cer,.der' }),
    picker('log-keys', words.page('log-keys'), (files) => act.add('logKeys', files), { accept: '.vkey,.txt' }),
    picker('tsa-roots', words.page('tsa-roots'), (files) => act.add('tsaRoots', files), { accept: '.pem,.crt,.cer,.der' }),
    field('seal', words.page('seal-given'), state.seal, (value) => act.set('seal', value)),
    make('label', { className: 'row' },
      make('input', { type: 'checkbox', id: 'operator', checked: state.operatorExpected, onchange: (event) => act.set('operatorExpected', event.target.checked) }),
      words.page('operator-expected')),
    field('at', words.page('at'), state.at, (value) => act.set('at', value), words.page('at-hint')),
    fileList(rows, words));
}

/** A fieldset that takes drops; the keyboard's way are the file inputs inside. */
function zone(add, title, ...children) {
  const box = make('fieldset', {}, make('legend', {}, title), ...children);
  box.addEventListener('dragover', (event) => { event.preventDefault(); box.classList.add('over'); });
  box.addEventListener('dragleave', () => box.classList.remove('over'));
  box.addEventListener('drop', async (event) => {
    box.classList.remove('over');
    if (event.target.type === 'file') return event.stopPropagation(); // dropped on a field itself: the browser's own way
    event.preventDefault();
    event.stopPropagation();
    return add(await dropped(event.dataTransfer));
  });
  return box;
}

function picker(id, title, add, more) {
  const input = make('input', { type: 'file', multiple: true, id, onchange: (event) => add(chosen(event.target)), ...more });
  return make('label', { htmlFor: id }, title, ' ', make('br'), input);
}

function field(id, title, value, change, placeholder = '') {
  const input = make('input', {
    type: 'text', id, value, placeholder, autocomplete: 'off', spellcheck: false, maxLength: 200,
    oninput: (event) => change(event.target.value),
  });
  return make('label', { htmlFor: id }, title, make('br'), input);
}

function fileList(rows, words) {
  if (!rows.length) return make('p', { className: 'hint' }, words.page('none-yet'));
  const named = (role) => (['unused', 'encrypted', 'partial'].includes(role) ? words.page('unused') : words.page(`role-${role}`));
  const hint = (role, path) => {
    if (role === 'encrypted' || role === 'partial') return ` — ${words.reason({ key: role, values: {} })}`;
    return role === 'unused' && /\.(pem|crt|cer|der|vkey)$/.test(path) ? ` — ${words.page('root-in-wrong-place')}` : '';
  };
  const items = rows.slice(0, SHOWN).map(([role, path, file]) => make('li', {},
    make('span', { className: 'role' }, named(role)), words.value(path), ` (${words.size(file.size)})`, hint(role, path)));
  if (rows.length > SHOWN) items.push(make('li', {}, words.get('note', 'more', { count: rows.length - SHOWN })));
  return make('ul', { className: 'files', 'aria-live': 'polite' }, items);
}
