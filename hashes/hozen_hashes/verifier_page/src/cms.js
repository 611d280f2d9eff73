// A detached signature in exactly the form of bundle-v1 §9 (RFC 5652, CAdES-B-B); trust is the chain's question.

import { expected, signatureError } from './refusal.js';
import { TAG, context, dotted, readOne, smallNumber, tlv } from './der.js';
import { hex, same } from './bytes.js';
import { checkDigestAlgorithm, expect, nullOrAbsent, only, readAttributes } from './cmsattributes.js';
import { accepted, holds } from './mathematics.js';
import { readCertificate } from './x509.js';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const DATA = '1.2.840.113549.1.7.1';
const ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const RSA = ['1.2.840.113549.1.1.1', '1.2.840.113549.1.1.11'];
const MAX_SIGNATURE = 256 * 1024;
const MAX_CERTIFICATES = 16;

/** Return the signature when its key made it over content whose SHA-256 is `digest` (bytes); SignatureError if not. */
export async function verifyDetached(p7s, digest) {
  let found;
  try {
    found = await read(p7s);
  } catch (error) {
    const refusal = expected(error);
    throw refusal.kind === 'signature' ? refusal : signatureError('not-cms', { reason: refusal.reason });
  }
  if (!same(found.digest, digest)) throw signatureError('other-content', { signed: hex(found.digest), here: hex(digest) });
  return found;
}

async function read(p7s) {
  const fields = signedData(p7s);
  const embedded = certificates(fields.certificates);
  const info = signerInfo(fields.signer);
  const fitting = embedded.filter((one) => same(one.issuerAndSerial, info.signerId));
  if (fitting.length !== 1) throw signatureError('signer-certificate', { count: fitting.length });
  const [certificate] = fitting;
  if (!accepted(certificate.key)) throw signatureError('key-kind');
  const { digest, when } = readAttributes(info.attributes, certificate);
  checkAlgorithm(info.algorithm, certificate.key);
  // The attributes are signed as a SET OF, not under their [0] (RFC 5652 §5.4).
  const signed = tlv(TAG.set, info.attributes.content);
  if (!(await holds(certificate.key, info.signature, signed))) throw signatureError('signature-not-by-key');
  return { certificate, certificates: embedded, digest, when };
}

function signedData(p7s) {
  const whole = readOne(p7s, TAG.sequence, 'ContentInfo', MAX_SIGNATURE).open();
  expect(whole.take(TAG.oid, 'contentType'), SIGNED_DATA, 'content type');
  const explicit = whole.take(context(0), 'content');
  whole.end('ContentInfo');
  const inside = explicit.open();
  const at = inside.take(TAG.sequence, 'SignedData').open();
  inside.end('content');
  version(at, 'SignedData');
  checkDigestAlgorithm(only(at.take(TAG.set, 'digestAlgorithms'), 'digestAlgorithms'));
  const content = at.take(TAG.sequence, 'encapContentInfo').open();
  expect(content.take(TAG.oid, 'eContentType'), DATA, 'signed content type');
  if (content.tag !== undefined) throw signatureError('not-detached');
  const found = at.take(context(0), 'certificates');
  const signer = only(at.take(TAG.set, 'signerInfos'), 'signerInfos');
  at.end('SignedData');
  return { certificates: found, signer };
}

function version(at, what) {
  if (smallNumber(at.take(TAG.integer, `${what} version`), what) !== 1) throw signatureError('cms-version', { what });
}

function certificates(element) {
  const found = element.open().rest(TAG.sequence, 'certificates');
  if (found.length < 1 || found.length > MAX_CERTIFICATES) throw signatureError('certificate-count', { count: found.length });
  if (new Set(found.map((one) => hex(one.whole))).size !== found.length) throw signatureError('certificate-twice');
  return found.map((one) => readCertificate(one.whole));
}

function signerInfo(element) {
  const at = element.open();
  version(at, 'SignerInfo');
  const signerId = at.take(TAG.sequence, 'signer by issuer and serial number').whole;
  checkDigestAlgorithm(at.take(TAG.sequence, 'digest algorithm'));
  const attributes = at.take(context(0), 'signed attributes');
  const algorithm = at.take(TAG.sequence, 'signature algorithm');
  const signature = at.take(TAG.octets, 'signature').content;
  if (at.tag !== undefined) throw signatureError('unsigned-attributes');
  return { signerId, attributes, algorithm, signature };
}

function checkAlgorithm(element, key) {
  const inside = element.open();
  const kind = inside.take(TAG.oid, 'signature algorithm');
  if (key.kind === 'RSA') {
    if (!RSA.includes(dotted(kind))) throw signatureError('not-the-one', { what: 'signature algorithm', found: dotted(kind) });
    nullOrAbsent(inside, 'signature algorithm');
    return;
  }
  expect(kind, ECDSA_SHA256, 'signature algorithm');
  inside.end('signature algorithm');
}
