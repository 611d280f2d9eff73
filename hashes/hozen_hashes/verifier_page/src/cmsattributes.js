// The four signed attributes of CAdES-B-B, and the small checks that every part of a CMS shares (RFC 5652 §5.3, RFC 5035).

import { formatError, signatureError } from './refusal.js';
import { TAG, context, dotted, readTime, tlv } from './der.js';
import { hex, order, same } from './bytes.js';

const SHA256 = '2.16.840.1.101.3.4.2.1';
const DATA = '1.2.840.113549.1.7.1';
const NAMES = {
  '1.2.840.113549.1.9.3': 'contentType',
  '1.2.840.113549.1.9.4': 'messageDigest',
  '1.2.840.113549.1.9.5': 'signingTime',
  '1.2.840.113549.1.9.16.2.47': 'signingCertificateV2',
};

export function only(element, what) {
  const found = element.open().rest(TAG.sequence, what);
  if (found.length !== 1) throw signatureError('not-one', { what, count: found.length });
  return found[0];
}

export function expect(element, wanted, what) {
  const found = dotted(element);
  if (found !== wanted) throw signatureError('not-the-one', { what, found });
}

export function checkDigestAlgorithm(element) {
  const inside = element.open();
  expect(inside.take(TAG.oid, 'digest algorithm'), SHA256, 'digest algorithm');
  nullOrAbsent(inside, 'digest algorithm');
}

/** Parameters are NULL or absent, and nothing follows (RFC 5754 §2). */
export function nullOrAbsent(inside, what) {
  const parameters = inside.optional(TAG.null, what);
  if (parameters !== null && parameters.content.length) throw formatError('der-rest', { what });
  inside.end(what);
}

/** Return `{ digest, when }` after the check that these are the four attributes, once each, in DER order. */
export function readAttributes(element, signer) {
  const items = element.open().rest(TAG.sequence, 'signed attributes');
  if (items.some((item, at) => at && order(items[at - 1].whole, item.whole) > 0)) throw signatureError('attribute-order');
  const values = {};
  for (const item of items) {
    const [name, value] = attribute(item);
    if (name in values) throw signatureError('attribute-twice');
    values[name] = value;
  }
  const missing = Object.values(NAMES).filter((name) => !(name in values));
  if (missing.length) throw signatureError('attribute-missing', { names: missing.join(', ') });
  expect(tagged(values, 'contentType', TAG.oid), DATA, 'content type attribute');
  checkSigningCertificate(tagged(values, 'signingCertificateV2', TAG.sequence), signer);
  const digest = tagged(values, 'messageDigest', TAG.octets).content;
  if (digest.length !== 32) throw signatureError('digest-length');
  return { digest, when: readTime(values.signingTime) };
}

function attribute(item) {
  const inside = item.open();
  const kind = dotted(inside.take(TAG.oid, 'attribute type'));
  const name = NAMES[kind];
  if (name === undefined) throw signatureError('attribute-unknown', { name: kind });
  const values = inside.take(TAG.set, name);
  inside.end(name);
  const one = values.open();
  const value = one.takeAny(name);
  one.end(name);
  return [name, value];
}

function tagged(values, name, tag) {
  if (values[name].tag !== tag) throw signatureError('attribute-type', { name });
  return values[name];
}

/** One ESSCertIDv2 of the signer's certificate: SHA-256, issuerSerial right where it is there, no policies. */
function checkSigningCertificate(value, signer) {
  const whole = value.open();
  const first = only(whole.take(TAG.sequence, 'signingCertificateV2'), 'signingCertificateV2').open();
  whole.end('signingCertificateV2');
  const named = first.optional(TAG.sequence, 'certificate hash algorithm');
  if (named !== null) checkDigestAlgorithm(named);
  if (hex(first.take(TAG.octets, 'certificate hash').content) !== signer.fingerprint) throw signatureError('signing-certificate');
  const issuerSerial = first.optional(TAG.sequence, 'issuerSerial');
  first.end('ESSCertIDv2');
  if (issuerSerial === null) return;
  const right = tlv(TAG.sequence, tlv(TAG.sequence, tlv(context(4), signer.issuerWhole)), signer.serialWhole);
  if (!same(issuerSerial.whole, right)) throw signatureError('signing-certificate');
}
