// The items to show, a page at a time: the list can be longer than any page could hold.

import { MATCH, MISMATCH, NOT_VERIFIABLE } from './report.js';

const MOST = 500;

export class ItemList {
  constructor(reading, wrong) {
    this.rows = reading.items.shown.sort((one, other) => one.item - other.item);
    this.total = reading.items.rowsSeen;
    this.complete = reading.complete;
    this.wrong = wrong;
    this.problems = reading.items.wrong;
  }

  /** Rows that fit: `{ text, result, from, count }` asked, `{ rows, found, total, kept }` answered. */
  page({ text, result, from, count }) {
    const wanted = text.toLowerCase();
    const fitting = this.rows.filter((row) => (
      (!result || this.resultOf(row) === result)
      && (!wanted || [row.artifact, row.source, row.path, row.sha256, String(row.item)].some((one) => one?.toLowerCase().includes(wanted)))
    ));
    const rows = fitting.slice(from, from + Math.min(count, MOST)).map((row) => ({ ...row, result: this.resultOf(row), kind: this.wrong.get(row.path) ?? null }));
    return { rows, found: fitting.length, total: this.total, kept: this.rows.length, from };
  }

  /** Whether file, manifest and records agree about this item. */
  resultOf(row) {
    if (!this.complete) return NOT_VERIFIABLE;
    const kind = this.wrong.get(row.path);
    if (kind === 'unreadable') return NOT_VERIFIABLE;
    return kind || this.problems.has(row.item) ? MISMATCH : MATCH;
  }
}
