// Steps 14 and 15 of bundle-v1 §11: custody events in their chain, and the operator's signature.

import { expected } from './refusal.js';
import { ascii } from './bytes.js';
import { ChainError, verifyChain } from './chain.js';
import { verifyDetached } from './cms.js';
import { Fields } from './fields.js';
import { parseObject } from './json.js';
import { MATCH, NOT_RUN, NOT_VERIFIABLE, ended, judged, note } from './report.js';
import { sha256, sha256hex } from './sha256.js';
import { refused } from './stepssignature.js';
import { SEALED, SIGNATURE } from './tagfiles.js';

const OPERATOR = 'operator.p7s';
const STATEMENT = 'statement.txt';

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

/** Return `{ step, vouched }`: a person signed a statement that names this seal and this machine signature. */
export async function operator(reading, anchors, at) {
  const alone = (step) => ({ step, vouched: false });
  const [p7s, text] = [anchors.operator.get(OPERATOR), anchors.operator.get(STATEMENT)];
  if (p7s === undefined && text === undefined && !anchors.operatorExpected) return alone(ended(15, NOT_RUN, [note('no-operator')]));
  if (p7s === undefined || text === undefined) {
    return alone(judged(15, [note('absent', { path: p7s === undefined ? OPERATOR : STATEMENT })]));
  }
  let signature;
  try {
    signature = await verifyDetached(p7s, sha256(text));
  } catch (error) {
    return alone(refused(15, error));
  }
  if (!namesThis(reading, text)) return alone(judged(15, [note('statement-other')]));
  const who = signature.certificate.subject.text;
  try {
    await verifyChain(signature.certificate, signature.certificates, anchors.roots, at);
  } catch (error) {
    const { reason } = expected(error, (one) => one instanceof ChainError);
    return alone(ended(15, NOT_VERIFIABLE, [note('operator-unvouched', { who, reason })]));
  }
  return { step: ended(15, MATCH, [note('operator', { who })]), vouched: true };
}

function namesThis(reading, text) {
  const [seal, p7s] = [reading.hashes.get(SEALED), reading.kept.get(SIGNATURE)];
  if (seal === undefined || p7s === undefined) return false;
  const words = (ascii(text) ?? '').split(/\s+/);
  return words.includes(seal) && words.includes(sha256hex(p7s));
}
