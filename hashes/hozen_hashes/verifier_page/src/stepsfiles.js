// Steps 1 to 6 of bundle-v1 §11: container, bag, seal, and every file against the manifests.

import { expected, formatError } from './refusal.js';
import { ascii } from './bytes.js';
import { Fields } from './fields.js';
import { parseObject } from './json.js';
import { MATCH, MISMATCH, NOT_VERIFIABLE, ended, judged, note } from './report.js';
import { BUNDLE_JSON, MANIFEST, SEALED } from './tagfiles.js';

const BAGIT = 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n';
const FORMAT = 'hozen-bundle/';
const MAJOR = '1';
const MOST = 20;

export function container(reading, differences) {
  const unreadable = differences.filter((one) => one.kind === 'unreadable');
  if (reading.container.length) return ended(1, MISMATCH, reasons('container', reading.container), unreadable);
  if (reading.limited.length) return ended(1, NOT_VERIFIABLE, reasons('not-read', reading.limited), unreadable);
  return ended(1, MATCH);
}

const reasons = (key, list) => list.slice(0, MOST).map((reason) => note(key, { reason }));

export function structure(reading) {
  const notes = [...reading.malformed.values()].map((reason) => note('malformed', { reason }));
  const bagit = reading.kept.get('bagit.txt');
  if (bagit === undefined) notes.push(note('absent', { path: 'bagit.txt' }));
  else if (ascii(bagit) !== BAGIT) notes.push(note('bag-version'));
  for (const path of [MANIFEST, SEALED]) if (!reading.hashes.has(path)) notes.push(note('absent', { path }));
  let unknown = [];
  try {
    unknown = aboutBundle(reading);
  } catch (error) {
    notes.push(note('malformed', { reason: expected(error).reason }));
  }
  return !notes.length && unknown.length ? ended(2, NOT_VERIFIABLE, unknown) : judged(2, notes);
}

/** What this program does not know of; FormatError for what contradicts the format. */
function aboutBundle(reading) {
  const bytes = reading.kept.get(BUNDLE_JSON);
  if (bytes === undefined) throw formatError('file-absent', { name: BUNDLE_JSON });
  const found = new Fields(parseObject(bytes, BUNDLE_JSON), BUNDLE_JSON);
  const version = found.text('format');
  const major = version.startsWith(FORMAT) ? version.slice(FORMAT.length) : '';
  if (!/^[0-9]+$/.test(major)) throw formatError('field-type', { what: BUNDLE_JSON, key: 'format', wanted: 'a bundle format' });
  if (major !== MAJOR) return [note('version-unknown', { version: version.slice(0, 80) })];
  if (reading.bundleId !== null && found.text('bundle_id') !== reading.bundleId) throw formatError('other-bundle-id', { what: BUNDLE_JSON });
  return found.texts('critical').map((one) => note('critical-unknown', { key: one.slice(0, 80) }));
}

/** `bundle.json` as fields, or null when it is not there or not readable: step 2 tells that. */
export function bundleJson(reading) {
  try {
    return new Fields(parseObject(reading.kept.get(BUNDLE_JSON) ?? new Uint8Array(0), BUNDLE_JSON), BUNDLE_JSON);
  } catch (error) {
    expected(error);
    return null;
  }
}

export function sealedText(reading, given) {
  const seal = reading.hashes.get(SEALED);
  if (seal === undefined) return judged(3, [note('absent', { path: SEALED })]);
  if (given === null) return ended(3, MATCH, [note('seal-computed')]);
  return given === seal ? ended(3, MATCH, [note('seal-matches')]) : judged(3, [note('seal-differs', { given })]);
}

export function againstManifest(number, compared, manifest, reading) {
  const notes = [];
  if (!reading.hashes.has(manifest)) notes.push(note('absent', { path: manifest }));
  else if (reading.malformed.has(manifest)) notes.push(note('malformed', { reason: reading.malformed.get(manifest) }));
  const found = judged(number, notes, compared.differences);
  const unread = found.differences.every((one) => one.kind === 'unreadable') && !reading.container.length;
  if (found.result !== MISMATCH || notes.length || !unread) return found;
  return ended(number, NOT_VERIFIABLE, [note('not-read', { reason: reading.limited[0] })], compared.differences);
}

export const nothingElse = (...compared) => judged(6, [], compared.flatMap((side) => side.extra));
