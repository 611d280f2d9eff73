// Certificates out of foreign bytes: version 3, strict DER, every field consumed (RFC 5280 §4.1).

import { formatError, limitError } from './refusal.js';
import { Cursor, TAG, context, dotted, readOne, readTime, smallNumber, tlv, unsigned } from './der.js';
import { ascii, same, unbase64 } from './bytes.js';
import { readName } from './distinguished.js';
import { readExtensions } from './extensions.js';
import { sha256hex } from './sha256.js';

const MAX_CERTIFICATE = 64 * 1024;
const MAX_PEM = 1 << 20;
const MAX_BLOCKS = 64;
const CURVES = { '1.2.840.10045.3.1.7': 'P-256', '1.3.132.0.34': 'P-384' };
const EC_KEY = '1.2.840.10045.2.1';
const RSA_KEY = '1.2.840.113549.1.1.1';

/** Return the certificate that `der` is; FormatError when it is none. */
export function readCertificate(der) {
  const whole = readOne(der, TAG.sequence, 'certificate', MAX_CERTIFICATE).open();
  const tbs = whole.take(TAG.sequence, 'tbsCertificate');
  const algorithm = whole.take(TAG.sequence, 'signature algorithm');
  const signature = wholeBytes(whole.take(TAG.bits, 'signature'));
  whole.end('certificate');
  const found = readTbs(tbs.open(), algorithm);
  return { ...found, der, signed: tbs.whole, signature, fingerprint: sha256hex(der) };
}

function readTbs(at, outside) {
  const version = at.take(context(0), 'certificate version').open();
  if (smallNumber(version.take(TAG.integer, 'certificate version'), 'version') !== 2) wrong('a version other than 3');
  const serial = at.take(TAG.integer, 'serial number');
  if (unsigned(serial, 'serial number').every((byte) => byte === 0)) wrong('serial number 0');
  const algorithm = at.take(TAG.sequence, 'signature algorithm');
  if (!same(algorithm.whole, outside.whole)) wrong('two signature algorithms');
  const issuer = at.take(TAG.sequence, 'issuer');
  const validity = at.take(TAG.sequence, 'validity').open();
  const [notBefore, notAfter] = [readTime(validity.takeAny('validity')), readTime(validity.takeAny('validity'))];
  validity.end('validity');
  const subject = at.take(TAG.sequence, 'subject');
  const spki = at.take(TAG.sequence, 'public key');
  at.optional(context(1, false), 'issuer unique id');
  at.optional(context(2, false), 'subject unique id');
  const extensions = at.optional(context(3), 'extensions');
  at.end('tbsCertificate');
  return {
    issuer: readName(issuer), subject: readName(subject), notBefore, notAfter, key: readKey(spki),
    signatureAlgorithm: dotted(algorithm.open().take(TAG.oid, 'signature algorithm')),
    issuerWhole: issuer.whole, serialWhole: serial.whole,
    issuerAndSerial: tlv(TAG.sequence, issuer.whole, serial.whole),
    extensions: extensions === null ? [] : readExtensions(extensions),
  };
}

/** Return `{ kind: 'P-256' | 'P-384' | 'RSA' | 'other', bits, spki }` of a SubjectPublicKeyInfo. */
export function readKey(element) {
  const inside = element.open();
  const algorithm = inside.take(TAG.sequence, 'key algorithm').open();
  const kind = dotted(algorithm.take(TAG.oid, 'key algorithm'));
  const bits = wholeBytes(inside.take(TAG.bits, 'public key'));
  inside.end('public key');
  const spki = element.whole;
  if (kind === EC_KEY && algorithm.tag === TAG.oid) {
    return { kind: CURVES[dotted(algorithm.take(TAG.oid, 'curve'))] ?? 'other', spki };
  }
  if (kind !== RSA_KEY) return { kind: 'other', spki };
  const modulus = unsigned(new Cursor(bits).take(TAG.sequence, 'RSA key').open().take(TAG.integer, 'modulus'), 'modulus');
  const first = modulus[0] === 0 ? modulus.subarray(1) : modulus;
  return { kind: 'RSA', bits: first.length * 8 - (Math.clz32(first[0] ?? 0) - 24), spki };
}

/** Return label and bytes of each PEM block (RFC 7468). */
export function pemBlocks(bytes) {
  if (bytes.length > MAX_PEM) throw limitError('too-long', { what: 'PEM', limit: MAX_PEM });
  const text = new TextDecoder('latin1').decode(bytes);
  const found = [];
  const begin = /-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n/g;
  for (let head = begin.exec(text); head; head = begin.exec(text)) {
    if (found.length === MAX_BLOCKS) throw limitError('too-long', { what: 'PEM', limit: MAX_BLOCKS });
    const end = text.indexOf(`-----END ${head[1]}-----`, begin.lastIndex);
    if (end < 0) throw formatError('pem');
    found.push([head[1], unbase64(text.slice(begin.lastIndex, end).replace(/\s+/g, ''), 'PEM')]);
    begin.lastIndex = end;
  }
  return found;
}

/** Return the certificates of a PEM text or of one DER file; FormatError for none. */
export function readCertificates(bytes) {
  if (bytes[0] === TAG.sequence && ascii(bytes.subarray(0, 4)) === null) return [readCertificate(bytes)];
  const found = pemBlocks(bytes).filter(([label]) => label === 'CERTIFICATE').map(([, der]) => readCertificate(der));
  if (!found.length) throw formatError('no-certificate');
  return found;
}

function wholeBytes(element) {
  if (element.content[0] !== 0) wrong('a bit string that is not whole bytes');
  return element.content.subarray(1);
}

function wrong(what) {
  throw formatError('certificate', { what });
}
