// Step 13 of bundle-v1 §11: since when the bundle exists, said by a receipt or by time-stamping authorities (timestamp-v1).

import { earliest, nanoseconds, rfc3339, toMillis } from './moments.js';
import { MATCH, MISMATCH, NOT_RUN, NOT_VERIFIABLE, ended, note } from './report.js';
import { judgeStamps } from './stamps.js';
import { SIGNATURE } from './tagfiles.js';

/** Judge every stamp; `moment` is the earliest that holds for the machine seal, in nanoseconds, or null. */
export async function stamped(reading, anchors, at) {
  if (!anchors.timestamps.size) return { stamps: [], moment: null };
  const stamps = await judgeStamps(anchors.timestamps, targets(reading, anchors), anchors.tsaRoots, at);
  const holding = stamps.filter((one) => one.state === 'holds' && one.target === SIGNATURE);
  return { stamps, moment: earliest(...holding.map((one) => one.time)) };
}

function targets(reading, anchors) {
  const found = new Map();
  if (reading.kept.has(SIGNATURE)) found.set(SIGNATURE, reading.kept.get(SIGNATURE));
  for (const [name, data] of anchors.operator) if (name.endsWith('.p7s')) found.set(name, data);
  for (const name of ['receipt.p7s', 'checkpoint']) if (anchors.receipt?.has(name)) found.set(`receipt/${name}`, anchors.receipt.get(name));
  return found;
}

/** When the machine seal was known to exist, by whoever says the earliest; null when nobody from outside says it. */
export const known = (receipted, stamps) => earliest(receipted.moment === null ? null : nanoseconds(receipted.moment), stamps.moment);

/** When the signer's certificate must have been valid: when it was known to be used, else `at` (milliseconds). */
export const judgedAt = (moment, at) => (moment === null ? at : toMillis(moment));

/** 一致 when a receipt or a stamp shows it; a stamp that is about other bytes is 不一致. */
export function time(receipted, { stamps, moment }) {
  const notes = receipted.moment === null ? [] : [note('existed', { time: receipted.moment, log: receipted.by })];
  notes.push(...stamps.map(told));
  if (stamps.some((one) => one.state === 'other' || one.state === 'bad')) return ended(13, MISMATCH, notes);
  if (receipted.moment !== null || moment !== null) return ended(13, MATCH, notes);
  const nothing = !stamps.length && receipted.step.result === NOT_RUN;
  return ended(13, nothing ? NOT_RUN : NOT_VERIFIABLE, [...notes, note('no-time')]);
}

/** The note of one stamp; its tier is `none`: this page is given no list of authorities (timestamp-v1 §4). */
function told(stamp) {
  const key = stamp.state === 'holds' && stamp.renewedBy ? 'stamp-renewed' : `stamp-${stamp.state}`;
  return note(key, {
    file: stamp.name, target: stamp.target || '-', by: stamp.authority || '-', time: stamp.time === null ? '-' : rfc3339(stamp.time),
    reason: stamp.reason ?? '', renewal: stamp.renewedBy, tier: 'none', as_of: '-',
  });
}
