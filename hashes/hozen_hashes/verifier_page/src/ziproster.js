// What a container may hold: names, sizes and numbers (bundle-v1 §3, §4). Admits members one after another.

import { formatError, limitError } from './refusal.js';
import { MAX_MEMBER_NAME, checkBundleId, checkDirectoryPath, checkMemberPath } from './names.js';

// bundle-v1 §4; `members` is lower here than the format's 2^24, because a page has less memory: beyond it is 検証不能.
export const LIMITS = {
  members: 2_000_000, directories: 65_536, member: 2 ** 40, total: 2 ** 42, tagFile: 2 ** 29, expansion: 1100,
};

export class Roster {
  constructor() {
    this.seen = new Set();
    this.parents = new Set();
    this.directories = new Set();
    this.top = '';
    this.bundleId = null;
    this.count = 0;
    this.total = 0;
  }

  /** Take the next name; return whether it is a directory's. */
  admit(name) {
    this.count += 1;
    if (this.count > LIMITS.members) throw limitError('zip-members', { limit: LIMITS.members });
    if (name.length > MAX_MEMBER_NAME) throw formatError('member-path', { name: name.slice(0, 80) });
    const path = this.path(name);
    const directory = name.endsWith('/');
    if (directory) {
      this.directories.add(name.slice(0, -1));
      if (path) checkDirectoryPath(path.slice(0, -1));
    } else {
      checkMemberPath(path);
      this.parents.add(name.slice(0, name.lastIndexOf('/')));
    }
    if (this.parents.size + this.directories.size > LIMITS.directories) throw limitError('zip-directories');
    this.see(directory ? name.slice(0, -1) : name);
    return directory;
  }

  measure({ name, method, compressed, size }) {
    if (method === 0 && compressed !== size) throw formatError('zip-size', { name });
    if (size > this.bound(name)) throw limitError('zip-member', { name });
    if (size > compressed * LIMITS.expansion) throw limitError('zip-expansion', { name });
    this.total += size;
    if (this.total > LIMITS.total) throw limitError('zip-total');
  }

  bound(name) {
    return name.startsWith('data/', this.top.length) ? LIMITS.member : LIMITS.tagFile;
  }

  /** Check what can be checked only when all names are known. */
  close() {
    if (!this.parents.size) throw formatError('zip-empty');
    const known = new Set();
    for (let parent of this.parents) {
      while (parent && !known.has(parent)) {
        known.add(parent);
        if (known.size > LIMITS.directories) throw limitError('zip-directories');
        if (!this.directories.has(parent) && this.seen.has(parent.toLowerCase())) throw formatError('zip-both', { name: parent });
        parent = parent.slice(0, Math.max(0, parent.lastIndexOf('/')));
      }
    }
    for (const name of this.directories) if (!known.has(name)) throw formatError('zip-alone', { name });
  }

  path(name) {
    if (!this.top) {
      this.bundleId = checkBundleId(name.split('/', 1)[0]);
      this.top = this.bundleId + '/';
    }
    if (!name.startsWith(this.top)) throw formatError('zip-top', { name: name.slice(0, 80) });
    return name.slice(this.top.length);
  }

  see(name) {
    const folded = name.toLowerCase();
    if (this.seen.has(folded)) throw formatError('zip-twice', { name });
    this.seen.add(folded);
  }
}
