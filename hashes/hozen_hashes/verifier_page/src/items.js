// Every attempt stands in the journal and in files/<n>.jsonl alike, once, without gaps (bundle-v1 §6, §7, §11 step 8).

import { MAX_SHOWN, note } from './report.js';

const ROWS_KEPT = 200_000;

/** Numbers from 1 that should come without gaps, each once, in almost any order. */
class Numbers {
  constructor() {
    this.low = 0;
    this.above = new Set();
  }

  add(number) {
    if (number <= this.low || this.above.has(number)) return false;
    this.above.add(number);
    while (this.above.delete(this.low + 1)) this.low += 1;
    return true;
  }
}

/** Pairs rows with journal entries as they come; what agrees is forgotten, but for a bounded list to show. */
export class Items {
  constructor() {
    this.rows = new Map();
    this.journal = new Map();
    this.rowNumbers = new Numbers();
    this.journalNumbers = new Numbers();
    this.problems = [];
    this.count = 0;
    this.entries = 0;
    this.wrong = new Set();
    this.shown = [];
    this.rowsSeen = 0;
  }

  row(row) {
    this.rowsSeen += 1;
    const { item, artifact, outcome, source } = row;
    if (this.shown.length < ROWS_KEPT) this.shown.push({ item, artifact, outcome, source: source.slice(0, 400), ...row.stored });
    if (!this.rowNumbers.add(item)) this.problem('item-twice', { item, where: 'files' });
    else this.meet(item, said(row), this.rows, this.journal);
  }

  entry(entry) {
    this.entries += 1;
    if (!this.journalNumbers.add(entry.item)) this.problem('item-twice', { item: entry.item, where: 'journal' });
    else this.meet(entry.item, said(entry), this.journal, this.rows);
  }

  finish() {
    const sorted = (map) => [...map.keys()].sort((a, b) => a - b);
    for (const item of sorted(this.rows)) this.problem('item-not-in-journal', { item });
    for (const item of sorted(this.journal)) this.problem('item-not-in-files', { item });
    if (this.journalNumbers.above.size) this.problem('item-gap', { item: this.journalNumbers.low + 1 });
  }

  meet(item, mine, here, other) {
    const theirs = other.get(item);
    if (theirs === undefined) here.set(item, mine);
    else {
      other.delete(item);
      if (theirs !== mine) this.problem('item-differs', { item });
    }
  }

  problem(key, values) {
    this.count += 1;
    this.wrong.add(values.item);
    if (this.problems.length < MAX_SHOWN) this.problems.push(note(key, values));
  }
}

const said = ({ outcome, stored, record }) => JSON.stringify([outcome, stored.path, stored.size, stored.sha256, record]);
