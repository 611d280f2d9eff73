// The result for people: the word first, then who and since when, then every step with its reasons.

import { inert, make } from './elements.js';

const SHOWN = 200;
const classOf = (word) => word.replace(' ', '-');

/** Draw verdict, facts and steps of a report (hozen-verification/1). */
export function drawReport(report, words, about) {
  return [
    make('h2', { id: 'result', tabIndex: -1 }, words.page('result-head')),
    make('div', { className: `verdict ${classOf(report.word)}`, role: 'status' },
      make('strong', { id: 'word' }, words.result(report.word)), make('p', {}, words.text(meaning(report))),
      because(report, words), make('p', { className: 'hint' }, words.text('truth'))),
    make('h2', {}, words.page('facts-head')),
    make('dl', {}, facts(report, words, about).flatMap(([label, value]) => [make('dt', {}, label), make('dd', {}, value)])),
    make('h2', {}, words.page('steps-head')),
    make('ol', { className: 'steps' }, report.steps.map((step) => drawStep(step, words))),
    make('p', {}, `${words.text('not-run')}: `, notRun(report, words)),
  ];
}

/** What could not even begin: the reason, and no word of a result. */
export function drawRefusal(reason, words) {
  return [
    make('h2', { id: 'result', tabIndex: -1 }, words.page('failed')),
    make('p', { className: 'error', role: 'alert' }, words.reason(reason)),
  ];
}

function meaning(report) {
  if (report.word === 'mismatch') return 'mismatch-plain';
  if (report.word === 'match') return report.origin === 'match' ? 'match-plain' : 'match-seal';
  return report.integrity === 'match' ? 'unverifiable-origin' : 'unverifiable-integrity';
}

/** The steps to look at first, as links: those that ended like the whole, where that is no match. */
function because(report, words) {
  const steps = report.steps.filter((one) => report.word !== 'match' && one.result === report.word);
  if (!steps.length) return null;
  const links = steps.map((one) => make('a', { href: `#step-${one.number}` }, `${one.number} ${words.get('step', String(one.number))}`));
  return make('p', {}, words.page('because'), links.flatMap((link, at) => (at ? [', ', link] : [link])));
}

function facts(report, words, about) {
  const judgement = (word, detail) => [make('span', { className: `word ${classOf(word)}` }, words.result(word)), detail ? ` ${detail}` : ''];
  const { signer, counts } = report;
  const rows = [
    [words.text('integrity'), judgement(report.integrity, '')],
    [words.text('origin'), judgement(report.origin, report.origin_by ? words.text(`origin-${report.origin_by}`) : '')],
    [words.text('time'), judgement(report.time, report.existed_at ? words.text('time-latest', { time: report.existed_at }) : '')],
    [words.text('bundle'), inert(report.bundle_id ?? '-')],
    [words.text('seal'), make('code', {}, report.seal ?? '-')],
  ];
  if (signer !== null) {
    const kind = signer.kind === 'one-capture' ? ` (${words.text('signer-kind-one-capture')})` : '';
    rows.push([words.text('signer'), inert(signer.subject) + kind], [words.text('fingerprint'), make('code', {}, signer.certificate_sha256)],
      [words.text('claimed'), signer.claimed]);
  }
  const contents = { items: counts.attempts, files: counts.payload_files, size: counts.payload_bytes };
  rows.push([words.text('contents'), words.text('contents-value', contents)],
    [words.text('journal'), words.text(`journal-${report.journal.state}`, { reason: report.journal.reason ?? '' })],
    [words.text('at'), report.certificates_judged_as_of],
    [words.page('checked-files'), about.files.map(inert).join(', ')],
    [words.page('checked-at'), about.checked],
    [words.page('page-version'), words.page('page-version-value', { version: VERSION, browser: about.browser })]);
  return rows;
}

function drawStep(step, words) {
  const notes = step.notes.map((note) => make('li', {}, words.note(note)));
  const differences = step.differences.slice(0, SHOWN).map((one) => make('li', {},
    `${words.get('difference', one.kind)}: `, make('code', {}, inert(one.path)), detail(one, words)));
  if (step.count > SHOWN) {
    differences.push(make('li', {}, words.page('difference-more', { count: step.count - SHOWN, held: step.differences.length })));
  }
  const list = [...notes, ...differences];
  return make('li', { className: classOf(step.result), id: `step-${step.number}` },
    make('span', { className: 'number' }, String(step.number)), make('span', { className: 'word' }, words.result(step.result)),
    make('div', { className: 'about' }, words.get('step', String(step.number)), list.length ? make('ul', {}, list) : null));
}

function detail({ detail: found }, words) {
  if (found === null) return '';
  return ` — ${words.value(found)}`;
}

function notRun(report, words) {
  return [...report.steps_not_run.map((number) => `${number} ${words.get('step', String(number))}`), words.text('witnesses')].join(', ');
}
