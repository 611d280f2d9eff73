// The page's words in Japanese and English; WORDS is put in by the build.

import { inert } from './elements.js';

/** Sentences in one language; whatever is filled in is made inert. */
export class Sentences {
  constructor(language) {
    this.language = language;
  }

  get(group, key, values = {}) {
    const entry = WORDS[group]?.[key];
    const text = entry ? entry[this.language] : `${group}/${key}`;
    return text.replace(/\{([a-z_]+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? this.value(values[name]) : whole));
  }

  /** A value that is filled in: text, a number, or a reason of its own. */
  value(value) {
    return value !== null && typeof value === 'object' ? this.reason(value) : inert(value);
  }

  page(key, values) {
    return this.get('page', key, values);
  }

  text(key, values) {
    return this.get('text', key, values);
  }

  reason({ key, values }) {
    return this.get('reason', key, values);
  }

  note({ key, values }) {
    return this.get('note', key, values);
  }

  /** The word of a result so that a reader of either language finds it. */
  result(word) {
    const own = this.get('result', word);
    return this.language === 'ja' ? `${own} ${word}` : own;
  }

  size(bytes) {
    const number = Number(bytes).toLocaleString('en-US');
    return this.language === 'ja' ? `${number} バイト` : `${number} bytes`;
  }
}

export const preferred = () => ((navigator.languages ?? [navigator.language]).find((one) => /^(ja|en)/.test(one)) ?? 'en').slice(0, 2);
