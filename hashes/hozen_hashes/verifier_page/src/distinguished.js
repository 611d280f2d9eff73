// Names of X.509: read, compared, and written for a person (RFC 4514).

import { formatError } from './refusal.js';
import { TAG, dotted } from './der.js';
import { hex, utf8 } from './bytes.js';

const SHORT = {
  '2.5.4.3': 'CN', '2.5.4.6': 'C', '2.5.4.7': 'L', '2.5.4.8': 'ST', '2.5.4.9': 'STREET', '2.5.4.10': 'O',
  '2.5.4.11': 'OU', '0.9.2342.19200300.100.1.1': 'UID', '0.9.2342.19200300.100.1.25': 'DC',
};

/** Return `{ key, text }`: `key` is equal for equal names, `text` is for people and never trusted. */
export function readName(element) {
  const sets = element.open().rest(TAG.set, 'name').map(readSet);
  return {
    key: JSON.stringify(sets.map((set) => [...set].sort())),
    text: sets.reverse().map((set) => set.map(([kind, value]) => `${SHORT[kind] ?? kind}=${escape(value)}`).join('+')).join(','),
  };
}

function readSet(element) {
  const found = element.open().rest(TAG.sequence, 'name attribute').map((item) => {
    const inside = item.open();
    const kind = dotted(inside.take(TAG.oid, 'name attribute'));
    const value = inside.takeAny('name attribute');
    inside.end('name attribute');
    return [kind, readText(value)];
  });
  if (!found.length) throw formatError('certificate', { what: 'an empty part of a name' });
  return found;
}

function readText(element) {
  if (element.tag === 0x1e) return new TextDecoder('utf-16be').decode(element.content);
  if (element.tag === TAG.bits) return '#' + hex(element.content);
  const text = utf8(element.content);
  if (text === null) throw formatError('certificate', { what: 'a name that is not text' });
  return text;
}

const escape = (text) => text.replace(/[,+"\\<>;=]/g, '\\$&');
