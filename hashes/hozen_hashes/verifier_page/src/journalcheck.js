// The journal: each segment signed by its own key, which the one before announced (bundle-v1 §6).

import { expected, formatError } from './refusal.js';
import { TAG, readOne } from './der.js';
import { hex } from './bytes.js';
import { parseRecord } from './journalrecords.js';
import { LineSplitter } from './lines.js';
import { holds } from './mathematics.js';
import { Sha256, sha256hex } from './sha256.js';
import { pemBlocks, readKey } from './x509.js';

export const stem = (epoch) => String(epoch).padStart(6, '0');
const FLUSH = 4 << 20;

/** Reads one segment in pieces; every record but head and last goes to `onRecord`. */
export class SegmentReader {
  constructor(epoch, onRecord) {
    this.epoch = epoch;
    this.onRecord = onRecord;
    this.name = `${stem(epoch)}.jsonl`;
    this.hash = new Sha256();
    this.splitter = new LineSplitter(this.name);
    this.count = 0;
    this.head = this.start = this.last = this.problem = null;
    this.parts = [];
    this.held = 0;
  }

  feed(piece) {
    this.hash.update(piece);
    this.keep(piece);
    if (this.problem) return;
    try {
      for (const line of this.splitter.feed(piece)) {
        this.count += 1;
        this.take(parseRecord(line, `${this.name} record ${this.count}`));
      }
    } catch (error) {
      this.problem = expected(error).reason;
    }
  }

  close() {
    if (!this.problem) this.problem = this.ending();
    const { epoch, head, start, last, problem } = this;
    return { epoch, head, start, last, problem, text: new Blob(this.parts), sha256: hex(this.hash.digest()) };
  }

  /** WebCrypto checks signatures over text, never over a hash: the text stays, in Blobs, until that was done. */
  keep(piece) {
    this.parts.push(piece.slice());
    this.held += piece.length;
    if (this.held < FLUSH) return;
    this.parts = [new Blob(this.parts)];
    this.held = 0;
  }

  take(record) {
    if ((this.count === 1) !== (record.kind === 'segment')) throw formatError('segment-first', { name: this.name });
    if (this.last !== null) throw formatError('segment-after', { name: this.name });
    if (record.kind === 'segment') this.head = record;
    else if (record.kind === 'next' || record.kind === 'end') this.last = record;
    else {
      if (record.kind === 'start') {
        if (this.epoch !== 0 || this.start !== null) throw formatError('segment-start', { name: this.name });
        this.start = record;
      }
      this.onRecord(record);
    }
  }

  ending() {
    if (this.splitter.size) return { key: 'line-end', values: { what: this.name } };
    if (this.last === null) return { key: 'segment-end', values: { name: this.name } };
    if (this.epoch === 0 && this.start === null) return { key: 'segment-no-start', values: { name: this.name } };
    return null;
  }
}

/** Collects segments, keys and signatures, and judges the chain they make. */
export class JournalCheck {
  constructor() {
    this.bundleId = null;
    this.segments = new Map();
    this.keys = new Map();
    this.signatures = new Map();
    this.signed = new Map();
  }

  /** Check the signature of an epoch as soon as its three files are there, and let go of the text. */
  async settle(epoch) {
    const [segment, pem, signature] = [this.segments.get(epoch), this.keys.get(epoch), this.signatures.get(epoch)];
    if (!segment || !pem || !signature || this.signed.has(epoch)) return;
    this.signed.set(epoch, await signedBy(pem, signature, new Uint8Array(await segment.text.arrayBuffer())));
    segment.text = null;
  }

  finish() {
    const known = [...new Set([...this.segments.keys(), ...this.keys.keys(), ...this.signatures.keys()])].sort((a, b) => a - b);
    const problems = [];
    let proved = 0;
    for (const epoch of known) {
      const reason = this.problem(epoch, proved);
      if (reason) problems.push({ epoch, reason });
      else if (proved === epoch) proved += 1;
    }
    const highest = [...this.segments.keys()].reduce((most, epoch) => Math.max(most, epoch), -1);
    const last = this.segments.get(highest);
    const closed = last !== undefined && proved === last.epoch + 1 && last.last?.kind === 'end';
    return {
      proved, problems, end: closed ? last.last : null, segments: this.segments.size,
      start: this.segments.get(0)?.start ?? null, lastHash: last?.sha256 ?? '',
      firstKey: this.keys.has(0) ? sha256hex(this.keys.get(0)) : '',
    };
  }

  problem(epoch, proved) {
    const [segment, pem, signature] = [this.segments.get(epoch), this.keys.get(epoch), this.signatures.get(epoch)];
    const name = stem(epoch);
    if (!segment || !pem || !signature) {
      const parts = [[segment, 'jsonl'], [pem, 'pub'], [signature, 'sig']].filter(([part]) => !part);
      return { key: 'segment-absent', values: { names: parts.map(([, end]) => `${name}.${end}`).join(', ') } };
    }
    if (segment.problem) return segment.problem;
    if (!this.signed.get(epoch)) return { key: 'segment-signature', values: { name } };
    return this.chainProblem(segment, pem, proved);
  }

  chainProblem(segment, pem, proved) {
    const { epoch, head } = segment;
    const values = { name: stem(epoch), earlier: stem(epoch - 1) };
    const key = sha256hex(pem);
    const before = this.segments.get(epoch - 1);
    const rules = [
      [head !== null && head.epoch === epoch, 'segment-epoch'],
      [this.bundleId === null || this.bundleId === head?.bundle, 'segment-bundle'],
      [head?.key === key, 'segment-key'],
      [proved >= epoch, 'segment-follows-unproved'],
      [head?.previous === (before ? before.sha256 : null), 'segment-previous'],
      [epoch === 0 || (before?.last?.kind === 'next' && before.last.key === key), 'segment-announced'],
    ];
    const broken = rules.find(([right]) => !right);
    return broken ? { key: broken[1], values } : null;
  }
}

async function signedBy(pem, signature, text) {
  try {
    const [[label, der]] = pemBlocks(pem);
    const key = label === 'PUBLIC KEY' ? readKey(readOne(der, TAG.sequence, 'public key', 4096)) : null;
    return key?.kind === 'P-256' && (await holds(key, signature, text));
  } catch (error) {
    if (error instanceof TypeError || error.badData) return false;
    throw error;
  }
}
