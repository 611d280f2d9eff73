// The collector's statement, `receipt.txt`: fixed lines, one spelling for each value (receipt-v1 §3).

import { expected, formatError, limitError } from './refusal.js';
import { ascii, utf8 } from './bytes.js';
import { checkBundleId, checkTime, isHash, percentDecode } from './names.js';
import { readDecimal } from './tlog.js';

const HEADER = 'hozen-receipt/1';
const MOST = 4096;
const matching = (form) => (text) => form.test(text);
const passing = (check) => (text) => {
  try {
    check(text);
    return true;
  } catch (error) {
    expected(error);
    return false;
  }
};
const freeText = (text) => text === '%2D' || (text !== '' && passing(percentDecode)(text) && utf8(percentDecode(text)) !== null);
const decimal = passing((text) => readDecimal(text, 'receipt.txt'));
const time = passing(checkTime);
const word = (...words) => (text) => words.includes(text);
// Label, whether the value is one, and whether it must be there.
const LINES = [
  ['log', matching(/^(?!-$)[!-*,-~]{1,128}$/), true], ['log-key-sha256', isHash, true],
  ['event', matching(/^[a-z][a-z0-9-]{0,31}$/), true], ['bundle', passing(checkBundleId)], ['case', freeText],
  ['seal-sha256', isHash], ['seal-state', word('checked', 'claimed')], ['container-sha256', isHash],
  ['container-size', decimal], ['signature-sha256', isHash], ['start-sha256', isHash], ['first-journal-key-sha256', isHash],
  ['signer-cert-sha256', isHash], ['signer', freeText], ['sender', freeText],
  ['verified', word('ok', 'partial', 'failed', 'sealed-unopened')], ['sealed-at', time], ['arrived-at', time],
  ['previous', decimal], ['actor', freeText], ['time', time, true],
];

/** Return the values by their labels; null where a line does not apply. */
export function readStatement(bytes) {
  if (bytes.length > MOST) throw limitError('too-long', { what: 'receipt.txt', limit: MOST });
  const text = ascii(bytes);
  if (text === null || !text.endsWith('\n')) throw formatError('statement-form');
  const [header, ...lines] = text.slice(0, -1).split('\n');
  if (header !== HEADER) throw formatError('statement-version');
  if (lines.length !== LINES.length) throw formatError('statement-form');
  const found = {};
  LINES.forEach(([label, holds, needed], at) => {
    const line = lines[at];
    const value = line.slice(label.length + 1);
    if (!line.startsWith(label + ' ')) throw formatError('statement-line', { label });
    if (value === '-' && !needed) found[label] = null;
    else if (holds(value)) found[label] = value;
    else throw formatError('statement-line', { label });
  });
  if ((found['seal-sha256'] === null) !== (found['seal-state'] === null)) throw formatError('statement-line', { label: 'seal-state' });
  return found;
}

/** Whether the collector took the bundle into its archive, not its quarantine (receipt-v1 §4). */
export const acceptedBy = (said) => (
  ['ok', 'partial', 'sealed-unopened'].includes(said.verified) && ['ingest', 'partial', 'variant'].includes(said.event)
);
