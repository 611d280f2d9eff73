// A member's bytes: as they lie, or through the browser's raw inflate (RFC 1951), checked as they come out.

import { formatError, unverifiable } from './refusal.js';
import { crc32 } from './crc32.js';
import { StoredBlocks } from './storedblocks.js';

const INPUT = 64 << 10;
const STORED_PIECE = 1 << 20;

/** Yield the content of `entry` in pieces; a Refusal when size, CRC-32 or stream is not what the headers say. */
export async function* content(forward, entry) {
  const values = { name: entry.name };
  let size = 0, crc = 0;
  for await (const piece of entry.method === 0 ? input(forward, entry, STORED_PIECE) : inflated(forward, entry)) {
    size += piece.length;
    if (size > entry.size) throw formatError('zip-size', values);
    crc = crc32(piece, crc);
    yield piece;
  }
  if (size !== entry.size) throw formatError('zip-size', values);
  if (crc !== entry.crc) throw formatError('zip-crc', values);
}

async function* input(forward, entry, most) {
  const end = entry.start + entry.compressed;
  for (let at = entry.start; at < end;) {
    const piece = await forward.some(at, Math.min(most, end - at));
    if (!piece.length) throw formatError('zip-ends');
    at += piece.length;
    yield piece;
  }
}

async function* inflated(forward, entry) {
  const stored = new StoredBlocks(forward, entry);
  yield* stored.pieces();
  if (!stored.ended) yield* byBrowser(forward, entry, stored);
}

/** Inflate from where the stored blocks ended; what they held comes first, for references, and is left out again. */
async function* byBrowser(forward, entry, stored) {
  const stream = new (decompressor())('deflate-raw');
  const reader = stream.readable.getReader();
  const lead = stored.lead();
  const rest = { ...entry, start: stored.at, compressed: stored.end - stored.at };
  const feeding = feed(stream.writable.getWriter(), lead.bytes, input(forward, rest, INPUT));
  let skip = lead.length;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => ({ error })).then((got) => told(got, feeding, entry));
      if (done) return;
      const left = Math.min(skip, value.length);
      skip -= left;
      if (left < value.length) yield left ? value.subarray(left) : value;
    }
  } finally {
    reader.cancel().catch(() => undefined);
    await feeding; // nobody else may read forward before it has stopped
  }
}

function decompressor() {
  if (typeof DecompressionStream === 'undefined') throw unverifiable('no-inflate');
  return DecompressionStream;
}

/** Write all pieces; return what went wrong on our side, or null. The stream's own complaint reaches its reader. */
async function feed(writer, lead, pieces) {
  writer.closed.catch(() => undefined);
  try {
    if (lead.length) await writer.write(lead);
    for await (const piece of pieces) {
      await writer.ready;
      await writer.write(piece);
    }
    await writer.close();
    return null;
  } catch (error) {
    writer.abort(error).catch(() => undefined);
    return error;
  }
}

/** Pass on what was read; for a broken stream say whether the file or the stream was at fault. */
async function told(got, feeding, entry) {
  if (!('error' in got)) return got;
  const ours = await feeding;
  if (ours?.reason) throw ours;
  throw formatError('zip-deflate', { name: entry.name });
}
