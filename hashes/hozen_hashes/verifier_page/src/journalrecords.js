// The lines of a journal segment and of files/<n>.jsonl as plain objects with a `kind` (bundle-v1 §6, §7).

import { formatError } from './refusal.js';
import { Fields } from './fields.js';
import { parseObject } from './json.js';
import { sha256hex } from './sha256.js';

const OUTCOMES = new Set(['captured', 'empty', 'missing', 'denied', 'timed_out', 'truncated', 'failed']);
const BYTELESS = new Set(['empty', 'missing', 'denied']);
const UNEXPLAINED = new Set(['captured', 'empty']);
const ENDS = new Set(['complete', 'interrupted', 'deadline', 'full', 'failed']);
const READERS = {
  segment: (f) => ({ epoch: f.number('epoch'), bundle: f.text('bundle'), previous: f.hashOrNull('previous'), key: f.hash('key'), opened: f.text('opened') }),
  start: startRecord,
  item: (f) => ({ item: f.number('item'), outcome: outcome(f), stored: stored(f), record: f.hash('record') }),
  prefix: (f) => ({ item: f.number('item'), path: f.text('path'), size: f.decimal('bytes'), sha256: f.hash('sha256') }),
  member: (f) => ({ path: f.text('path'), size: f.decimal('size'), sha256: f.hash('sha256') }),
  next: (f) => ({ key: f.hash('key') }),
  end: endRecord,
};

/** Return the record that one journal line holds; a type of a later version is `{ kind: 'other' }`. */
export function parseRecord(line, what) {
  const fields = new Fields(parseObject(line, what), what);
  const kind = fields.text('type');
  return Object.hasOwn(READERS, kind) ? { kind, ...READERS[kind](fields) } : { kind: 'other' };
}

/** Return the row that one line of files/<n>.jsonl holds; `record` is the SHA-256 of the line with LF. */
export function parseRow(line, what) {
  const fields = new Fields(parseObject(line, what), what);
  const found = outcome(fields);
  if (!UNEXPLAINED.has(found) && !fields.text('reason')) throw formatError('row-reason', { what });
  return {
    item: fields.number('item'), artifact: fields.text('artifact'), outcome: found, stored: stored(fields),
    record: sha256hex(line), source: fields.text('source'),
  };
}

function startRecord(fields) {
  const identity = fields.inner('identity');
  const sweep = fields.found.sweep === undefined || fields.found.sweep === null ? null : fields.inner('sweep');
  return {
    identityKind: identity.text('kind'), certificate: identity.hash('certificate_sha256'),
    plan: fields.hash('plan_sha256'), sweep: sweep === null ? null : sweep.hashOrNull('sha256'),
  };
}

function endRecord(fields) {
  const reason = fields.text('reason');
  if (!ENDS.has(reason)) throw formatError('field-type', { what: fields.what, key: 'reason', wanted: 'a known word' });
  fields.textOrNull('detail');
  return { reason, items: fields.number('items'), closed: fields.text('closed') };
}

function outcome(fields) {
  const found = fields.text('outcome');
  if (!OUTCOMES.has(found)) throw formatError('field-type', { what: fields.what, key: 'outcome', wanted: 'a known word' });
  return found;
}

/** Path, size and hash are all there, or all null where no bytes were stored. */
function stored(fields) {
  const found = { path: fields.textOrNull('path'), size: fields.decimalOrNull('size'), sha256: fields.hashOrNull('sha256') };
  const absent = Object.values(found).filter((value) => value === null).length;
  if (absent !== 0 && absent !== 3) throw formatError('stored-half', { what: fields.what });
  if (found.path !== null && BYTELESS.has(fields.text('outcome'))) throw formatError('stored-byteless', { what: fields.what });
  return found;
}
