// Signed notes and the keys of logs (C2SP signed-note; log-v1 §1, §4).

import { formatError, limitError, signatureError } from './refusal.js';
import { encode, hex, join, same, unbase64, utf8 } from './bytes.js';
import { verifyEd25519 } from './ed25519.js';
import { sha256, sha256hex } from './sha256.js';

export const MAX_NOTE = 512 * 1024;
const MAX_SIGNATURES = 64;
const MAX_NAME = 256;
const MAX_SIGNATURE_TEXT = 16 * 1024;
const BLANK = /[\s\u001c-\u001f\u0085+]/; // what Python and Go call a blank
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
const DASH = '\u2014';

/** Return the key in a vkey line: `{ name, id, bytes, fingerprint }`; the fingerprint is that of the line with LF. */
export function readVkey(bytes) {
  if (bytes.length > MAX_NAME + 128) throw formatError('vkey');
  const text = utf8(bytes[bytes.length - 1] === 10 ? bytes.subarray(0, -1) : bytes);
  const [, name, id, body] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text ?? '') ?? [];
  if (name === undefined) throw formatError('vkey');
  const typed = unbase64(body, 'vkey');
  checkKeyName(name);
  const right = hex(sha256(join(encode(name), [10], typed)).subarray(0, 4));
  if (typed.length !== 33 || typed[0] !== 1 || right !== id) throw formatError('vkey');
  return { name, id, bytes: typed.subarray(1), fingerprint: sha256hex(encode(text + '\n')) };
}

/** Return `{ text, signatures }`, nothing checked yet: the text is not to be believed. */
export function readNote(bytes) {
  if (bytes.length > MAX_NOTE) throw limitError('too-long', { what: 'checkpoint', limit: MAX_NOTE });
  const body = utf8(bytes);
  const cut = body === null || CONTROL.test(body) ? -1 : body.lastIndexOf('\n\n');
  if (cut < 1) throw formatError('note-form');
  const lines = body.slice(cut + 2).split('\n');
  if (lines.pop() !== '' || !lines.length) throw formatError('note-form');
  if (lines.length > MAX_SIGNATURES) throw limitError('too-long', { what: 'checkpoint', limit: MAX_SIGNATURES });
  return { text: body.slice(0, cut + 1), signatures: lines.map(readSignature) };
}

/** Check every signature of a known key; return the keys that signed, at least one. */
export async function verifyNote(note, keys) {
  const signers = [];
  for (const { name, id, signature } of note.signatures) {
    const key = keys.find((one) => one.name === name && one.id === id);
    if (key === undefined) continue;
    if (!(await verifyEd25519(key.bytes, signature, encode(note.text)))) throw signatureError('note-signature', { name });
    signers.push(key);
  }
  if (!signers.length) throw signatureError('note-unsigned');
  return signers;
}

export const sameKey = (one, other) => one.name === other.name && same(one.bytes, other.bytes);

function readSignature(line) {
  const [, dash, name, encoded] = /^([^ ]*) ([^ ]*) (.*)$/s.exec(line) ?? [];
  if (dash !== DASH) throw formatError('note-form');
  if (encoded.length > MAX_SIGNATURE_TEXT) throw formatError('note-form');
  const raw = unbase64(encoded, 'checkpoint');
  if (raw.length <= 4) throw formatError('note-form');
  checkKeyName(name);
  return { name, id: hex(raw.subarray(0, 4)), signature: raw.subarray(4) };
}

function checkKeyName(name) {
  if (!name || BLANK.test(name) || encode(name).length > MAX_NAME) throw formatError('key-name');
}
