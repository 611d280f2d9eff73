// The result of a check as data: words of bundle-v1 §11, notes by their key, differences by their kind.

export const MATCH = 'match';
export const MISMATCH = 'mismatch';
export const NOT_VERIFIABLE = 'not verifiable';
export const NOT_RUN = 'not run';
export const MAX_SHOWN = 1000;

export const note = (key, values = {}) => ({ key, values });

/** A step that ended; at most MAX_SHOWN differences, `count` says how many there are. */
export const ended = (number, result, notes = [], differences = []) => (
  { number, result, notes, differences: differences.slice(0, MAX_SHOWN), count: differences.length }
);

/** A mismatch with these notes and differences, or a match when there are none. */
export const judged = (number, notes, differences = []) => (
  ended(number, notes.length || differences.length ? MISMATCH : MATCH, notes, differences)
);

export const difference = (kind, path, detail = null) => ({ kind, path, detail });
