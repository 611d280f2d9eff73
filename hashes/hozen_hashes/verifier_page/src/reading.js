// One pass over the container; only what the steps need is kept: hashes, facts of the journal, small files.

import { expected, formatError } from './refusal.js';
import { hex } from './bytes.js';
import { Forward } from './container.js';
import { content } from './inflate.js';
import { Items } from './items.js';
import { JournalCheck } from './journalcheck.js';
import { Ledger } from './ledger.js';
import { Sha256 } from './sha256.js';
import { BUNDLE_JSON, KEPT, MANIFEST, PLAN, SEALED, SIGNATURE, START, readerFor } from './tagfiles.js';
import { isOurs, readDirectory } from './zipread.js';

const UNRECORDED = new Set(['bag-info.txt', BUNDLE_JSON, START, MANIFEST, SEALED, SIGNATURE]);
const HASHED = new Set([...KEPT, MANIFEST, SEALED, PLAN]);
const PROCESSES = 'data/processes/';

/** Whether a tag file must have a `member` record in the journal (bundle-v1 §6). */
const needsMemberRecord = (path) => (
  !UNRECORDED.has(path) && !path.startsWith('hozen/journal/') && !path.startsWith('signatures/')
);

export class Reading {
  constructor() {
    this.bundleId = null;
    this.container = []; // what the container as a whole does wrong
    this.limited = []; // why it was not read to its end
    this.kept = new Map();
    this.hashes = new Map();
    this.malformed = new Map();
    this.payload = new Ledger(() => true);
    this.tags = new Ledger(needsMemberRecord);
    this.journal = new JournalCheck();
    this.items = new Items();
    this.processes = new Set();
    this.members = 0;
    this.complete = false;
  }

  /** Take every member; `progress(bytes)` is told how far the container was read. */
  async read(container, progress) {
    try {
      await this.all(container, progress);
    } catch (error) {
      const refusal = expected(error, () => true);
      (refusal.kind === 'format' || refusal.kind === 'signature' ? this.container : this.limited).push(refusal.reason);
    }
    if (this.members === 0 && !(await isOurs(container))) {
      throw formatError('not-a-bundle', { reason: [...this.container, ...this.limited, { key: 'zip-empty', values: {} }][0] });
    }
    this.items.finish();
  }

  async all(container, progress) {
    const { bundleId, entries } = await readDirectory(container);
    this.bundleId = bundleId;
    const forward = new Forward(container);
    for (const entry of entries) {
      if (!(await this.member(forward, entry, progress)) && this.limited.length) return;
      progress(entry.end);
    }
    this.complete = true;
  }

  /** Take one member; return whether the rest can be judged without its bytes, or they were read. */
  async member(forward, entry, progress) {
    this.members += 1;
    const { path } = entry;
    const payload = path.startsWith('data/');
    const ledger = payload ? this.payload : this.tags;
    const hash = new Sha256();
    const reader = payload ? null : readerFor(path, this);
    try {
      let done = entry.start;
      for await (const piece of content(forward, entry)) {
        hash.update(piece);
        await this.hand(path, reader, (one) => one.feed(piece));
        if (entry.size > 1 << 24) progress(done += piece.length * (entry.compressed / entry.size));
      }
    } catch (error) {
      const damage = expected(error, () => true);
      const refused = damage.kind === 'unverifiable';
      const reason = { key: 'member', values: { name: path, reason: damage.reason } };
      (refused ? this.limited : this.container).push(reason);
      ledger.unreadable(path, damage.reason);
      return refused && payload;
    }
    await this.hand(path, reader, (one) => one.close());
    const digest = hex(hash.digest());
    ledger.found(path, digest, hash.size);
    if (!payload && HASHED.has(path)) this.hashes.set(path, digest);
    return true;
  }

  /** Let a tag file's reader do something; after its first complaint it is not asked again. */
  async hand(path, reader, what) {
    if (reader === null || this.malformed.has(path)) return;
    try {
      await what(reader);
    } catch (error) {
      this.malformed.set(path, expected(error, (one) => one.kind === 'format' || one.kind === 'limit').reason);
    }
  }

  record(record) {
    if (record.kind === 'item') {
      this.items.entry(record);
      const { path, sha256, size } = record.stored;
      if (path === null) return;
      this.payload.claimed(path, sha256, size);
      if (path.startsWith(PROCESSES)) this.processes.add(sha256);
    } else if (record.kind === 'member') this.tags.claimed(record.path, record.sha256, record.size);
  }
}

