// What ends a check: a kind, and the reason as a key of words.json with what is filled in. No sentence is made here.

/** The one error of this program. `kind`: format, limit, signature, mismatch, unverifiable or usage. */
export class Refusal extends Error {
  constructor(kind, key, values = {}) {
    super(key + ' ' + JSON.stringify(values));
    this.kind = kind;
    this.reason = { key, values };
  }

  /** Whether foreign bytes broke a rule (as opposed to a check that could not be made). */
  get badData() {
    return this.kind === 'format' || this.kind === 'limit' || this.kind === 'signature';
  }
}

export const formatError = (key, values) => new Refusal('format', key, values);
export const limitError = (key, values) => new Refusal('limit', key, values);
export const signatureError = (key, values) => new Refusal('signature', key, values);
export const mismatchError = (key, values) => new Refusal('mismatch', key, values);
export const unverifiable = (key, values) => new Refusal('unverifiable', key, values);

/** Return the error if it is a Refusal that `wanted` accepts; throw it on otherwise. */
export function expected(error, wanted = (one) => one.badData) {
  if (error instanceof Refusal && wanted(error)) return error;
  throw error;
}
