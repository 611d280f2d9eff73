// Brings together what is said of each file: the bytes found, the manifest's line, the record (bundle-v1 §11, 4-6, 8).
// The three may come in any order; a file of which all three agree is forgotten at once.

import { difference } from './report.js';

/** One side of the bundle: the payload, or the tag files. What is found or claimed is kept as `<hash> <size>`. */
export class Ledger {
  constructor(needsRecord) {
    this.needsRecord = needsRecord;
    this.foundAt = new Map();
    this.claimedAt = new Map();
    this.listedAt = new Map();
    this.agreedAt = new Map(); // found and as its record says: only the manifest's line is waited for
    this.unreadableAt = new Map();
    this.count = 0;
    this.size = 0;
  }

  found(path, hash, size) {
    this.count += 1;
    this.size += size;
    this.foundAt.set(path, `${hash} ${size}`);
    this.settle(path);
  }

  unreadable(path, reason) {
    this.unreadableAt.set(path, reason);
  }

  listed(path, hash) {
    if (this.agreedAt.get(path)?.startsWith(hash)) this.agreedAt.delete(path);
    else this.listedAt.set(path, hash);
  }

  claimed(path, hash, size) {
    this.claimedAt.set(path, `${hash} ${size}`);
    this.settle(path);
  }

  settle(path) {
    const [found, claimed] = [this.foundAt.get(path), this.claimedAt.get(path)];
    if (found === undefined || !(found === claimed || (claimed === undefined && !this.needsRecord(path)))) return;
    this.foundAt.delete(path);
    this.claimedAt.delete(path);
    if (found.startsWith(this.listedAt.get(path) ?? '-')) this.listedAt.delete(path);
    else this.agreedAt.set(path, found);
  }

  /** Everything in which the three differ; paths of `outside` are in no manifest. */
  finish(outside = new Set()) {
    const maps = [this.foundAt, this.claimedAt, this.listedAt, this.agreedAt, this.unreadableAt];
    const paths = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort();
    const result = { differences: [], extra: [], records: [] };
    const missing = new Map();
    for (const path of paths) {
      this.againstList(path, missing, result, outside.has(path));
      this.againstRecord(path, result);
    }
    pair(missing, result);
    result.differences.sort((one, other) => (one.path < other.path ? -1 : Number(one.path > other.path)));
    return result;
  }

  bytes(path) {
    return this.foundAt.get(path) ?? this.agreedAt.get(path);
  }

  againstList(path, missing, result, elsewhere) {
    const [found, listed] = [this.bytes(path), this.listedAt.get(path)];
    if (this.unreadableAt.has(path)) result.differences.push(difference('unreadable', path, this.unreadableAt.get(path)));
    else if (found === undefined) {
      if (listed !== undefined) missing.set(listed, [...(missing.get(listed) ?? []), path]);
    } else if (listed === undefined) {
      if (!elsewhere) result.extra.push(difference('extra', path, found.slice(0, 64)));
    } else if (!found.startsWith(listed)) result.differences.push(difference('changed', path));
  }

  againstRecord(path, result) {
    const [found, claimed] = [this.foundAt.get(path), this.claimedAt.get(path)];
    const because = (kind, key) => result.records.push(difference(kind, path, { key, values: {} }));
    if (claimed === undefined) {
      if (found !== undefined && this.needsRecord(path)) because('extra', 'record-none');
    } else if (this.bytes(path) === undefined) {
      if (!this.unreadableAt.has(path)) because('missing', 'record-names');
    } else if (claimed !== this.bytes(path)) because('changed', 'record-differs');
  }
}

/** A missing and an extra file with the same hash are one renamed file. */
function pair(missing, result) {
  result.extra = result.extra.map(({ path, detail: hash }) => {
    const old = missing.get(hash)?.shift();
    if (old === undefined) return difference('extra', path);
    result.differences.push(difference('renamed', old, path));
    return difference('extra', path, { key: 'renamed-from', values: { path: old } });
  });
  for (const paths of missing.values()) for (const path of paths) result.differences.push(difference('missing', path));
}
