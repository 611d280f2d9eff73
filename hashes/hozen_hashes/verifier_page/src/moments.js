// Moments in nanoseconds since 1970, as BigInt: a time stamp and a receipt are compared exactly.

const SECOND = 1_000_000_000n;

/** Nanoseconds of a time that `checkTime` accepts. */
export const nanoseconds = (text) => BigInt(Date.parse(text.slice(0, 19) + 'Z')) * 1_000_000n + BigInt(text.slice(20, 29));

/** Nanoseconds as `2026-11-23T05:00:00.123456789Z`. */
export function rfc3339(ns) {
  const whole = new Date(Number(ns / SECOND) * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(ns % SECOND).padStart(9, '0')}Z`;
}

/** Milliseconds of the whole second below. */
export const toMillis = (ns) => Number(ns / SECOND) * 1000;

/** The earliest of some moments; null ones do not count. */
export const earliest = (...moments) => moments.filter((one) => one !== null).reduce((min, one) => (min === null || one < min ? one : min), null);
