// The spelling rules of a bundle: its id, its member names, percent-encoding, times (bundle-v1 §2, §3).

import { formatError } from './refusal.js';

const ID = /^hz-[0-9]{8}T[0-9]{6}Z-[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?-[0-9a-f]{8}$/;
const SEGMENT = '[a-z0-9_-][a-z0-9._-]{0,79}';
const PAYLOAD = 'data/[a-z][a-z0-9_]{0,47}/(?:[0-9]{6}|[1-9][0-9]{6,9})(?:\\.[a-z0-9]{1,8}){1,2}';
const PATH = new RegExp(`^(?:${PAYLOAD}|README-VERIFY\\.txt|(?!data(?:/|$))${SEGMENT}(?:/${SEGMENT})*)$`);
const DIRECTORY = new RegExp(`^${SEGMENT}(?:/${SEGMENT})*$`);
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$/;
const HASH = /^[0-9a-f]{64}$/;

export const MAX_MEMBER_NAME = 200;

export const isHash = (text) => typeof text === 'string' && HASH.test(text);

export function checkBundleId(text) {
  if (!ID.test(text)) throw formatError('bundle-id', { name: text.slice(0, 80) });
  return text;
}

export function checkMemberPath(path) {
  if (path.length > MAX_MEMBER_NAME || !PATH.test(path)) {
    throw formatError('member-path', { name: path.slice(0, 80) });
  }
  return path;
}

export function checkDirectoryPath(path) {
  if (path.length > MAX_MEMBER_NAME || !DIRECTORY.test(path)) {
    throw formatError('member-path', { name: path.slice(0, 80) });
  }
}

/** Bytes of percent-encoded text, which has one spelling only. */
export function percentDecode(text) {
  if (!/^(?:[!-$&-~]|%[0-9A-F]{2})*$/.test(text)) throw formatError('percent', { text: text.slice(0, 80) });
  const out = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] !== '%') out.push(text.charCodeAt(at));
    else {
      const byte = parseInt(text.slice(at + 1, at + 3), 16);
      if (byte >= 0x21 && byte <= 0x7e && byte !== 0x25) throw formatError('percent', { text: text.slice(0, 80) });
      out.push(byte);
      at += 2;
    }
  }
  return Uint8Array.from(out);
}

/** Return the time when it is spelled `2026-11-23T05:00:00.123456789Z` and the calendar has it. */
export function checkTime(text) {
  const whole = text.slice(0, 19);
  const found = TIME.test(text) ? new Date(whole + 'Z') : null;
  if (found === null || Number.isNaN(found.getTime()) || found.toISOString().slice(0, 19) !== whole || whole < '0001') {
    throw formatError('time', { text: text.slice(0, 40) });
  }
  return text;
}

/** A JavaScript time as the report has it, in whole seconds. */
export const isoSeconds = (when) => new Date(when).toISOString().slice(0, 19) + 'Z';
