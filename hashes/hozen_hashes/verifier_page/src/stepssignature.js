// Steps 9 to 11 of bundle-v1 §11: the machine seal, the chain to a root from outside, and the signed start.

import { expected } from './refusal.js';
import { unhex } from './bytes.js';
import { ChainError, verifyChain } from './chain.js';
import { verifyDetached } from './cms.js';
import { isoSeconds } from './names.js';
import { MATCH, NOT_RUN, NOT_VERIFIABLE, ended, judged, note } from './report.js';
import { SEALED, SIGNATURE, START } from './tagfiles.js';

/** Return `{ step, signature }`; mathematics only. */
export async function machineSeal(reading) {
  const [seal, p7s] = [reading.hashes.get(SEALED), reading.kept.get(SIGNATURE)];
  const absent = p7s === undefined ? SIGNATURE : SEALED;
  if (p7s === undefined || seal === undefined) return { step: judged(9, [note('absent', { path: absent })]), signature: null };
  try {
    return { step: ended(9, MATCH), signature: await verifyDetached(p7s, unhex(seal)) };
  } catch (error) {
    return { step: refused(9, error), signature: null };
  }
}

/** A signature that does not hold is a mismatch; a browser that cannot check it is 検証不能. */
export function refused(number, error) {
  const refusal = expected(error, (one) => one.badData || one.kind === 'unverifiable');
  const values = { reason: refusal.reason };
  return refusal.badData ? judged(number, [note('signature', values)]) : ended(number, NOT_VERIFIABLE, [note('not-checked', values)]);
}

export async function identity(signature, report, anchors, at) {
  if (!anchors.roots.length) return ended(10, NOT_RUN, [note('no-root')]);
  if (signature === null) return ended(10, NOT_VERIFIABLE, [note('no-signature')]);
  const { certificate, certificates } = signature;
  try {
    const path = await verifyChain(certificate, certificates, anchors.roots, at);
    return ended(10, MATCH, [note('chain-root', { root: path[path.length - 1].fingerprint })]);
  } catch (error) {
    return noPath(expected(error, (one) => one instanceof ChainError), certificate, report);
  }
}

function noPath(error, signer, report) {
  const values = { reason: error.reason };
  if (error.chain === 'expired' || error.chain === 'not_yet_valid') return ended(10, NOT_VERIFIABLE, [note(error.chain, values)]);
  const alone = signer.issuer.key === signer.subject.key && report.start?.identityKind === 'one-capture';
  if (error.chain === 'untrusted' && alone) return ended(10, NOT_VERIFIABLE, [note('one-capture')]);
  return judged(10, [note('chain', values)]);
}

/** The identity that sealed the end signed segment 0 before anything was read. */
export async function start(signature, report, reading) {
  const [p7s, first] = [reading.kept.get(START), reading.journal.segments.get(0)];
  if (p7s === undefined || first === undefined) {
    return judged(11, [note('absent', { path: p7s === undefined ? START : 'hozen/journal/000000.jsonl' })]);
  }
  let started;
  try {
    started = await verifyDetached(p7s, unhex(first.sha256));
  } catch (error) {
    return refused(11, error);
  }
  const notes = [];
  const { fingerprint } = started.certificate;
  if (signature !== null && fingerprint !== signature.certificate.fingerprint) notes.push(note('other-signer'));
  if (report.start !== null && report.start.certificate !== fingerprint) notes.push(note('start-certificate'));
  return judged(11, notes);
}

/** Whose certificate sealed the bundle; `claimed` is the signer's word. */
export function signerInfo(signature, report) {
  if (signature === null) return null;
  const { certificate, when } = signature;
  return {
    subject: certificate.subject.text, issuer: certificate.issuer.text, certificate_sha256: certificate.fingerprint,
    not_before: isoSeconds(certificate.notBefore), not_after: isoSeconds(certificate.notAfter), claimed: isoSeconds(when),
    kind: report.start?.identityKind ?? '',
  };
}
