// The directory of a container, with every check of bundle-v1 §4: every byte is accounted for before a member is read.

import { formatError, limitError } from './refusal.js';
import { u16, u32, u64 } from './bytes.js';
import { Peek } from './container.js';
import { MAX_ENTRY, SIZE, checkAgainst, checkDescriptor, readCentral, readLocal } from './zipheaders.js';
import { LIMITS, Roster } from './ziproster.js';

const OURS = /hz-[0-9]{8}T[0-9]{6}Z-[a-z0-9-]{1,32}-[0-9a-f]{8}\//;
const LOOK = 1 << 16;

/** Return `{ bundleId, entries }`; entries in the container's order, without directories. */
export async function readDirectory(container) {
  const tail = await container.read(Math.max(0, container.size - SIZE.end - SIZE.end64 - SIZE.locator), 98);
  const { extent, records } = claimed(tail);
  checkExtent(extent, container.size - records.length);
  const roster = new Roster();
  const entries = [];
  const [directory, locals] = [new Peek(container), new Peek(container)];
  let at = extent.offset, expected = 0;
  for (let number = 0; number < extent.count; number += 1) {
    const central = await readCentral(directory, at);
    at += central.length;
    if (at > extent.offset + extent.size) throw formatError('zip-ends');
    const entry = await admit(locals, central, roster, expected);
    expected = entry.end;
    if (!entry.directory) entries.push(entry);
  }
  if (at !== extent.offset + extent.size || expected !== extent.offset) throw formatError('zip-gap', { name: '' });
  checkEnd(records, { count: roster.count, size: extent.size, offset: expected });
  roster.close();
  return { bundleId: roster.bundleId, entries };
}

/** Whether a bundle's name stands near the beginning or the end: then damage is told as damage. */
export async function isOurs(container) {
  const pieces = [await container.read(0, LOOK), await container.read(Math.max(0, container.size - LOOK), LOOK)];
  return pieces.some((piece) => OURS.test(new TextDecoder('latin1').decode(piece)));
}

async function admit(peek, central, roster, expected) {
  const { name, offset } = central;
  const directory = roster.admit(name);
  roster.measure(central);
  if (offset !== expected) throw formatError('zip-gap', { name });
  const local = await readLocal(peek, offset);
  checkAgainst(local, central);
  const start = offset + local.length;
  let end = start + central.compressed;
  if (local.streamed) end += await checkDescriptor(peek, end, local, central);
  const { method, size, compressed, crc } = central;
  return { name, path: name.slice(roster.top.length), method, size, compressed, crc, start, end, directory };
}

function claimed(tail) {
  const end = tail.subarray(-SIZE.end);
  if (end.length !== SIZE.end || u32(end, 0) !== 0x06054b50) throw formatError('zip-torn');
  const large = tail.length >= 42 && u32(tail, tail.length - 42) === 0x07064b50;
  if (!large) return { extent: { count: u16(end, 10), size: u32(end, 12), offset: u32(end, 16) }, records: end };
  if (tail.length !== 98) throw formatError('zip-torn');
  return { extent: { count: u64(tail, 32), size: u64(tail, 40), offset: u64(tail, 48) }, records: tail };
}

function checkExtent({ count, size, offset }, end) {
  if (offset + size !== end) throw formatError('zip-gap', { name: '' });
  if (count > LIMITS.members) throw limitError('zip-members', { limit: LIMITS.members });
  if (size < count * SIZE.central || size > count * MAX_ENTRY) throw formatError('zip-end');
}

/** The end records describe the directory that was read, and nothing else. */
function checkEnd(records, actual) {
  const large = records.length !== SIZE.end;
  if (large) checkEnd64(records, actual);
  const e = records.subarray(records.length - SIZE.end);
  if (u16(e, 4) || u16(e, 6) || u16(e, 20)) throw formatError('zip-end');
  const pairs = [
    [u16(e, 8), actual.count, 0xffff], [u16(e, 10), actual.count, 0xffff],
    [u32(e, 12), actual.size, 0xffffffff], [u32(e, 16), actual.offset, 0xffffffff],
  ];
  if (pairs.some(([value, here, ceiling]) => value !== here && !(large && value === ceiling))) throw formatError('zip-end');
}

function checkEnd64(r, { count, size, offset }) {
  const numbers = [u64(r, 24), u64(r, 32), u64(r, 40), u64(r, 48)];
  const right = [count, count, size, offset].every((value, at) => value === numbers[at]);
  const plain = u32(r, 0) === 0x06064b50 && u64(r, 4) === SIZE.end64 - 12 && u32(r, 16) === 0 && u32(r, 20) === 0;
  const locator = u32(r, 60) === 0 && u64(r, 64) === offset + size && u32(r, 72) === 1;
  if (!right || !plain || !locator) throw formatError('zip-end');
}
