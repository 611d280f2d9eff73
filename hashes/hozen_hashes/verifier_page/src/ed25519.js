// Ed25519 signatures checked (RFC 8032 §5.1.7): by WebCrypto where the browser has it, else by this page's own arithmetic.

import { join } from './bytes.js';

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (a) => ((a % P) + P) % P;
const D = mod(-121665n * power(121666n, P - 2n));
const I = power(2n, (P - 1n) / 4n);
const BASE = point(decompress(little([0x58, ...Array(31).fill(0x66)])));

/** Return whether `key` (32 bytes) made `signature` (64 bytes) over `data`. */
export async function verifyEd25519(key, signature, data) {
  if (signature.length !== 64) return false;
  try {
    const imported = await crypto.subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify']);
    return await crypto.subtle.verify({ name: 'Ed25519' }, imported, signature, data);
  } catch {
    return verifyOwn(key, signature, data, async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-512', bytes)));
  }
}

/** The same by the page's own arithmetic; `sha512` is handed in. For checking only: it is not constant in time. */
export async function verifyOwn(key, signature, data, sha512) {
  const [a, r] = [decompress(little(key)), decompress(little(signature.subarray(0, 32)))];
  const s = little(signature.subarray(32));
  if (a === null || r === null || s >= L) return false;
  const k = little(await sha512(join(signature.subarray(0, 32), key, data))) % L;
  const left = times(BASE, s);
  const right = add(point(r), times(point(a), k));
  return mod(left[0] * right[2]) === mod(right[0] * left[2]) && mod(left[1] * right[2]) === mod(right[1] * left[2]);
}

function little(bytes) {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at -= 1) value = (value << 8n) | BigInt(bytes[at]);
  return value;
}

function power(base, exponent) {
  let [value, square] = [1n, mod(base)];
  for (let rest = exponent; rest; rest >>= 1n) {
    if (rest & 1n) value = (value * square) % P;
    square = (square * square) % P;
  }
  return value;
}

/** x and y of an encoded point (RFC 8032 §5.1.3), or null when it is none. */
function decompress(encoded) {
  const sign = encoded >> 255n;
  const y = encoded & ((1n << 255n) - 1n);
  if (y >= P) return null;
  const [u, v] = [mod(y * y - 1n), mod(D * y * y + 1n)];
  let x = mod(u * v ** 3n * power(u * v ** 7n, (P - 5n) / 8n));
  if (mod(v * x * x) === mod(-u)) x = mod(x * I);
  if (mod(v * x * x) !== u || (x === 0n && sign)) return null;
  return [(x & 1n) === sign ? x : P - x, y];
}

// Extended coordinates X, Y, Z, T (RFC 8032 §5.1.4).
function point([x, y]) {
  return [x, y, 1n, mod(x * y)];
}

function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const [a, b] = [mod((y1 - x1) * (y2 - x2)), mod((y1 + x1) * (y2 + x2))];
  const [c, d] = [mod(2n * t1 * t2 * D), mod(2n * z1 * z2)];
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function times(base, scalar) {
  let [sum, double] = [[0n, 1n, 1n, 0n], base];
  for (let rest = scalar; rest; rest >>= 1n) {
    if (rest & 1n) sum = add(sum, double);
    double = add(double, double);
  }
  return sum;
}
