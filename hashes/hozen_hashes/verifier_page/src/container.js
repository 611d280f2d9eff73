// A container in one file or in volumes, read from any place without ever holding more than a window of it (bundle-v1 §4).

import { formatError, unverifiable } from './refusal.js';
import { join } from './bytes.js';

const BLOCK = 4 << 20;
const PEEK = 64 << 10;
const MAX_VOLUMES = 999;

/** Return the volumes in their order; FormatError when one is missing, empty or larger than the first. */
export function inOrder(files) {
  if (files.length > MAX_VOLUMES) throw formatError('volume-missing', { name: `${MAX_VOLUMES + 1}` });
  const numbered = files.map((file) => [Number(/\.([0-9]{3})$/.exec(file.name)?.[1] ?? 1), file]);
  numbered.sort(([one], [other]) => one - other);
  numbered.forEach(([number], at) => {
    if (number !== at + 1) throw formatError('volume-missing', { name: `.${String(at + 1).padStart(3, '0')}` });
  });
  const sorted = numbered.map(([, file]) => file);
  const odd = sorted.some((file) => file.size > sorted[0].size || (sorted.length > 1 && file.size === 0));
  if (odd) throw formatError('volume-size');
  return sorted;
}

/** Several Blobs one after another. */
export class Container {
  constructor(blobs) {
    this.blobs = blobs;
    this.size = blobs.reduce((sum, blob) => sum + blob.size, 0);
  }

  /** Return up to `length` bytes from `at`; fewer only at the end of the container. */
  async read(at, length) {
    const pieces = [];
    let start = at;
    const end = Math.min(at + length, this.size);
    for (const blob of this.blobs) {
      if (start < blob.size && start >= 0 && end - at > total(pieces)) {
        const piece = await slice(blob, start, Math.min(blob.size, start + end - at - total(pieces)));
        pieces.push(piece);
        start += piece.length;
      }
      start -= blob.size;
    }
    return pieces.length === 1 ? pieces[0] : join(...pieces);
  }
}

const total = (pieces) => pieces.reduce((sum, piece) => sum + piece.length, 0);

async function slice(blob, from, to) {
  let bytes;
  try {
    bytes = await streamed(blob.slice(from, to));
  } catch (error) {
    throw unverifiable('file-refused', { name: error.name });
  }
  if (bytes.length !== to - from) throw unverifiable('file-refused', { name: 'NotReadableError' });
  return bytes;
}

/** All bytes of a slice, through its stream: `arrayBuffer` keeps every slice until a garbage collection that comes late. */
async function streamed(blob) {
  const bytes = new Uint8Array(blob.size);
  const reader = blob.stream().getReader();
  let at = 0;
  for (let got = await reader.read(); !got.done; got = await reader.read()) {
    bytes.set(got.value, at);
    at += got.value.length;
  }
  return bytes.subarray(0, at);
}

/** Small reads, mostly forward: header after header. */
export class Peek {
  constructor(container) {
    this.container = container;
    this.at = 0;
    this.held = new Uint8Array(0);
  }

  /** Return exactly so many bytes from `at`; FormatError when the container ends before. */
  async take(at, size) {
    if (at < this.at || at + size > this.at + this.held.length) {
      this.held = await this.container.read(at, Math.max(size, PEEK));
      this.at = at;
    }
    const found = this.held.subarray(at - this.at, at - this.at + size);
    if (found.length < size) throw formatError('zip-ends');
    return found;
  }
}

/** Large reads forward; the next block is on its way while this one is used. What it gives is gone after the next call. */
export class Forward {
  constructor(container) {
    this.container = container;
    this.at = 0;
    this.held = new Uint8Array(0);
    this.coming = null;
  }

  /** Return between 1 and `limit` bytes from `position`; none at the end. */
  async some(position, limit) {
    if (position < this.at || position >= this.at + this.held.length) await this.load(position);
    const from = position - this.at;
    return this.held.subarray(from, from + limit);
  }

  async load(position) {
    const coming = this.coming;
    this.coming = null;
    const near = coming !== null && position >= coming.at && position < coming.at + BLOCK;
    const found = near ? coming : this.ahead(position);
    const used = this.held;
    this.held = await found.bytes;
    this.at = found.at;
    used.buffer.transfer?.(0); // given back at once: the collector of garbage comes late for what lies outside its heap
    this.coming = this.ahead(this.at + this.held.length);
  }

  ahead(at) {
    const bytes = at < this.container.size ? this.container.read(at, BLOCK) : Promise.resolve(new Uint8Array(0));
    bytes.catch(() => undefined); // told when it is asked for
    return { at, bytes };
  }
}
