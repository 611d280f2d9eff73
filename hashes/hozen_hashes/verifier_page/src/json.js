// JSON as the bundle writes it (bundle-v1 §2): one ASCII object, each key once, integers to 2^53, depth 16.
// JSON.parse alone would take a key twice and round a large integer, so it only reads the strings and numbers.

import { formatError, limitError } from './refusal.js';
import { ascii } from './bytes.js';

const MAX_BYTES = 1 << 20;
const MAX_DEPTH = 16;
const EXACT = 2 ** 53;
const EXACT_DIGITS = 17; // sign and the 16 digits of 2^53
const BLANK = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const WORDS = { true: true, false: false, null: null };
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** A number with a fraction or an exponent. */
export class Float {
  constructor(value) {
    this.value = value;
  }
}

/** Return the object in `bytes`, with or without LF; objects have no prototype. `what` is for the message. */
export function parseObject(bytes, what) {
  if (bytes.length > MAX_BYTES) throw limitError('json-size', { what });
  const text = ascii(bytes);
  if (text === null) throw formatError('json-ascii', { what });
  const reader = new Reader(text, what);
  const value = reader.value(1);
  reader.blank();
  if (reader.at !== text.length) throw formatError('json', { what });
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw formatError('json-object', { what });
  return value;
}

class Reader {
  constructor(text, what) {
    this.text = text;
    this.what = what;
    this.at = 0;
  }

  match(form) {
    form.lastIndex = this.at;
    const found = form.exec(this.text);
    if (found === null) throw formatError('json', { what: this.what });
    this.at = form.lastIndex;
    return found;
  }

  blank() {
    this.match(BLANK);
  }

  next(char) {
    if (this.text[this.at] !== char) throw formatError('json', { what: this.what });
    this.at += 1;
  }

  value(depth) {
    this.blank();
    const char = this.text[this.at];
    if (char === '"') return this.string();
    if (char === '{' || char === '[') {
      if (depth > MAX_DEPTH) throw limitError('json-depth', { what: this.what });
      return char === '{' ? this.object(depth) : this.list(depth);
    }
    if (char === '-' || (char >= '0' && char <= '9')) return this.number();
    return WORDS[this.match(WORD)[0]];
  }

  string() {
    const text = this.match(STRING)[0];
    if (!text.includes('\\')) return text.slice(1, -1);
    const value = JSON.parse(text);
    if (LONE.test(value)) throw formatError('json-surrogate', { what: this.what });
    return value;
  }

  number() {
    const [text, fraction, exponent] = this.match(NUMBER);
    const value = Number(text);
    const whole = fraction === undefined && exponent === undefined;
    // 2^53 + 1 rounds to 2^53: the text is compared, not the rounded value.
    if (!Number.isFinite(value) || (whole && (text.length > EXACT_DIGITS || Math.abs(value) > EXACT || String(BigInt(text)) !== String(BigInt(value))))) {
      throw formatError('json-number', { what: this.what });
    }
    // 1.0 is no integer where the format wants one: Python tells them apart, so does this.
    return whole ? value : new Float(value);
  }

  object(depth) {
    const found = Object.create(null);
    this.next('{');
    this.blank();
    if (this.text[this.at] === '}') return this.close(found);
    for (;;) {
      this.blank();
      const key = this.string();
      if (key in found) throw formatError('json-twice', { what: this.what });
      this.blank();
      this.next(':');
      found[key] = this.value(depth + 1);
      this.blank();
      if (this.text[this.at] !== ',') break;
      this.at += 1;
    }
    this.next('}');
    return found;
  }

  list(depth) {
    const found = [];
    this.next('[');
    this.blank();
    if (this.text[this.at] === ']') return this.close(found);
    for (;;) {
      found.push(this.value(depth + 1));
      this.blank();
      if (this.text[this.at] !== ',') break;
      this.at += 1;
    }
    this.next(']');
    return found;
  }

  close(found) {
    this.at += 1;
    return found;
  }
}
