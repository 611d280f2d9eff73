// Bytes: compared, joined, and read as numbers, hexadecimal and text.

import { formatError } from './refusal.js';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function hex(bytes) {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

export function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** Order of bytes, as DER orders a SET OF. */
export function order(one, other) {
  const size = Math.min(one.length, other.length);
  for (let at = 0; at < size; at += 1) if (one[at] !== other[at]) return one[at] - other[at];
  return one.length - other.length;
}

export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** ASCII text of the bytes, or null. */
export function ascii(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) {
    const piece = bytes.subarray(at, at + 8192);
    for (const byte of piece) if (byte > 0x7f) return null;
    text += String.fromCharCode(...piece);
  }
  return text;
}

/** UTF-8 text of the bytes, or null; nothing is replaced, nothing dropped. */
export function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

export const encode = (text) => new TextEncoder().encode(text);

/** Base64 in its one right spelling (RFC 4648 §4); `what` is for the message. */
export function unbase64(text, what) {
  let raw;
  try {
    raw = atob(text);
  } catch {
    throw formatError('base64', { what });
  }
  if (btoa(raw) !== text) throw formatError('base64', { what });
  return Uint8Array.from(raw, (char) => char.charCodeAt(0));
}

export const u16 = (bytes, at) => bytes[at] | (bytes[at + 1] << 8);
export const u32 = (bytes, at) => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

/** A 64-bit number, little-endian; beyond 2^53 no file is that large. */
export function u64(bytes, at) {
  const value = u32(bytes, at + 4) * 0x100000000 + u32(bytes, at);
  if (value > Number.MAX_SAFE_INTEGER) throw formatError('number-too-large');
  return value;
}
