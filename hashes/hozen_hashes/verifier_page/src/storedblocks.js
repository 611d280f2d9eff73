// The stored blocks at the beginning of a deflate stream (RFC 1951 §3.2.4), read as they lie: what does not shrink is
// written so (bundle-v1 §4), and the browser's inflate would cost as much as the hash.

import { formatError } from './refusal.js';
import { join } from './bytes.js';

const WINDOW = 32 << 10; // how far back a later block may refer

/** Yields the content of the leading stored blocks; afterwards `at` is behind them, and `ended` says whether that was all. */
export class StoredBlocks {
  constructor(forward, entry) {
    this.forward = forward;
    this.name = entry.name;
    this.at = entry.start;
    this.end = entry.start + entry.compressed;
    this.ended = false;
    this.recent = [];
    this.held = 0;
  }

  async *pieces() {
    while (!this.ended) {
      const header = await this.peek(5);
      if (!header.length || header[0] & 6) return;
      const [size, check] = [header[1] | (header[2] << 8), header[3] | (header[4] << 8)];
      if (header.length < 5 || size + check !== 0xffff) throw formatError('zip-deflate', { name: this.name });
      this.ended = Boolean(header[0] & 1);
      this.at += 5;
      yield* this.block(size);
    }
    if (this.at !== this.end) throw formatError('zip-deflate', { name: this.name });
  }

  async *block(size) {
    const end = this.at + size;
    if (end > this.end) throw formatError('zip-deflate', { name: this.name });
    while (this.at < end) {
      const piece = await this.forward.some(this.at, end - this.at);
      if (!piece.length) throw formatError('zip-ends');
      this.at += piece.length;
      this.remember(piece);
      yield piece;
    }
  }

  /** Up to `size` bytes from here without stepping over them. */
  async peek(size) {
    let found = new Uint8Array(0);
    while (found.length < size && this.at + found.length < this.end) {
      const more = await this.forward.some(this.at + found.length, Math.min(size - found.length, this.end - this.at - found.length));
      if (!more.length) throw formatError('zip-ends');
      found = join(found, more);
    }
    return found;
  }

  remember(piece) {
    const kept = piece.slice(-WINDOW); // a copy: the block it came from is given back
    this.recent.push(kept);
    this.held += kept.length;
    while (this.held - this.recent[0].length >= WINDOW) this.held -= this.recent.shift().length;
  }

  /** The bytes that a following block may refer to, as a stored block for whoever goes on; and how many they are. */
  lead() {
    const window = join(...this.recent).slice(-WINDOW);
    const { length } = window;
    if (!length) return { bytes: window, length };
    return { bytes: join([0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff], window), length };
  }
}
