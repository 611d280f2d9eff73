// Elements made by hand: text only ever becomes text, so that a hostile name stays a name.

/** Make an element: properties by name, `aria`/`data` by attribute, children as elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Characters that reorder or hide: a name must not look like another (bundle-v1 §7).
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** Foreign text with every hidden character shown as `\u{…}`, at most 2000 characters. */
export function inert(text) {
  const found = String(text).replace(HIDDEN, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
  return found.length > 2000 ? found.slice(0, 2000) + '…' : found;
}
