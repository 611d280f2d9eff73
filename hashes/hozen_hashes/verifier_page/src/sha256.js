// SHA-256 (FIPS 180-4) that takes its bytes in pieces: WebCrypto has no such thing.

import { hex } from './bytes.js';

const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n += 1) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
const fraction = (x) => (x - Math.floor(x)) * 0x100000000 | 0;
// Square roots of the first 8 primes, cube roots of the first 64: a test holds both against the published tables.
const START = Int32Array.from(PRIMES.slice(0, 8), (p) => fraction(Math.sqrt(p)));
const K = Int32Array.from(PRIMES, (p) => fraction(cubeRoot(p)));
const W = new Int32Array(64);

/** Math.cbrt may differ in the last bit between browsers; one step of Newton makes it exact enough for 32 bits. */
function cubeRoot(p) {
  const x = Math.cbrt(p);
  return x - (x * x * x - p) / (3 * x * x);
}

/** A running SHA-256; `size` is the number of bytes taken. */
export class Sha256 {
  constructor() {
    this.state = START.slice();
    this.rest = new Uint8Array(64);
    this.size = 0;
  }

  update(bytes) {
    let at = 0;
    const held = this.size % 64;
    this.size += bytes.length;
    if (held) {
      at = Math.min(64 - held, bytes.length);
      this.rest.set(bytes.subarray(0, at), held);
      if (held + at < 64) return this;
      compress(this.state, this.rest, 0, 64);
    }
    const end = at + ((bytes.length - at) & ~63);
    compress(this.state, bytes, at, end);
    this.rest.set(bytes.subarray(end));
    return this;
  }

  /** The hash; nothing may be taken afterwards. */
  digest() {
    const held = this.size % 64;
    const tail = new Uint8Array(held < 56 ? 64 : 128);
    tail.set(this.rest.subarray(0, held));
    tail[held] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, Math.floor(this.size / 0x20000000));
    view.setUint32(tail.length - 4, (this.size * 8) >>> 0);
    compress(this.state, tail, 0, tail.length);
    const out = new DataView(new ArrayBuffer(32));
    this.state.forEach((word, n) => out.setInt32(n * 4, word));
    return new Uint8Array(out.buffer);
  }
}

export const sha256 = (bytes) => new Sha256().update(bytes).digest();
export const sha256hex = (bytes) => hex(sha256(bytes));

function compress(state, bytes, from, to) {
  const w = W, k = K;
  let A = state[0], B = state[1], C = state[2], D = state[3];
  let E = state[4], F = state[5], G = state[6], H = state[7];
  for (let p = from; p < to; p += 64) {
    for (let i = 0, j = p; i < 16; i += 1, j += 4) {
      w[i] = (bytes[j] << 24) | (bytes[j + 1] << 16) | (bytes[j + 2] << 8) | bytes[j + 3];
    }
    for (let i = 16; i < 64; i += 1) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let a = A, b = B, c = C, d = D, e = E, f = F, g = G, h = H;
    for (let i = 0; i < 64; i += 1) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + (g ^ (e & (f ^ g))) + k[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (c & (a ^ b)))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0;
      d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    A = (A + a) | 0; B = (B + b) | 0; C = (C + c) | 0; D = (D + d) | 0;
    E = (E + e) | 0; F = (F + f) | 0; G = (G + g) | 0; H = (H + h) | 0;
  }
  state[0] = A; state[1] = B; state[2] = C; state[3] = D;
  state[4] = E; state[5] = F; state[6] = G; state[7] = H;
}
