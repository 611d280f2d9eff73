// The extensions of a certificate that a path looks at; all others are listed by their identifier (RFC 5280 §4.2).

import { formatError } from './refusal.js';
import { TAG, context, dotted, readOne, smallNumber } from './der.js';
import { utf8 } from './bytes.js';

export const OID = {
  basicConstraints: '2.5.29.19', keyUsage: '2.5.29.15', extendedKeyUsage: '2.5.29.37', alternativeName: '2.5.29.17',
  subjectKey: '2.5.29.14', authorityKey: '2.5.29.35', policies: '2.5.29.32',
};
const MOST = 1 << 16;
const READERS = {
  [OID.basicConstraints]: basicConstraints,
  [OID.keyUsage]: keyUsage,
  [OID.extendedKeyUsage]: (bytes) => readOne(bytes, TAG.sequence, 'key purposes', MOST).open().rest(TAG.oid, 'key purposes').map(dotted),
  [OID.alternativeName]: uris,
};

/** Return a list of `{ oid, critical, value }`; value is undefined where nobody asks for it. */
export function readExtensions(element) {
  const inside = element.open();
  const list = inside.take(TAG.sequence, 'extensions').open().rest(TAG.sequence, 'extensions');
  inside.end('extensions');
  const found = list.map(readOneExtension);
  if (new Set(found.map((one) => one.oid)).size !== found.length) throw formatError('certificate', { what: 'an extension twice' });
  return found;
}

function readOneExtension(element) {
  const at = element.open();
  const oid = dotted(at.take(TAG.oid, 'extension'));
  const critical = at.optional(TAG.boolean, 'critical');
  const bytes = at.take(TAG.octets, 'extension').content;
  at.end('extension');
  if (critical !== null && !(critical.content.length === 1 && critical.content[0] === 0xff)) {
    throw formatError('certificate', { what: 'a critical flag that is not DER' });
  }
  return { oid, critical: critical !== null, value: READERS[oid]?.(bytes) };
}

function basicConstraints(bytes) {
  const at = readOne(bytes, TAG.sequence, 'basic constraints', MOST).open();
  const ca = at.optional(TAG.boolean, 'ca');
  const length = at.optional(TAG.integer, 'path length');
  at.end('basic constraints');
  return { ca: ca !== null && ca.content[0] === 0xff, pathLength: length === null ? null : smallNumber(length, 'path length') };
}

/** Key usage as bits from the first: digitalSignature is bit 0, contentCommitment 1, keyCertSign 5. */
function keyUsage(bytes) {
  const content = readOne(bytes, TAG.bits, 'key usage', MOST).content;
  return { has: (bit) => Boolean(((content[1 + (bit >> 3)] ?? 0) >> (7 - (bit & 7))) & 1) };
}

function uris(bytes) {
  const at = readOne(bytes, TAG.sequence, 'alternative names', MOST).open();
  const found = [];
  while (at.tag !== undefined) {
    const name = at.takeAny('alternative name');
    if (name.tag === context(6, false)) found.push(utf8(name.content));
  }
  return found;
}

/** Return the value of an extension, or null. */
export const extension = (certificate, oid) => certificate.extensions.find((one) => one.oid === oid)?.value ?? null;
