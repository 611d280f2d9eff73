// DER read strictly: only definite, minimal lengths, every bound checked, no byte skipped without a name (X.690 §10, §11).

import { formatError, limitError } from './refusal.js';
import { join } from './bytes.js';

export const TAG = {
  boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, null: 0x05, oid: 0x06,
  utc: 0x17, generalized: 0x18, sequence: 0x30, set: 0x31,
};
const MAX_DEPTH = 16;
const MAX_ELEMENTS = 64;

/** The tag byte of context-specific [number]. */
export const context = (number, constructed = true) => 0x80 | (constructed ? 0x20 : 0) | number;

/** One element as it lay in the bytes: `content`, and `whole` with tag and length. */
class Element {
  constructor(tag, content, whole, depth) {
    Object.assign(this, { tag, content, whole, depth });
  }

  open() {
    if (!(this.tag & 0x20)) throw formatError('der-primitive');
    if (this.depth >= MAX_DEPTH) throw limitError('der-depth');
    return new Cursor(this.content, this.depth + 1);
  }
}

/** A place in a run of elements; moves only forward. */
export class Cursor {
  constructor(data, depth = 0) {
    this.data = data;
    this.depth = depth;
    this.at = 0;
  }

  /** The tag byte of the next element, or undefined at the end. */
  get tag() {
    return this.data[this.at];
  }

  take(tag, what) {
    if (this.tag === undefined || this.tag !== tag) throw formatError('der-tag', { what });
    const start = this.at;
    const [body, end] = this.extent(what);
    this.at = end;
    return new Element(tag, this.data.subarray(body, end), this.data.subarray(start, end), this.depth);
  }

  takeAny(what) {
    return this.take(this.tag ?? -1, what);
  }

  optional(tag, what) {
    return this.tag === tag ? this.take(tag, what) : null;
  }

  rest(tag, what, most = MAX_ELEMENTS) {
    const found = [];
    while (this.tag !== undefined) {
      if (found.length === most) throw limitError('der-elements', { what });
      found.push(this.take(tag, what));
    }
    return found;
  }

  end(what) {
    if (this.tag !== undefined) throw formatError('der-rest', { what });
  }

  extent(what) {
    if ((this.data[this.at] & 0x1f) === 0x1f) throw formatError('der-tag', { what });
    let body = this.at + 2;
    let size = this.data[this.at + 1];
    if (size === undefined) throw formatError('der-length', { what });
    if (size >= 0x80) {
      const digits = this.data.subarray(body, body + (size & 0x7f));
      const count = size & 0x7f;
      size = digits.reduce((sum, byte) => sum * 256 + byte, 0);
      if (count < 1 || count > 4 || digits.length < count || digits[0] === 0 || size < 0x80) {
        throw formatError('der-length', { what });
      }
      body += count;
    }
    if (size > this.data.length - body) throw formatError('der-length', { what });
    return [body, body + size];
  }
}

/** The one element that `data` is. */
export function readOne(data, tag, what, most) {
  if (data.length > most) throw limitError('too-long', { what, limit: most });
  const cursor = new Cursor(data);
  const element = cursor.take(tag, what);
  cursor.end(what);
  return element;
}

/** The content of a minimal, non-negative INTEGER. */
export function unsigned(element, what) {
  const body = element.content;
  const padded = body.length > 1 && body[0] === 0 && !(body[1] & 0x80);
  if (!body.length || body[0] & 0x80 || padded) throw formatError('der-integer', { what });
  return body;
}

/** A small INTEGER as a number. */
export function smallNumber(element, what) {
  const body = unsigned(element, what);
  if (body.length > 6) throw limitError('too-long', { what, limit: 6 });
  return body.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Dotted form of an OBJECT IDENTIFIER. */
export function dotted(element) {
  const arcs = [];
  let value = 0, begun = false;
  for (const byte of element.content.subarray(0, 64)) {
    if (!begun && byte === 0x80) throw formatError('der-oid');
    value = value * 128 + (byte & 0x7f);
    begun = Boolean(byte & 0x80);
    if (!begun) {
      arcs.push(value);
      value = 0;
    }
  }
  if (begun || !arcs.length) throw formatError('der-oid');
  const first = Math.min(Math.floor(arcs[0] / 40), 2);
  return [first, arcs[0] - first * 40, ...arcs.slice(1)].join('.');
}

/** Milliseconds since 1970 of a time in whole seconds of UTC (RFC 5652 §11.3). */
export function readTime(element) {
  const text = String.fromCharCode(...element.content.subarray(0, 20));
  const long = element.tag === TAG.generalized;
  if (!long && element.tag !== TAG.utc) throw formatError('der-time');
  if (!(long ? /^[0-9]{14}Z$/ : /^[0-9]{12}Z$/).test(text)) throw formatError('der-time');
  const digits = long ? text : (text < '5' ? '20' : '19') + text;
  const [, y, mo, d, h, mi, s] = /^(....)(..)(..)(..)(..)(..)Z$/.exec(digits);
  const iso = `${y}-${mo}-${d}T${h}:${mi}:${s}`;
  const when = Date.parse(iso + 'Z');
  if (Number.isNaN(when) || new Date(when).toISOString().slice(0, 19) !== iso) throw formatError('der-time');
  if (long && y >= '1950' && y <= '2049') throw formatError('der-time');
  return when;
}

/** One element written: tag, minimal length, content. */
export function tlv(tag, ...parts) {
  const content = join(...parts);
  if (content.length < 0x80) return join([tag, content.length], content);
  const size = [];
  for (let rest = content.length; rest; rest = Math.floor(rest / 256)) size.unshift(rest & 0xff);
  return join([tag, 0x80 | size.length, ...size], content);
}
