// A time-stamping authority's raw reply, taken apart (RFC 3161 §2.4.2; timestamp-v1 §3). Nothing of it is believed yet.

import { formatError } from './refusal.js';
import { TAG, context, dotted, readOne, smallNumber } from './der.js';
import { same } from './bytes.js';
import { readCertificate } from './x509.js';

export const HASHES = {
  '2.16.840.1.101.3.4.2.1': 'SHA-256', '2.16.840.1.101.3.4.2.2': 'SHA-384', '2.16.840.1.101.3.4.2.3': 'SHA-512',
};
const SIGNED_DATA = '1.2.840.113549.1.7.2';
const TST_INFO = '1.2.840.113549.1.9.16.1.4';
const MOST = 64 * 1024;

/** Return what the reply says; times are nanoseconds since 1970 (BigInt). FormatError when it is no granted stamp. */
export function readReply(bytes) {
  const whole = readOne(bytes, TAG.sequence, 'TimeStampResp', MOST).open();
  const status = whole.take(TAG.sequence, 'status').open().take(TAG.integer, 'status');
  if (smallNumber(status, 'status') !== 0) throw formatError('stamp-refused');
  const content = whole.take(TAG.sequence, 'timeStampToken').open();
  whole.end('TimeStampResp');
  if (dotted(content.take(TAG.oid, 'contentType')) !== SIGNED_DATA) throw formatError('stamp-form');
  return signedData(content.take(context(0), 'content').open().take(TAG.sequence, 'SignedData').open());
}

function signedData(at) {
  at.take(TAG.integer, 'version');
  at.take(TAG.set, 'digestAlgorithms');
  const inside = at.take(TAG.sequence, 'encapContentInfo').open();
  if (dotted(inside.take(TAG.oid, 'eContentType')) !== TST_INFO) throw formatError('stamp-form');
  const info = inside.take(context(0), 'eContent').open().take(TAG.octets, 'TSTInfo').content;
  // Nobody signs the SET of certificates, and OpenSSL's own authority writes it unsorted: its order is not looked at.
  const certificates = (at.optional(context(0), 'certificates')?.open().rest(TAG.sequence, 'certificates') ?? []).map((one) => readCertificate(one.whole));
  at.optional(context(1), 'crls');
  const signers = at.take(TAG.set, 'signerInfos').open().rest(TAG.sequence, 'signerInfos');
  at.end('SignedData');
  if (signers.length !== 1) throw formatError('not-one', { what: 'signerInfos', count: signers.length });
  const signature = signerInfo(signers[0].open());
  const signer = certificates.find((one) => same(one.issuerAndSerial, signature.signerId));
  if (signer === undefined) throw formatError('stamp-no-signer');
  return { ...readInfo(info), info, certificates, signer, signature };
}

function signerInfo(at) {
  at.take(TAG.integer, 'version');
  const signerId = at.take(TAG.sequence, 'signer by issuer and serial number').whole;
  const digest = dotted(at.take(TAG.sequence, 'digest algorithm').open().take(TAG.oid, 'digest algorithm'));
  const attributes = at.take(context(0), 'signed attributes');
  const algorithm = dotted(at.take(TAG.sequence, 'signature algorithm').open().take(TAG.oid, 'signature algorithm'));
  const value = at.take(TAG.octets, 'signature').content;
  at.optional(context(1), 'unsigned attributes');
  at.end('SignerInfo');
  return { signerId, digest, attributes, algorithm, value };
}

/** Return `{ hash, imprint, time, latest }` of a TSTInfo. */
function readInfo(bytes) {
  const at = readOne(bytes, TAG.sequence, 'TSTInfo', MOST).open();
  if (smallNumber(at.take(TAG.integer, 'version'), 'version') !== 1) throw formatError('stamp-form');
  at.take(TAG.oid, 'policy');
  const inside = at.take(TAG.sequence, 'messageImprint').open();
  const hash = HASHES[dotted(inside.take(TAG.sequence, 'hash').open().take(TAG.oid, 'hash'))];
  const imprint = inside.take(TAG.octets, 'imprint').content;
  inside.end('messageImprint');
  if (hash === undefined) throw formatError('stamp-hash');
  at.take(TAG.integer, 'serial number');
  const time = readTime(at.take(TAG.generalized, 'genTime'));
  const accuracy = at.optional(TAG.sequence, 'accuracy');
  at.optional(TAG.boolean, 'ordering');
  at.optional(TAG.integer, 'nonce');
  at.optional(context(0), 'tsa');
  at.optional(context(1), 'extensions');
  at.end('TSTInfo');
  return { hash, imprint, time, latest: time + (accuracy === null ? 0n : readAccuracy(accuracy.open())) };
}

/** GeneralizedTime with an optional fraction (RFC 3161 §2.4.2), to the microsecond. */
function readTime(element) {
  const text = String.fromCharCode(...element.content.subarray(0, 40));
  const [, y, mo, d, h, mi, s, fraction] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?Z$/.exec(text) ?? [];
  const iso = `${y}-${mo}-${d}T${h}:${mi}:${s}`;
  const when = y === undefined ? NaN : Date.parse(iso + 'Z');
  if (Number.isNaN(when) || new Date(when).toISOString().slice(0, 19) !== iso || when < 0) throw formatError('der-time');
  return BigInt(when) * 1_000_000n + BigInt((fraction ?? '').slice(0, 6).padEnd(6, '0')) * 1000n;
}

function readAccuracy(at) {
  const parts = [[TAG.integer, 1_000_000_000n], [context(0, false), 1_000_000n], [context(1, false), 1000n]];
  const sum = parts.reduce((total, [tag, unit]) => {
    const found = at.optional(tag, 'accuracy');
    return found === null ? total : total + BigInt(smallNumber(found, 'accuracy')) * unit;
  }, 0n);
  at.end('accuracy');
  return sum;
}
