// The worker: reads the files, checks, and answers questions about the items. It never touches the page.

import { Refusal, formatError, unverifiable } from './refusal.js';
import { hex } from './bytes.js';
import { Container, inOrder } from './container.js';
import { subtle } from './mathematics.js';
import { readVkey } from './notes.js';
import { ItemList } from './itemlist.js';
import { Sha256 } from './sha256.js';
import { verify } from './verify.js';
import { readCertificates } from './x509.js';

const MAX_FILE = 1 << 20;
const MAX_FILES = 4096;
const MAX_ATTACHMENT = 32 << 20;
const PROGRESS_MS = 100;

/** Answer the page's messages through `post`; `{ verify }` first, then `{ items }` as often as wanted. */
export function work(post) {
  let list = null;
  return async (message) => {
    try {
      if (message.items) post({ items: list.page(message.items) });
      else {
        const { report, reading, wrong } = await check(message.verify, post);
        list = new ItemList(reading, wrong);
        post({ report });
      }
    } catch (error) {
      if (error instanceof Refusal) post({ refusal: error.reason, kind: error.kind });
      else post({ refusal: { key: 'program', values: { message: String(error?.message ?? error).slice(0, 200) } }, kind: 'internal' });
    }
  };
}

async function check(asked, post) {
  subtle(); // without the browser's cryptography no signature can be judged: no verdict at all, before a byte is read
  const container = new Container(inOrder(asked.container));
  const anchors = {
    form: asked.container.length > 1 ? 'volumes' : 'file', seal: asked.seal, operatorExpected: asked.operatorExpected,
    roots: (await texts(asked.roots)).flatMap(([, bytes]) => readCertificates(bytes)),
    logKeys: (await texts(asked.logKeys)).map(([, bytes]) => readVkey(trimmed(bytes))),
    receipt: asked.receipt.length ? new Map(await texts(asked.receipt)) : null,
    custody: new Map(await texts(asked.custody)), operator: new Map(await texts(asked.operator)),
    timestamps: new Map(await texts(asked.timestamps)), tsaRoots: (await texts(asked.tsaRoots)).flatMap(([, bytes]) => readCertificates(bytes)),
    attachments: await digests(asked.attachments),
  };
  let last = 0;
  const progress = (done) => {
    if (performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    post({ done, all: container.size });
  };
  return verify(container, anchors, asked.at, progress);
}

/** Name and bytes of small files. */
async function texts(files) {
  if (files.length > MAX_FILES) throw formatError('too-long', { what: files[0].name, limit: MAX_FILES });
  return Promise.all(files.map(async (file) => {
    if (file.size > MAX_FILE) throw formatError('too-long', { what: file.name, limit: MAX_FILE });
    return [file.name, new Uint8Array(await bytesOf(file))];
  }));
}

async function digests(files) {
  const found = new Map();
  for (const file of files.slice(0, MAX_FILES)) {
    if (file.size <= MAX_ATTACHMENT) found.set(file.name, hex(new Sha256().update(new Uint8Array(await bytesOf(file))).digest()));
  }
  return found;
}

async function bytesOf(file) {
  try {
    return await file.arrayBuffer();
  } catch (error) {
    throw unverifiable('file-refused', { name: error.name });
  }
}

/** A key line may come from an editor that ends lines in its own way. */
function trimmed(bytes) {
  let end = bytes.length;
  while (end && (bytes[end - 1] === 10 || bytes[end - 1] === 13)) end -= 1;
  return bytes.subarray(0, end);
}
