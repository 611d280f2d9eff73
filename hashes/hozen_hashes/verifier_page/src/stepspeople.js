// Steps 14 and 15 of bundle-v1 §11: custody events in their chain, and the signatures of people.

import { expected } from './refusal.js';
import { ChainError, verifyChain } from './chain.js';
import { verifyDetached } from './cms.js';
import { Fields } from './fields.js';
import { parseObject } from './json.js';
import { readPersonStatement } from './personstatement.js';
import { MATCH, MISMATCH, NOT_RUN, NOT_VERIFIABLE, ended, judged, note } from './report.js';
import { sha256, sha256hex } from './sha256.js';
import { SEALED, SIGNATURE } from './tagfiles.js';

const OPERATOR = 'operator.p7s';
const STATEMENT = 'statement.txt';
const WITNESS = /^witness-([0-9]{2})\.(?:p7s|txt)$/;

/** Whose keys signed the events is not judged: an event is the statement of whoever made it. */
export async function custody(reading, anchors) {
  const files = anchors.custody;
  if (!files.size) return ended(14, NOT_RUN, [note('no-custody')]);
  const stems = [...files.keys()].filter((name) => /^[0-9]{6}\.json$/.test(name)).map((name) => name.slice(0, 6)).sort();
  const notes = stems.some((one, at) => Number(one) !== at + 1) ? [note('custody-gap')] : [];
  let before = null;
  for (const event of stems) {
    const reason = await eventProblem(reading, anchors, event, before);
    if (reason?.kind === 'unverifiable') return ended(14, NOT_VERIFIABLE, [note('not-checked', { reason: reason.reason })]);
    if (reason !== null) notes.push(note('custody', { event, reason }));
    before = sha256hex(files.get(`${event}.json`));
  }
  return notes.length ? judged(14, notes) : ended(14, MATCH, [note('custody-events', { count: stems.length })]);
}

async function eventProblem(reading, anchors, name, before) {
  const [data, p7s] = [anchors.custody.get(`${name}.json`), anchors.custody.get(`${name}.p7s`)];
  if (p7s === undefined) return { key: 'event-unsigned', values: {} };
  let rules, lost;
  try {
    const event = new Fields(parseObject(data, name), name);
    await verifyDetached(p7s, sha256(data));
    const [previous, bundle, seal] = [event.hashOrNull('previous'), event.text('bundle'), event.hashOrNull('seal')];
    rules = [
      [event.number('event_no') === Number(name), 'event-number'], [previous === before, 'event-previous'],
      [bundle === reading.bundleId, 'event-bundle'], [seal === null || seal === reading.hashes.get(SEALED), 'event-seal'],
    ];
    lost = event.objects('attachments').map((one) => one.hash('sha256')).find((one) => anchors.attachments.get(one) !== one);
  } catch (error) {
    const refusal = expected(error, (one) => one.badData || one.kind === 'unverifiable');
    return refusal.badData ? refusal.reason : refusal;
  }
  const broken = rules.find(([right]) => !right);
  if (broken) return { key: broken[1], values: {} };
  return lost === undefined ? null : { key: 'event-attachment', values: { name: lost.slice(0, 16) } };
}

/** Return `{ step, vouched }`: only the operator can vouch; a witness whose signature does not hold is a mismatch all the same. */
export async function operator(reading, anchors, at) {
  const alone = (step) => ({ step, vouched: false });
  const people = [];
  for (const [name, role] of wanted(anchors)) people.push(await person(reading, anchors, name, role, at));
  if (!people.length) return alone(ended(15, NOT_RUN, [note('no-operator')]));
  const wrong = people.filter((one) => one.result === MISMATCH);
  if (wrong.length) return alone(judged(15, wrong.map((one) => one.note)));
  const notes = people.map((one) => one.note);
  const [first] = people;
  if (first.role !== 'operator') return alone(ended(15, NOT_VERIFIABLE, [...notes, note('no-operator')]));
  return { step: ended(15, first.result, notes), vouched: first.result === MATCH };
}

/** Signature files with the role of who made them, the operator first; half of a pair counts. */
function wanted({ operator: files, operatorExpected }) {
  const first = operatorExpected || files.has(OPERATOR) || files.has(STATEMENT) ? [[OPERATOR, 'operator']] : [];
  const numbers = [...files.keys()].map((name) => WITNESS.exec(name)?.[1]).filter(Boolean);
  return [...first, ...[...new Set(numbers)].sort().map((number) => [`witness-${number}.p7s`, 'witness'])];
}

async function person(reading, anchors, name, role, at) {
  const beside = name === OPERATOR ? STATEMENT : name.replace(/p7s$/, 'txt');
  const [p7s, text] = [anchors.operator.get(name), anchors.operator.get(beside)];
  const found = (result, key, values) => ({ role, result, note: note(key, values) });
  if (p7s === undefined || text === undefined) return found(MISMATCH, 'absent', { path: p7s === undefined ? name : beside });
  let signature, said;
  try {
    signature = await verifyDetached(p7s, sha256(text));
    said = readPersonStatement(text);
  } catch (error) {
    const refusal = expected(error, (one) => one.badData || one.kind === 'unverifiable');
    const reason = { key: 'member', values: { name, reason: refusal.reason } };
    return refusal.badData ? found(MISMATCH, 'signature', { reason }) : found(NOT_VERIFIABLE, 'not-checked', { reason });
  }
  if (said.role !== role || !isAboutThis(reading, said)) return found(MISMATCH, 'statement-other');
  const who = signature.certificate.subject.text;
  try {
    await verifyChain(signature.certificate, signature.certificates, anchors.roots, at);
  } catch (error) {
    return found(NOT_VERIFIABLE, 'operator-unvouched', { who, reason: expected(error, (one) => one instanceof ChainError).reason });
  }
  return found(MATCH, role, { who });
}

function isAboutThis(reading, said) {
  const p7s = reading.kept.get(SIGNATURE);
  if (p7s === undefined || said.bundle !== reading.bundleId) return false;
  return said['seal-sha256'] === reading.hashes.get(SEALED) && said['signature-sha256'] === sha256hex(p7s);
}
