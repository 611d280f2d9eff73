// Whether a key made a signature: the browser's own WebCrypto, after the form of key and signature was checked.

import { formatError, unverifiable } from './refusal.js';
import { Cursor, TAG, unsigned } from './der.js';
import { join } from './bytes.js';

const SIZES = { 'P-256': 32, 'P-384': 48 };
export const MIN_RSA = 3072;
const MAX_RSA = 16384;

/** Whether bundle-v1 §9 accepts a key of this kind and size. */
export const accepted = (key, minRsa = MIN_RSA) => key.kind in SIZES || (key.kind === 'RSA' && key.bits >= minRsa && key.bits <= MAX_RSA);

/** Return the browser's cryptography; pages that came over plain HTTP have none. */
export function subtle() {
  const found = globalThis.crypto?.subtle;
  if (!found) throw unverifiable('no-webcrypto');
  return found;
}

/** Return whether `key` (of `readKey`) made `signature` over `data`; `hash` is `SHA-256`, `-384` or `-512`. */
export async function holds(key, signature, data, hash = 'SHA-256') {
  const how = key.kind === 'RSA' ? { name: 'RSASSA-PKCS1-v1_5', hash } : { name: 'ECDSA', namedCurve: key.kind, hash };
  const raw = key.kind === 'RSA' ? signature : plain(signature, SIZES[key.kind]);
  if (raw === null) return false;
  const browser = subtle();
  try {
    const imported = await browser.importKey('spki', key.spki, how, false, ['verify']);
    return await browser.verify(how, imported, raw, data);
  } catch {
    return false; // a key that is no key: DataError
  }
}

/** Turn a DER signature, SEQUENCE of r and s, into r and s side by side; null when it is none. */
function plain(der, size) {
  try {
    const whole = new Cursor(der);
    const inside = whole.take(TAG.sequence, 'signature').open();
    whole.end('signature');
    const numbers = [inside.take(TAG.integer, 'r'), inside.take(TAG.integer, 's')].map((one) => fixed(one, size));
    inside.end('signature');
    return join(...numbers);
  } catch (error) {
    if (error.badData) return null;
    throw error;
  }
}

function fixed(element, size) {
  const body = unsigned(element, 'signature');
  const digits = body[0] === 0 ? body.subarray(1) : body;
  if (digits.length > size) throw formatError('der-integer', { what: 'signature' });
  return join(new Uint8Array(size - digits.length), digits);
}
