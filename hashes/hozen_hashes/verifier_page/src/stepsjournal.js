// Steps 7 and 8 of bundle-v1 §11: the journal's chain, and that records, journal and manifests agree.

import { expected } from './refusal.js';
import { MATCH, ended, judged, note } from './report.js';
import { bundleJson } from './stepsfiles.js';
import { PLAN } from './tagfiles.js';

const MOST = 20;

/** An open journal is stated; it is a match here, because step 9 decides whether the seal holds. */
export function journal(report, reading) {
  const notes = report.problems.slice(0, MOST).map(({ epoch, reason }) => note('journal', { epoch, reason }));
  if (report.segments === 0) notes.push(note('journal-absent'));
  notes.push(...stated(report, reading));
  if (notes.length) return judged(7, notes);
  return ended(7, MATCH, report.end === null ? [note('journal-open')] : []);
}

/** Compare with what `bundle.json` says of the journal (bundle-v1 §12). */
function stated(report, reading) {
  return told(reading, 'journal', (said) => {
    const differs = [
      said.number('segments') !== report.segments, said.hash('last_sha256') !== report.lastHash,
      said.hash('first_key_sha256') !== report.firstKey, said.flag('closed') !== (report.end !== null),
    ].includes(true);
    return differs && !report.problems.length ? [note('journal-stated')] : [];
  });
}

function told(reading, key, check) {
  const found = bundleJson(reading);
  if (found === null || !found.has(key)) return [];
  try {
    return check(found.inner(key));
  } catch (error) {
    return [note('malformed', { reason: expected(error).reason })];
  }
}

export function records(report, reading, payload, tags) {
  const { items } = reading;
  const notes = items.problems.slice(0, MOST);
  if (report.end !== null && report.end.items !== items.entries) {
    notes.push(note('items-count', { stated: report.end.items, found: items.entries }));
  }
  const plan = reading.hashes.get(PLAN);
  if (report.start !== null && plan !== undefined && plan !== report.start.plan) notes.push(note('plan-differs'));
  if (sweepAbsent(report, reading)) notes.push(note('sweep-absent'));
  notes.push(...counts(reading));
  for (const [path, reason] of reading.malformed) if (path.startsWith('hozen/files/')) notes.push(note('malformed', { reason }));
  if (items.count > items.problems.length) notes.push(note('more', { count: items.count - items.problems.length }));
  return judged(8, notes, [...payload.records, ...tags.records]);
}

/** A finished capture stored processes, but not the sweep that segment 0 committed to. */
function sweepAbsent(report, reading) {
  const wanted = report.start?.sweep ?? null;
  return wanted !== null && report.end?.reason === 'complete' && reading.processes.size > 0 && !reading.processes.has(wanted);
}

/** Compare with the counts in `bundle.json` (bundle-v1 §12), where they are stated. */
function counts(reading) {
  return told(reading, 'counts', (said) => {
    const pairs = [
      ['attempts', said.number('attempts'), reading.items.entries],
      ['files', said.number('files'), reading.payload.count],
      ['bytes', said.decimal('bytes'), String(reading.payload.size)],
    ];
    return pairs
      .filter(([what, one, here]) => one !== here && (what === 'attempts' || !reading.limited.length))
      .map(([what, one, here]) => note('counts', { what, stated: one, found: here }));
  });
}
