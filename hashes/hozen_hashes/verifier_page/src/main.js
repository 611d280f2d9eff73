// The page: holds what was chosen, starts the worker from this very script, shows what it answers.

import { make } from './elements.js';
import { drawForm } from './form.js';
import { itemView } from './itemview.js';
import { drawRefusal, drawReport } from './resultview.js';
import { roleOf } from './roles.js';
import { Sentences, preferred } from './sentences.js';
import { work } from './worker.js';

const EMPTY = { inside: [], roots: [], logKeys: [], tsaRoots: [], seal: '', at: '', operatorExpected: false, working: false, complaint: null };
const KEYS = /\.vkey$/;

class Page {
  constructor(root, code) {
    this.root = root;
    this.code = code;
    this.words = new Sentences(preferred());
    this.clear();
    for (const kind of ['dragover', 'drop']) addEventListener(kind, (event) => event.preventDefault()); // never navigate to a dropped file
  }

  clear() {
    this.worker?.terminate();
    this.state = { ...EMPTY };
    this.outcome = null;
    this.draw();
  }

  add(where, files) {
    if (where === 'dropped') {
      this.add('logKeys', files.filter(({ path }) => KEYS.test(path)));
      this.add('roots', files.filter(({ path }) => !KEYS.test(path)));
      return;
    }
    const known = new Set(this.state[where].map(({ path }) => path));
    this.state[where] = [...this.state[where], ...files.filter(({ path }) => !known.has(path))];
    this.state.complaint = null;
    this.draw();
  }

  draw() {
    const { words, state } = this;
    document.documentElement.lang = words.language;
    document.title = words.page('title');
    const other = words.language === 'ja' ? 'en' : 'ja';
    const focus = document.activeElement?.id;
    const act = {
      add: (where, files) => this.add(where, files), set: (key, value) => { state[key] = value; },
      verify: () => this.verify(), clear: () => this.clear(),
    };
    this.root.replaceChildren(
      make('header', {}, make('h1', {}, words.page('title')), make('button', {
        type: 'button', className: 'language', id: 'language', lang: other,
        onclick: () => { this.words = new Sentences(other); this.draw(); },
      }, words.page('language'))),
      make('p', {}, words.page('lead')), drawForm(state, words, act), this.drawOutcome());
    if (focus) document.getElementById(focus)?.focus();
  }

  drawOutcome() {
    const { words, outcome } = this;
    const box = make('section', { id: 'outcome' });
    this.items = null;
    if (outcome?.refusal) box.append(...drawRefusal(outcome.refusal, words));
    else if (outcome?.stopped) box.append(make('p', { role: 'status' }, words.page('stopped')));
    else if (outcome?.report) {
      this.items = itemView(words, (query) => this.worker.postMessage({ items: query }));
      box.append(...drawReport(outcome.report, words, outcome.about), this.items.element, make('div', { className: 'actions' },
        make('button', { type: 'button', onclick: () => print() }, words.page('print')),
        make('button', { type: 'button', onclick: () => this.save() }, words.page('save'))));
    } else if (this.state.working) box.append(this.drawProgress());
    return box;
  }

  drawProgress() {
    const { words } = this;
    this.bar = make('progress', { max: 1, value: 0, 'aria-label': words.page('working') });
    this.count = make('span', {});
    return make('div', { role: 'status' }, make('p', {}, words.page('working'), ' ', this.count), this.bar,
      make('div', { className: 'actions' }, make('button', { type: 'button', onclick: () => this.end({ stopped: true }, true) }, words.page('stop'))));
  }

  verify() {
    const asked = this.asked();
    if (asked === null || this.state.working) return this.draw();
    this.worker?.terminate();
    const address = URL.createObjectURL(new Blob([this.code], { type: 'text/javascript' }));
    this.worker = new Worker(address);
    this.worker.onmessage = ({ data }) => this.heard(data);
    this.worker.onerror = (event) => this.end({ refusal: { key: 'program', values: { message: event.message ?? 'worker' } } }, true);
    this.about = {
      files: [...asked.container, ...asked.roots, ...asked.logKeys, ...asked.receipt, ...asked.custody, ...asked.operator, ...asked.timestamps, ...asked.tsaRoots].map((one) => one.name).slice(0, 40),
      checked: new Date().toISOString().slice(0, 19) + 'Z', browser: navigator.userAgent.match(/(Firefox|Chrome|Version)\/[0-9.]+/)?.[0] ?? 'browser',
    };
    this.worker.postMessage({ verify: asked });
    URL.revokeObjectURL(address);
    this.state.working = true;
    this.outcome = null;
    return this.draw();
  }

  /** What the worker is asked, or null with a complaint on the page. */
  asked() {
    const { state } = this;
    const of = (role) => state.inside.filter(({ path }) => roleOf(path) === role).map(({ file }) => file);
    const container = of('container');
    const names = new Set(container.map((file) => file.name.replace(/\.[0-9]{3}$/, '')));
    const seal = state.seal.replace(/[\s:-]/g, '').toLowerCase();
    const at = state.at.trim() === '' ? Date.now() : Date.parse(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$/.test(state.at.trim()) ? state.at.trim() : 'no');
    const complaints = [[!container.length, 'no-bundle'], [names.size > 1, 'two-bundles'], [seal !== '' && !/^[0-9a-f]{64}$/.test(seal), 'seal-form'], [Number.isNaN(at), 'at-form']];
    state.complaint = complaints.find(([wrong]) => wrong)?.[1] ?? null;
    if (state.complaint !== null) return null;
    return {
      container, receipt: of('receipt'), custody: of('custody'), attachments: of('attachment'), operator: of('operator'), timestamps: of('timestamp'),
      roots: state.roots.map(({ file }) => file), logKeys: state.logKeys.map(({ file }) => file), tsaRoots: state.tsaRoots.map(({ file }) => file),
      seal: seal || null, operatorExpected: state.operatorExpected, at,
    };
  }

  heard(data) {
    if (data.items) this.items?.answer(data.items);
    else if (data.all !== undefined) {
      this.bar.value = data.done / data.all;
      this.count.textContent = this.words.page('speed', { done: this.words.size(Math.round(data.done)), all: this.words.size(data.all) });
    } else this.end({ ...data, about: this.about });
  }

  end(outcome, stop = false) {
    if (stop) this.worker?.terminate();
    this.state.working = false;
    this.outcome = outcome;
    this.draw();
    document.getElementById('result')?.focus();
  }

  save() {
    const steps = this.outcome.report.steps.map(({ count, ...step }) => ({ ...step, difference_count: count }));
    const text = JSON.stringify({ ...this.outcome.report, steps }, null, 1);
    const link = make('a', { href: URL.createObjectURL(new Blob([text], { type: 'application/json' })), download: 'hozen-verification.json' });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

/** Be the page where there is one, else the worker: both run the one script whose hash the policy allows. */
export function begin() {
  if (typeof document === 'undefined') {
    const answer = work((message) => postMessage(message));
    onmessage = ({ data }) => answer(data);
    return;
  }
  globalThis.hozenVerifier = new Page(document.getElementById('page'), document.currentScript.textContent);
}

begin();
