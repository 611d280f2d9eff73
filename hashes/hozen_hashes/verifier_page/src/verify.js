// Runs the fifteen steps of bundle-v1 §11 and gives the verdict; the report has the form hozen-verification/1.

import { rfc3339 } from './moments.js';
import { isoSeconds } from './names.js';
import { Reading } from './reading.js';
import { MATCH, MISMATCH, NOT_RUN, NOT_VERIFIABLE, ended, note } from './report.js';
import { againstManifest, container, nothingElse, sealedText, structure } from './stepsfiles.js';
import { journal, records } from './stepsjournal.js';
import { receipt } from './stepsoutside.js';
import { custody, operator } from './stepspeople.js';
import { identity, machineSeal, signerInfo, start } from './stepssignature.js';
import { judgedAt, known, stamped, time } from './stepstime.js';
import { MANIFEST, SEALED, SIGNATURE } from './tagfiles.js';

const STEPS = 15;
const INTEGRITY = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11];
const EXIT = { [MATCH]: 0, [MISMATCH]: 1, [NOT_VERIFIABLE]: 2 };

/** Return `{ report, reading, wrong }`; `wrong` holds the paths in which bytes, manifest and records differ. */
export async function verify(source, anchors, at, progress) {
  const reading = new Reading();
  await reading.read(source, progress);
  reading.journal.bundleId = reading.bundleId;
  const facts = reading.journal.finish();
  const seal = await machineSeal(reading);
  const receipted = await receipt(reading, anchors, at);
  const stamps = await stamped(reading, anchors, at);
  const proven = known(receipted, stamps);
  const moment = judgedAt(proven, at);
  const signed = await operator(reading, anchors, moment);
  const found = { facts, seal, receipted, stamps, proven, signed, moment };
  const { steps, wrong } = reading.complete ? await allSteps(reading, anchors, found) : firstStep(reading);
  return { report: summary(reading, anchors, at, found, steps), reading, wrong };
}

async function allSteps(reading, anchors, { facts, seal, receipted, stamps, signed, moment }) {
  const payload = reading.payload.finish();
  const tags = reading.tags.finish(new Set([SEALED, SIGNATURE]));
  const steps = [
    container(reading, [...payload.differences, ...tags.differences]),
    structure(reading),
    sealedText(reading, anchors.seal),
    againstManifest(4, tags, SEALED, reading),
    againstManifest(5, payload, MANIFEST, reading),
    nothingElse(payload, tags),
    journal(facts, reading),
    records(facts, reading, payload, tags),
    seal.step,
    await identity(seal.signature, facts, anchors, moment),
    await start(seal.signature, facts, reading),
    receipted.step,
    time(receipted, stamps),
    await custody(reading, anchors),
    signed.step,
  ];
  const wrong = new Map([...payload.records, ...payload.extra, ...payload.differences].map((one) => [one.path, one.kind]));
  return { steps, wrong };
}

/** Of a container that broke off: what did not come is not thereby missing. */
function firstStep(reading) {
  const rest = Array.from({ length: STEPS - 1 }, (_, at) => ended(at + 2, NOT_RUN, [note('container-unread')]));
  return { steps: [container(reading, []), ...rest], wrong: new Map() };
}

function summary(reading, anchors, at, { facts, seal, receipted, proven, signed }, steps) {
  const results = steps.map((one) => one.result);
  const [origin, by] = originOf(results, reading, receipted, signed);
  const word = verdict(results, origin, anchors.seal !== null);
  const moment = reading.complete && proven !== null ? rfc3339(proven) : null;
  return {
    format: 'hozen-verification/1', bundle_id: reading.bundleId, form: anchors.form, word, exit_code: EXIT[word],
    integrity: integrity(results), origin, origin_by: by || null, time: moment === null ? NOT_VERIFIABLE : MATCH,
    existed_at: moment, certificates_judged_as_of: isoSeconds(at), seal: reading.complete ? reading.hashes.get(SEALED) ?? null : null,
    signer: signerInfo(seal.signature, facts),
    journal: { state: facts.segments === 0 ? 'absent' : facts.end ? 'closed' : 'open', reason: facts.end?.reason ?? null },
    counts: { attempts: reading.items.entries, payload_files: reading.payload.count, payload_bytes: String(reading.payload.size) },
    steps, steps_not_run: steps.filter((one) => one.result === NOT_RUN).map((one) => one.number),
    witnesses: { result: NOT_RUN }, // this page takes no keys of witnesses
  };
}

/** Unchanged: steps 1 to 9 and 11. */
function integrity(results) {
  const found = INTEGRITY.map((number) => results[number - 1]);
  if (found.includes(MISMATCH)) return MISMATCH;
  return found.every((one) => one === MATCH) ? MATCH : NOT_VERIFIABLE;
}

/** Who: by root, receipt or operator; a contradiction of any of them is a mismatch. */
function originOf(results, reading, receipted, signed) {
  const found = [10, 12, 15].map((number) => results[number - 1]);
  if (found.includes(MISMATCH)) return [MISMATCH, ''];
  if (!reading.complete) return [NOT_VERIFIABLE, ''];
  if (found[0] === MATCH) return [MATCH, 'root'];
  if (receipted.vouched) return [MATCH, 'receipt'];
  return signed.vouched ? [MATCH, 'operator'] : [NOT_VERIFIABLE, ''];
}

/** The table of bundle-v1 §11. */
function verdict(results, origin, sealGiven) {
  if (results.includes(MISMATCH) || origin === MISMATCH) return MISMATCH;
  if (integrity(results) === NOT_VERIFIABLE) return NOT_VERIFIABLE;
  return origin === MATCH || sealGiven ? MATCH : NOT_VERIFIABLE;
}
