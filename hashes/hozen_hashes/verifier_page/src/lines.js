// Cuts a stream of pieces into lines without ever holding more than one line.

import { formatError, limitError } from './refusal.js';
import { join } from './bytes.js';

const LF = 10;

/** Give it pieces, take lines with their LF; `close` checks that the last line had one. */
export class LineSplitter {
  constructor(what, limit = 1 << 20) {
    this.what = what;
    this.limit = limit;
    this.held = [];
    this.size = 0;
  }

  *feed(piece) {
    let start = 0;
    for (let at = piece.indexOf(LF); at >= 0; at = piece.indexOf(LF, start)) {
      const tail = piece.subarray(start, at + 1);
      this.check(this.size + tail.length);
      const line = this.size ? join(...this.held, tail) : tail;
      this.held = [];
      this.size = 0;
      start = at + 1;
      yield line;
    }
    if (start < piece.length) {
      this.held.push(piece.slice(start));
      this.size += piece.length - start;
      this.check(this.size);
    }
  }

  close() {
    if (this.size) throw formatError('line-end', { what: this.what });
  }

  check(size) {
    if (size > this.limit) throw limitError('line-size', { what: this.what, limit: this.limit });
  }
}
