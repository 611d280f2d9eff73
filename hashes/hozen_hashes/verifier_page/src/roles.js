// What each chosen file is for, by its name: the page never guesses from content (bundle-v1 §10).

const RECEIPT = new Set(['receipt.txt', 'receipt.tlog-proof', 'receipt.p7s', 'log.vkey', 'checkpoint']);

/** Return the role of a file among the things to be checked, or why it has none. `path` is relative, with `/`. */
export function roleOf(path) {
  const parts = path.split('/');
  const name = parts[parts.length - 1];
  if (/\.zip(\.[0-9]{3})?$/.test(name)) return 'container';
  if (/\.age(\.[0-9]{3})?$/.test(name)) return 'encrypted';
  if (/\.partial$/.test(name)) return 'partial';
  // A collector gives a receipt for each custody event too; those lie in `receipts/` and are about the event.
  if (RECEIPT.has(name)) return parts.includes('receipts') ? 'unused' : 'receipt';
  if (/^[0-9]{6}\.(json|p7s)$/.test(name)) return 'custody';
  if (/^[0-9a-f]{64}$/.test(name)) return 'attachment';
  if (/^(?:operator\.p7s|statement\.txt|witness-[0-9]{2}\.(?:p7s|txt))$/.test(name)) return 'operator';
  if (/^[0-9]{4}-[a-z0-9.-]{1,40}\.tsr$/.test(name)) return 'timestamp';
  return 'unused';
}

/** Return the files and their relative paths of a drop, folders included; at most `most`. */
export async function dropped(transfer, most = 10_000) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const found = [];
  const waiting = entries.map((entry) => ({ entry, path: entry.name }));
  while (waiting.length && found.length < most) {
    const { entry, path } = waiting.shift();
    if (entry.isFile) found.push({ path, file: await new Promise((done, fail) => entry.file(done, fail)) });
    else for (const one of await children(entry, most)) waiting.push({ entry: one, path: `${path}/${one.name}` });
  }
  return found;
}

async function children(directory, most) {
  const reader = directory.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length || found.length > most) return found;
    found.push(...some);
  }
}

export const chosen = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
