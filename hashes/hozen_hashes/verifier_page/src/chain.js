// A path from a signer's certificate to a root that came from outside (RFC 5280 §6, narrowed; bundle-v1 §11 step 10).

import { Refusal, expected } from './refusal.js';
import { OID, extension } from './extensions.js';
import { MIN_RSA, accepted, holds } from './mathematics.js';
import { isoSeconds } from './names.js';

const MAX_DEPTH = 8;
const MAX_CHECKS = 64;
const SIGNATURES = {
  '1.2.840.10045.4.3.2': ['EC', 'SHA-256'], '1.2.840.10045.4.3.3': ['EC', 'SHA-384'], '1.2.840.10045.4.3.4': ['EC', 'SHA-512'],
  '1.2.840.113549.1.1.11': ['RSA', 'SHA-256'], '1.2.840.113549.1.1.12': ['RSA', 'SHA-384'], '1.2.840.113549.1.1.13': ['RSA', 'SHA-512'],
};
const UNDERSTOOD = new Set(Object.values(OID));
const TRANSPORT = new Set(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
// Which failure is told when several paths fail: the one that a person can do most about.
const RANK = ['expired', 'not_yet_valid', 'too_weak', 'not_a_ca', 'bad_signature', 'untrusted'];

/** No path to a given root; `chain` says what stood in the way, a word of RANK. */
export class ChainError extends Refusal {
  constructor(chain, key, certificate, more = {}) {
    super('signature', key, { name: certificate.subject.text.slice(0, 120), ...more });
    this.chain = chain;
  }
}

/** Return the path from `leaf` to one of `roots`, each valid at `at` (milliseconds since 1970); ChainError if none. */
export async function verifyChain(leaf, extra, roots, at, checkLeaf = checkSigner, minRsa = MIN_RSA) {
  checkAlgorithm(leaf, minRsa);
  checkCritical(leaf);
  checkLeaf(leaf);
  checkDates(leaf, at);
  const search = { extra, roots, at, minRsa, checks: 0, failures: [] };
  const path = await extend(search, [leaf]);
  if (path !== null) return path;
  if (!search.failures.length) throw new ChainError('untrusted', 'chain-none', leaf);
  const rank = (one) => RANK.indexOf(one.chain);
  throw search.failures.reduce((best, one) => (rank(one) < rank(best) ? one : best));
}

async function extend(search, path) {
  const last = path[path.length - 1];
  if (search.roots.some((root) => root.fingerprint === last.fingerprint)) return path;
  if (path.length === MAX_DEPTH) {
    search.failures.push(new ChainError('untrusted', 'chain-long', last));
    return null;
  }
  for (const issuer of [...search.roots, ...search.extra]) {
    if (issuer.subject.key !== last.issuer.key || path.some((one) => one.fingerprint === issuer.fingerprint)) continue;
    try {
      await checkStep(search, path, issuer);
    } catch (error) {
      search.failures.push(expected(error, (one) => one instanceof ChainError));
      continue;
    }
    const whole = await extend(search, [...path, issuer]);
    if (whole !== null) return whole;
  }
  return null;
}

async function checkStep(search, path, issuer) {
  search.checks += 1;
  if (search.checks > MAX_CHECKS) throw new ChainError('untrusted', 'chain-long', issuer);
  checkAlgorithm(issuer, search.minRsa);
  await checkIssued(path[path.length - 1], issuer);
  checkAuthority(issuer, path.slice(1));
  checkDates(issuer, search.at);
}

/** Whether the certificate may sign evidence: not one for connections only. */
export function checkSigner(leaf) {
  const usage = extension(leaf, OID.keyUsage);
  if (usage !== null && !usage.has(0) && !usage.has(1)) throw new ChainError('untrusted', 'chain-usage', leaf);
  const purposes = extension(leaf, OID.extendedKeyUsage);
  if (purposes !== null && purposes.every((one) => TRANSPORT.has(one))) throw new ChainError('untrusted', 'chain-usage', leaf);
}

function checkAlgorithm(certificate, minRsa) {
  if (!accepted(certificate.key, minRsa)) throw new ChainError('too_weak', 'chain-weak', certificate);
}

async function checkIssued(certificate, issuer) {
  const [kind, hash] = SIGNATURES[certificate.signatureAlgorithm] ?? [];
  if (kind === undefined) throw new ChainError('too_weak', 'chain-weak', certificate);
  const fits = (issuer.key.kind === 'RSA') === (kind === 'RSA');
  if (!fits || !(await holds(issuer.key, certificate.signature, certificate.signed, hash))) {
    throw new ChainError('bad_signature', 'chain-signature', certificate, { issuer: issuer.subject.text.slice(0, 120) });
  }
}

function checkAuthority(issuer, below) {
  checkCritical(issuer);
  const basic = extension(issuer, OID.basicConstraints);
  const usage = extension(issuer, OID.keyUsage);
  const counted = below.filter((one) => one.subject.key !== one.issuer.key).length;
  const allowed = basic !== null && basic.ca && (usage === null || usage.has(5));
  if (!allowed || (basic.pathLength !== null && counted > basic.pathLength)) {
    throw new ChainError('not_a_ca', 'chain-authority', issuer);
  }
}

function checkDates(certificate, at) {
  if (at < certificate.notBefore) {
    throw new ChainError('not_yet_valid', 'chain-early', certificate, { time: isoSeconds(certificate.notBefore) });
  }
  if (at > certificate.notAfter) {
    throw new ChainError('expired', 'chain-expired', certificate, { time: isoSeconds(certificate.notAfter) });
  }
}

function checkCritical(certificate) {
  const strange = certificate.extensions.find((one) => one.critical && !UNDERSTOOD.has(one.oid));
  if (strange) throw new ChainError('untrusted', 'chain-critical', certificate, { found: strange.oid });
}
