// `statement.txt`: what a person signs beside a bundle (bundle-v1 §10).

import { formatError } from './refusal.js';
import { ascii, utf8 } from './bytes.js';
import { checkBundleId, checkTime, isHash, percentDecode } from './names.js';

const LABELS = ['bundle', 'seal-sha256', 'signature-sha256', 'role', 'attests', 'time'];
const MOST = 16 * 1024;

/** Return the values by their labels; of a later version, the lines that this one knows. */
export function readPersonStatement(bytes) {
  const text = bytes.length > MOST ? null : ascii(bytes);
  if (text === null || !text.endsWith('\n') || /[\r\0]/.test(text)) throw formatError('person-form');
  const [header, ...lines] = text.slice(0, -1).split('\n');
  const version = /^hozen-statement\/([1-9][0-9]{0,3})$/.exec(header)?.[1];
  if (version === undefined || lines.length < LABELS.length || (version === '1' && lines.length !== LABELS.length)) throw formatError('person-form');
  const said = Object.fromEntries(LABELS.map((label, at) => [label, value(lines[at], label)]));
  const right = isHash(said['seal-sha256']) && isHash(said['signature-sha256']) && ['operator', 'witness'].includes(said.role);
  if (!right) throw formatError('person-form');
  checkBundleId(said.bundle);
  checkTime(said.time);
  if (said.attests !== '-' && utf8(percentDecode(said.attests)) === null) throw formatError('person-form');
  return said;
}

function value(line, label) {
  const found = line.startsWith(label + ' ') ? line.slice(label.length + 1) : '';
  if (!found) throw formatError('person-form');
  return found;
}
