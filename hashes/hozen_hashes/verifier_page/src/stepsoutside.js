// Step 12 of bundle-v1 §11: what the collector states about the bundle.

import { expected } from './refusal.js';
import { verifyReceipt } from './receipt.js';
import { MATCH, NOT_RUN, NOT_VERIFIABLE, ended, judged, note } from './report.js';
import { sha256hex } from './sha256.js';
import { acceptedBy } from './statement.js';
import { SEALED, SIGNATURE } from './tagfiles.js';

/** Return `{ step, vouched, moment, by }`; moment is the RFC 3339 time that somebody from outside vouches for, or null. */
export async function receipt(reading, anchors, at) {
  const nothing = (step) => ({ step, vouched: false, moment: null, by: '' });
  if (anchors.receipt === null) return nothing(ended(12, NOT_RUN, [note('no-receipt')]));
  const p7s = reading.kept.get(SIGNATURE);
  const about = {
    seal: reading.hashes.get(SEALED) ?? null, signature: p7s === undefined ? null : sha256hex(p7s), bundle: reading.bundleId,
    at, roots: anchors.roots, logKeys: anchors.logKeys,
  };
  try {
    return judge(await verifyReceipt(anchors.receipt, about), nothing);
  } catch (error) {
    const refusal = expected(error, () => true);
    const values = { reason: refusal.reason };
    const mismatch = refusal.kind === 'signature' || refusal.kind === 'mismatch';
    return nothing(mismatch ? judged(12, [note('receipt', values)]) : ended(12, NOT_VERIFIABLE, [note('receipt-unusable', values)]));
  }
}

function judge({ said, about, anchor }, nothing) {
  const { log } = said;
  if (anchor === null || !about) {
    return nothing(ended(12, NOT_VERIFIABLE, [note(anchor === null ? 'receipt-unanchored' : 'receipt-other', { log })]));
  }
  const moment = said['arrived-at'] ?? said.time;
  const values = { log, by: anchor, time: moment };
  if (acceptedBy(said)) return { step: ended(12, MATCH, [note('receipt-holds', values)]), vouched: true, moment, by: log };
  const step = ended(12, MATCH, [note('receipt-quarantine', { ...values, verified: said.verified ?? '-' })]);
  return { step, vouched: false, moment, by: log };
}
