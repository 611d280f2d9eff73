// Typed reading of JSON that somebody else wrote: the value has the type, or the message says which key has not.

import { formatError } from './refusal.js';
import { isHash } from './names.js';
import { Float } from './json.js';

const DECIMAL = /^(?:0|[1-9][0-9]{0,19})$/;
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Float);

/** One JSON object; every getter throws on another type. Absent and null are the same to the `…OrNull` ones. */
export class Fields {
  constructor(found, what) {
    this.found = found;
    this.what = what;
  }

  has(key) {
    return key in this.found;
  }

  text(key) {
    return this.wanted(key, (value) => typeof value === 'string', 'a string');
  }

  textOrNull(key) {
    return this.orNull(key, 'text');
  }

  number(key) {
    return this.wanted(key, (value) => Number.isInteger(value) && value >= 0, 'an integer from 0');
  }

  flag(key) {
    return this.wanted(key, (value) => typeof value === 'boolean', 'true or false');
  }

  /** A decimal string, kept as text: it has one spelling, and may be beyond 2^53. */
  decimal(key) {
    return this.wanted(key, (value) => typeof value === 'string' && DECIMAL.test(value), 'a decimal string');
  }

  decimalOrNull(key) {
    return this.orNull(key, 'decimal');
  }

  hash(key) {
    return this.wanted(key, isHash, 'a SHA-256');
  }

  hashOrNull(key) {
    return this.orNull(key, 'hash');
  }

  inner(key) {
    return new Fields(this.wanted(key, isObject, 'an object'), `${this.what}, ${key}`);
  }

  texts(key) {
    if (!this.has(key)) return [];
    return this.wanted(key, (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'), 'a list');
  }

  objects(key) {
    if (!this.has(key)) return [];
    const found = this.wanted(key, (value) => Array.isArray(value) && value.every(isObject), 'a list of objects');
    return found.map((one) => new Fields(one, `${this.what}, ${key}`));
  }

  wanted(key, holds, wanted) {
    const value = this.found[key];
    if (holds(value)) return value;
    throw formatError(this.has(key) ? 'field-type' : 'field-absent', { what: this.what, key, wanted });
  }

  orNull(key, kind) {
    return this.found[key] === undefined || this.found[key] === null ? null : this[kind](key);
  }
}
