// Who reads a tag file: each takes its bytes in pieces and complains with a Refusal, which does not end the pass.

import { formatError, limitError } from './refusal.js';
import { ascii, join } from './bytes.js';
import { SegmentReader } from './journalcheck.js';
import { parseRow } from './journalrecords.js';
import { LineSplitter } from './lines.js';
import { checkMemberPath } from './names.js';

export const SEALED = 'tagmanifest-sha256.txt';
export const MANIFEST = 'manifest-sha256.txt';
export const SIGNATURE = 'signatures/agent.p7s';
export const START = 'hozen/start.p7s';
export const BUNDLE_JSON = 'hozen/bundle.json';
export const PLAN = 'hozen/plan.json';
export const KEPT = new Set(['bagit.txt', 'bag-info.txt', BUNDLE_JSON, START, SIGNATURE]);
const JOURNAL = /^hozen\/journal\/([0-9]{6}|[1-9][0-9]{6,9})\.(jsonl|sig|pub)$/;
const ROWS = /^hozen\/files\/(?:[0-9]{6}|[1-9][0-9]{6,9})\.jsonl$/;
const MAX_KEPT = 1 << 20;
const MAX_SMALL = 4096; // a P-256 key or signature is below 200 bytes
const MAX_MANIFEST_LINE = 512;

/** Return who reads this path, `{ feed(piece), close() }`, or null when only its hash counts. */
export function readerFor(path, reading) {
  if (KEPT.has(path)) return new Whole(path, MAX_KEPT, (bytes) => reading.kept.set(path, bytes));
  if (path === MANIFEST || path === SEALED) return new Manifest(path, reading);
  if (ROWS.test(path)) return new Rows(path, reading.items);
  const [, number, ending] = JOURNAL.exec(path) ?? [];
  return number === undefined ? null : journalReader(path, Number(number), ending, reading);
}

function journalReader(path, epoch, ending, reading) {
  const { journal } = reading;
  const settled = (map) => async (value) => {
    map.set(epoch, value);
    await journal.settle(epoch);
  };
  if (ending === 'pub') return new Whole(path, MAX_SMALL, settled(journal.keys));
  if (ending === 'sig') return new Whole(path, MAX_SMALL, settled(journal.signatures));
  const segment = new SegmentReader(epoch, (record) => reading.record(record));
  return { feed: (piece) => segment.feed(piece), close: () => settled(journal.segments)(segment.close()) };
}

/** All bytes of a small file, given to `done`. */
class Whole {
  constructor(path, limit, done) {
    Object.assign(this, { path, limit, done, pieces: [], size: 0 });
  }

  feed(piece) {
    this.size += piece.length;
    if (this.size > this.limit) throw limitError('too-long', { what: this.path, limit: this.limit });
    this.pieces.push(piece.slice());
  }

  close() {
    return this.done(join(...this.pieces));
  }
}

/** Lines `<64 hex><two blanks><path>`, each path once in any case of letters (RFC 8493 §2.1.3). */
class Manifest {
  constructor(path, reading) {
    this.path = path;
    this.payload = path === MANIFEST;
    this.ledger = this.payload ? reading.payload : reading.tags;
    this.splitter = new LineSplitter(path, MAX_MANIFEST_LINE + 1);
    this.seen = new Set();
    this.number = 0;
  }

  feed(piece) {
    for (const line of this.splitter.feed(piece)) {
      this.number += 1;
      this.line(line);
    }
  }

  close() {
    this.splitter.close();
  }

  line(bytes) {
    const values = { what: this.path, number: this.number };
    const found = /^([0-9a-f]{64}) {2}([!-~]+)\n$/.exec(ascii(bytes) ?? '');
    if (found === null) throw formatError('manifest-line', values);
    const [, hash, path] = found;
    checkMemberPath(path);
    if (this.seen.has(path.toLowerCase())) throw formatError('manifest-twice', { ...values, name: path });
    this.seen.add(path.toLowerCase());
    const wrong = path.startsWith('data/') !== this.payload || path === SEALED || path === SIGNATURE;
    if (wrong) throw formatError('manifest-wrong', { name: path });
    this.ledger.listed(path, hash);
  }
}

/** The lines of files/<n>.jsonl. */
class Rows {
  constructor(path, items) {
    this.path = path;
    this.items = items;
    this.splitter = new LineSplitter(path);
    this.number = 0;
  }

  feed(piece) {
    for (const line of this.splitter.feed(piece)) {
      this.number += 1;
      this.items.row(parseRow(line, `${this.path} line ${this.number}`));
    }
  }

  close() {
    this.splitter.close();
  }
}
