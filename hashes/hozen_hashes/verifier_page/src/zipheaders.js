// One ZIP header, with everything refused that bundle-v1 §4 does not know (APPNOTE 6.3.10 §4.3, §4.5.3).

import { formatError } from './refusal.js';
import { ascii, u16, u32, u64 } from './bytes.js';

export const SIZE = { local: 30, central: 46, descriptor32: 16, descriptor64: 24, end: 22, end64: 56, locator: 20 };
export const MAX_ENTRY = 46 + 200 + 1024;
const U32_MAX = 0xffffffff;
const ENCRYPTED = 0x2041;
const KNOWN_FLAGS = 0x080e;
const REFUSED = new Set([0x7075, 0x6375, 0x9901, 0x0017]); // a second name, a comment, encryption twice

/** Return name, kind and sizes of the local header at `at`; `length` is how long it is. */
export async function readLocal(peek, at) {
  const h = await peek.take(at, SIZE.local);
  if (u32(h, 0) !== 0x04034b50) throw formatError('zip-no-member');
  const [nameLength, extraLength] = [u16(h, 26), u16(h, 28)];
  const found = {
    version: u16(h, 4), flags: u16(h, 6), method: u16(h, 8), crc: u32(h, 14), compressed: u32(h, 18), size: u32(h, 22),
    length: SIZE.local + nameLength + extraLength,
  };
  const extra = await nameAndExtra(peek, at + SIZE.local, nameLength, extraLength, found);
  checkKind(found);
  const field = zip64(extra, found.name);
  found.zip64 = field !== null;
  found.streamed = Boolean(found.flags & 8);
  if (field !== null) local64(field, found);
  else if (found.compressed === U32_MAX || found.size === U32_MAX) throw formatError('zip-zip64', { name: found.name });
  return found;
}

/** Return the entry of the central directory at `at`. */
export async function readCentral(peek, at) {
  const h = await peek.take(at, SIZE.central);
  if (u32(h, 0) !== 0x02014b50) throw formatError('zip-no-entry');
  const [nameLength, extraLength] = [u16(h, 28), u16(h, 30)];
  const found = {
    version: u16(h, 6), flags: u16(h, 8), method: u16(h, 10), crc: u32(h, 16), compressed: u32(h, 20), size: u32(h, 24),
    offset: u32(h, 42), length: SIZE.central + nameLength + extraLength,
  };
  const [comment, disk, external] = [u16(h, 32), u16(h, 34), u32(h, 38)];
  const extra = await nameAndExtra(peek, at + SIZE.central, nameLength, extraLength, found);
  const { name } = found;
  checkKind(found);
  if (comment || disk) throw formatError('zip-comment', { name });
  checkMode(name, external);
  if (name.endsWith('/') && (found.method || found.crc || found.compressed || found.size)) throw formatError('zip-directory', { name });
  const field = zip64(extra, name);
  if (field !== null) central64(field, found);
  else if ([found.size, found.compressed, found.offset].includes(U32_MAX)) throw formatError('zip-zip64', { name });
  return found;
}

/** Refuse a local header that speaks of another member; a streamed one may leave its values zero. */
export function checkAgainst(local, central) {
  const kind = local.name === central.name && local.method === central.method && local.flags === central.flags;
  const keys = ['crc', 'compressed', 'size'];
  const equal = keys.every((key) => local[key] === central[key]);
  const loose = local.streamed && !(local.method === 0 && local.size !== central.size)
    && keys.every((key) => local[key] === 0 || local[key] === central[key]);
  if (!kind || !(equal || loose)) throw formatError('zip-contradiction', { name: central.name });
}

/** Check the data descriptor at `at`, after a streamed member; return its length. */
export async function checkDescriptor(peek, at, local, central) {
  const large = local.zip64 || central.compressed > U32_MAX || central.size > U32_MAX;
  const length = large ? SIZE.descriptor64 : SIZE.descriptor32;
  const d = await peek.take(at, length);
  const [compressed, size] = large ? [u64(d, 8), u64(d, 16)] : [u32(d, 8), u32(d, 12)];
  const right = u32(d, 0) === 0x08074b50 && u32(d, 4) === central.crc;
  if (!right || compressed !== central.compressed || size !== central.size) throw formatError('zip-descriptor', { name: central.name });
  return length;
}

async function nameAndExtra(peek, at, nameLength, extraLength, found) {
  if (nameLength < 1 || nameLength > 200 || extraLength > 1024) throw formatError('zip-lengths');
  const raw = await peek.take(at, nameLength + extraLength);
  found.name = ascii(raw.subarray(0, nameLength));
  if (found.name === null) throw formatError('zip-name');
  return raw.subarray(nameLength);
}

function checkKind({ name, version, flags, method }) {
  if (flags & ENCRYPTED) throw formatError('zip-encrypted', { name });
  if (flags & ~KNOWN_FLAGS) throw formatError('zip-flags', { name });
  if (method !== 0 && method !== 8) throw formatError('zip-method', { name });
  if ((version & 0xff) > 63) throw formatError('zip-flags', { name });
}

function checkMode(name, external) {
  const directory = name.endsWith('/');
  const kind = (external >>> 16) & 0o170000;
  if (kind !== 0 && kind !== (directory ? 0o040000 : 0o100000)) throw formatError('zip-link', { name });
  if (external & 0x10 && !directory) throw formatError('zip-link', { name });
}

/** The ZIP64 field, or null; every field is walked and must fit. */
function zip64(extra, name) {
  let found = null;
  for (let at = 0; at < extra.length;) {
    if (at + 4 > extra.length) throw formatError('zip-extra', { name });
    const [identifier, length] = [u16(extra, at), u16(extra, at + 2)];
    at += 4 + length;
    if (at > extra.length || REFUSED.has(identifier)) throw formatError('zip-extra', { name });
    if (identifier === 1) {
      if (found !== null) throw formatError('zip-extra', { name });
      found = extra.subarray(at - length, at);
    }
  }
  return found;
}

function local64(field, found) {
  if (field.length !== 16) throw formatError('zip-zip64', { name: found.name });
  const large = { size: u64(field, 0), compressed: u64(field, 8) };
  for (const key of ['size', 'compressed']) {
    if (found[key] !== U32_MAX && found[key] !== large[key]) throw formatError('zip-zip64', { name: found.name });
  }
  Object.assign(found, large);
}

/** The field holds, in this order, those values that are 0xFFFFFFFF; some writers put the others too. */
function central64(field, found) {
  const keys = ['size', 'compressed', 'offset'];
  const numbers = [];
  if (field.length % 8 === 0) for (let at = 0; at < field.length; at += 8) numbers.push(u64(field, at));
  const wanted = keys.filter((key) => found[key] === U32_MAX);
  const last = wanted.length ? keys.indexOf(wanted[wanted.length - 1]) : 0;
  const filled = { size: found.size, compressed: found.compressed, offset: found.offset };
  if (numbers.length === wanted.length) wanted.forEach((key, at) => (filled[key] = numbers[at]));
  else if (numbers.length >= 2 && numbers.length <= 3 && last < numbers.length) numbers.forEach((number, at) => (filled[keys[at]] = number));
  else throw formatError('zip-zip64', { name: found.name });
  if (keys.some((key) => found[key] !== U32_MAX && found[key] !== filled[key])) throw formatError('zip-zip64', { name: found.name });
  Object.assign(found, filled);
}
