// The offline proof that a leaf is in a log: index, path, checkpoint (C2SP tlog-proof; RFC 9162 §2.1.3.2; log-v1 §5, §6).

import { formatError, limitError, signatureError } from './refusal.js';
import { ascii, encode, join, same, unbase64 } from './bytes.js';
import { MAX_NOTE, readNote, verifyNote } from './notes.js';
import { sha256 } from './sha256.js';

const HEADER = 'c2sp.org/tlog-proof@v1';
const MAX_EXTRA = 64 * 1024;
const MAX_PATH = 64;
export const MAX_PROOF = 2 * MAX_EXTRA + MAX_NOTE;
const LAST = 2n ** 63n - 1n;

/** A decimal number without leading zeroes, below 2^63. */
export function readDecimal(text, what) {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) > LAST) throw formatError('decimal', { what });
  return BigInt(text);
}

/** Return `{ index, path, checkpoint, note }` of a proof file; nothing is checked yet. */
export function readProof(bytes) {
  if (bytes.length > MAX_PROOF) throw limitError('too-long', { what: 'receipt.tlog-proof', limit: MAX_PROOF });
  const cut = bytes.findIndex((byte, at) => byte === 10 && bytes[at + 1] === 10);
  const head = cut < 0 ? null : ascii(bytes.subarray(0, cut));
  if (head === null) throw formatError('proof-form');
  const lines = head.split('\n');
  if (lines.shift() !== HEADER) throw formatError('proof-form');
  if (lines[0]?.startsWith('extra ')) {
    const extra = unbase64(lines.shift().slice(6), 'extra');
    if (!extra.length || extra.length > MAX_EXTRA) throw formatError('proof-form');
  }
  if (!lines[0]?.startsWith('index ')) throw formatError('proof-form');
  const index = readDecimal(lines.shift().slice(6), 'index');
  const note = readNote(bytes.subarray(cut + 2));
  const checkpoint = readCheckpoint(note.text);
  if (lines.length >= MAX_PATH) throw formatError('proof-form');
  const path = lines.map((line) => unbase64(line, 'proof'));
  if (path.some((one) => one.length !== 32)) throw formatError('proof-form');
  return { index, path, checkpoint, note };
}

function readCheckpoint(text) {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 3 || lines.includes('')) throw formatError('checkpoint-form');
  const [origin, size, root] = lines;
  if (encode(origin).length > 256) throw formatError('checkpoint-form');
  const found = { origin, size: readDecimal(size, 'checkpoint'), root: unbase64(root, 'checkpoint') };
  const empty = found.size === 0n && !same(found.root, sha256(new Uint8Array(0)));
  if (found.root.length !== 32 || empty) throw formatError('checkpoint-form');
  return found;
}

/** Check the checkpoint's signature by `key`, and that `leaf` (bytes) lies at the index under its root. */
export async function verifyProof(proof, leaf, key) {
  const { checkpoint, note, index, path } = proof;
  const signers = await verifyNote(note, [key]);
  if (!signers.some((one) => one.name === checkpoint.origin)) throw signatureError('checkpoint-origin', { name: checkpoint.origin });
  const root = rootFrom(index, checkpoint.size, sha256(join([0], leaf)), path);
  if (!same(root, checkpoint.root)) throw signatureError('inclusion', { index: String(index) });
}

/** The root that a leaf hash at `index` and its path lead to. */
export function rootFrom(index, size, leaf, path) {
  if (index >= size) throw signatureError('inclusion', { index: String(index) });
  const node = (left, right) => sha256(join([1], left, right));
  let [at, last, value] = [index, size - 1n, leaf];
  for (const sibling of path) {
    if (last === 0n) throw signatureError('inclusion', { index: String(index) });
    if (at & 1n || at === last) {
      value = node(sibling, value);
      while (!(at & 1n) && at) [at, last] = [at >> 1n, last >> 1n]; // levels on which this node has no sibling
    } else value = node(value, sibling);
    [at, last] = [at >> 1n, last >> 1n];
  }
  if (last) throw signatureError('inclusion', { index: String(index) });
  return value;
}
