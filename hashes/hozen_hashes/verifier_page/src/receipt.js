// A receipt checked part by part (receipt-v1 §6): what was checked and does not hold throws; what nobody vouches for has no anchor.

import { expected, formatError, limitError, mismatchError, signatureError } from './refusal.js';
import { ChainError, verifyChain } from './chain.js';
import { verifyDetached } from './cms.js';
import { OID, extension } from './extensions.js';
import { readVkey, sameKey } from './notes.js';
import { sha256 } from './sha256.js';
import { readStatement } from './statement.js';
import { MAX_PROOF, readProof, verifyProof } from './tlog.js';

const LIMITS = { 'receipt.txt': 4096, 'receipt.tlog-proof': MAX_PROOF, 'receipt.p7s': 64 * 1024, 'log.vkey': 1024 };

/** Return `{ said, sealCompared, signatureCompared, anchor }`; anchor is `log key`, `root` or null. */
export async function verifyReceipt(files, { seal, signature, bundle, at, roots, logKeys }) {
  const text = file(files, 'receipt.txt');
  const said = readStatement(text);
  const pairs = [['bundle', bundle, said.bundle], ['seal', seal, said['seal-sha256']], ['signature', signature, said['signature-sha256']]];
  for (const [what, here, stated] of pairs) {
    if (here !== null && stated !== null && here !== stated) throw mismatchError('receipt-about', { what });
  }
  const byRoot = await signedByRoot(files, said, text, roots, at);
  const key = readVkey(file(files, 'log.vkey'));
  if (key.fingerprint !== said['log-key-sha256'] || key.name !== said.log) throw mismatchError('receipt-key');
  const known = logKeys.filter((one) => one.name === key.name);
  if (known.length && !known.some((one) => sameKey(one, key))) throw mismatchError('receipt-other-key', { name: key.name });
  const logged = files.has('receipt.tlog-proof');
  if (logged) await verifyProof(readProof(file(files, 'receipt.tlog-proof')), text, key);
  return {
    said,
    about: seal !== null && said['seal-sha256'] !== null && signature !== null && said['signature-sha256'] !== null,
    anchor: logged && known.length ? 'log key' : byRoot ? 'root' : null,
  };
}

/** Check `receipt.p7s`; return whether its certificate chains to a root from outside. */
async function signedByRoot(files, said, text, roots, at) {
  if (!files.has('receipt.p7s')) return false;
  const signed = await verifyDetached(file(files, 'receipt.p7s'), sha256(text));
  const uri = `hozen://receipt/${said.log}`;
  if (!(extension(signed.certificate, OID.alternativeName) ?? []).includes(uri)) throw signatureError('receipt-signer', { uri });
  if (!roots.length) return false;
  try {
    await verifyChain(signed.certificate, signed.certificates, roots, at);
    return true;
  } catch (error) {
    const refusal = expected(error, (one) => one instanceof ChainError);
    if (refusal.chain === 'bad_signature' || refusal.chain === 'not_a_ca') throw refusal;
    return false;
  }
}

function file(files, name) {
  const bytes = files.get(name);
  if (bytes === undefined) throw formatError('file-absent', { name });
  if (bytes.length > LIMITS[name]) throw limitError('too-long', { what: name, limit: LIMITS[name] });
  return bytes;
}
