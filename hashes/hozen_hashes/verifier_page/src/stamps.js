// Time stamps judged together: what each is about, whether it holds, and which renewals carry it (timestamp-v1 §2, §3).

import { Refusal, expected, signatureError } from './refusal.js';
import { TAG, dotted, tlv } from './der.js';
import { same } from './bytes.js';
import { ChainError, verifyChain } from './chain.js';
import { OID, extension } from './extensions.js';
import { holds, subtle } from './mathematics.js';
import { toMillis } from './moments.js';
import { isoSeconds } from './names.js';
import { HASHES, readReply } from './tsp.js';

const STAMPING = '1.3.6.1.5.5.7.3.8';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const BY_ALGORITHM = {
  '1.2.840.10045.4.3.2': 'SHA-256', '1.2.840.10045.4.3.3': 'SHA-384', '1.2.840.10045.4.3.4': 'SHA-512',
  '1.2.840.113549.1.1.11': 'SHA-256', '1.2.840.113549.1.1.12': 'SHA-384', '1.2.840.113549.1.1.13': 'SHA-512',
};
const MIN_RSA = 2048; // authorities outside Hozen's own format still use it

/** Return each stamp's verdict by its file name: state, target, time, authority, reason, renewedBy. */
export async function judgeStamps(files, targets, roots, at) {
  const known = new Map([...targets, ...files]);
  const first = new Map();
  for (const name of [...files.keys()].sort()) first.set(name, await alone(name, files.get(name), known, roots));
  return [...first.values()].map((stamp) => aged(stamp, first, at));
}

/** One stamp as of its own time. */
async function alone(name, reply, known, roots) {
  const blank = { name, target: '', time: null, authority: '', reason: null, renewedBy: '', token: null };
  let token;
  try {
    token = readReply(reply);
  } catch (error) {
    return { ...blank, state: 'unreadable', reason: expected(error).reason };
  }
  const target = await targetOf(token, name, known);
  const stamp = { ...blank, state: 'holds', target, time: token.latest, authority: token.signer.subject.text.slice(0, 200), token };
  if (!target) return { ...stamp, state: 'other' };
  try {
    await check(token, roots);
    return stamp;
  } catch (error) {
    const refusal = expected(error, (one) => one instanceof Refusal);
    const untrusted = refusal instanceof ChainError || refusal.kind === 'unverifiable' || refusal.reason.key === 'stamp-no-root';
    return { ...stamp, state: untrusted ? 'untrusted' : 'bad', reason: refusal.reason };
  }
}

async function targetOf(token, name, known) {
  for (const [one, data] of known) if (one !== name && same(await digest(token.hash, data), token.imprint)) return one;
  return '';
}

const digest = async (hash, data) => new Uint8Array(await subtle().digest(hash, data));

/** An authority under one of `roots` made the stamp, with a certificate for stamping alone and valid at its time. */
async function check(token, roots) {
  const { signer } = token;
  const when = toMillis(token.time);
  const values = { time: isoSeconds(when), name: signer.subject.text.slice(0, 120) };
  if (when < signer.notBefore) throw signatureError('stamp-predated', { ...values, begin: isoSeconds(signer.notBefore) });
  if (when > signer.notAfter) throw signatureError('stamp-past', { ...values, end: isoSeconds(signer.notAfter) });
  const usage = signer.extensions.find((one) => one.oid === OID.extendedKeyUsage);
  if (!usage?.critical || usage.value.length !== 1 || usage.value[0] !== STAMPING) throw signatureError('stamp-purpose', values);
  if (!roots.length) throw signatureError('stamp-no-root');
  await verifyChain(signer, token.certificates, roots, when, () => undefined, MIN_RSA);
  if (!(await signedInfo(token))) throw signatureError('stamp-changed', values);
}

/** Whether the signer's key signed the attributes, and these name the TSTInfo. */
async function signedInfo({ info, signer, signature }) {
  const values = new Map();
  for (const item of signature.attributes.open().rest(TAG.sequence, 'signed attributes')) {
    const inside = item.open();
    const kind = dotted(inside.take(TAG.oid, 'attribute type'));
    if (values.has(kind)) return false;
    values.set(kind, inside.take(TAG.set, 'attribute').open().takeAny('attribute'));
  }
  const [type, message] = [values.get(CONTENT_TYPE), values.get(MESSAGE_DIGEST)];
  const hash = HASHES[signature.digest];
  if (!hash || type?.tag !== TAG.oid || dotted(type) !== '1.2.840.113549.1.9.16.1.4' || message?.tag !== TAG.octets) return false;
  if (!same(message.content, await digest(hash, info))) return false;
  const how = BY_ALGORITHM[signature.algorithm] ?? hash;
  return holds(signer.key, signature.value, tlv(TAG.set, signature.attributes.content), how);
}

const validAt = (token, at) => token.signer.notBefore <= at && at <= token.signer.notAfter;

/** A stamp that held at its time, as of `at`: valid still, or carried by a renewal (RFC 4998 §5.2). */
function aged(stamp, every, at) {
  if (stamp.state !== 'holds' || validAt(stamp.token, at)) return stamp;
  const renewedBy = renewal(stamp, every, at, new Set([stamp.name]));
  if (renewedBy) return { ...stamp, renewedBy };
  return { ...stamp, state: 'expired', reason: { key: 'stamp-ended', values: { time: isoSeconds(stamp.token.signer.notAfter) } } };
}

function renewal(stamp, every, at, seen) {
  for (const later of every.values()) {
    if (seen.has(later.name) || later.target !== stamp.name || later.state !== 'holds') continue;
    const inTime = later.token.time >= stamp.token.time && validAt(stamp.token, toMillis(later.token.latest));
    if (inTime && (validAt(later.token, at) || renewal(later, every, at, new Set([...seen, later.name])))) return later.name;
  }
  return '';
}
