// Bytes on their way: a packer that grows, an unpacker, and what both agree on (src/frame.rs is the other side).

import { EskerError } from "./errors.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
/** The number of the bucket that all keys are in. */
const DEFAULT_BUCKET = new Uint8Array(1);

/** The string that these bytes spell. */
export const text = (bytes) => decoder.decode(bytes);

/** A key or a value as bytes. */
export function bytesOf(value) {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  throw new EskerError("invalid-argument", `a key or value is a string or a Uint8Array, not ${describe(value)}`);
}

const describe = (value) => (value === null ? "null" : typeof value === "object" ? value.constructor?.name : typeof value);

export class Packer {
  #bytes;
  length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  byte(value) {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }

  /** A whole number below 2^53. */
  number(value) {
    this.#reserve(8);
    while (value > 127) {
      this.#bytes[this.length++] = (value % 128) + 128;
      value = Math.floor(value / 128);
    }
    this.#bytes[this.length++] = value;
  }

  /** The length and the bytes of a key or value. */
  bytes(value) {
    this.#bytesAfter(NOTHING, value);
  }

  /** A key of a batch: the length of all, the bucket's number, the key. */
  key(value) {
    this.#bytesAfter(DEFAULT_BUCKET, value);
  }

  #bytesAfter(prefix, value) {
    // A short string needs no array of its own: its length takes one byte, however it is encoded.
    if (typeof value === "string" && value.length <= 40) {
      this.#reserve(1 + prefix.length + value.length * 3);
      const start = this.length + 1 + prefix.length;
      this.#bytes.set(prefix, this.length + 1);
      const { written } = encoder.encodeInto(value, this.#bytes.subarray(start));
      this.#bytes[this.length] = prefix.length + written;
      this.length = start + written;
      return;
    }
    const bytes = bytesOf(value);
    this.number(prefix.length + bytes.length);
    this.raw(prefix);
    this.raw(bytes);
  }

  /** Bytes as they are. */
  raw(bytes) {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Forgets what came after `length`. */
  cut(length) {
    this.length = length;
  }

  /** What was packed; the packer may go on. */
  view() {
    return this.#bytes.subarray(0, this.length);
  }

  #reserve(more) {
    const needed = this.length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.view());
    this.#bytes = grown;
  }
}

export class Unpacker {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get done() {
    return this.#at >= this.#bytes.length;
  }

  byte() {
    return this.#bytes[this.#at++];
  }

  number() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte < 128) return value + byte * scale;
      value += (byte - 128) * scale;
    }
  }

  /** A view of bytes: it shares memory with all that came with it. */
  bytes() {
    const length = this.number();
    const start = this.#at;
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  text() {
    return text(this.bytes());
  }

  /** A value, or undefined where it is absent. A copy: a value that is kept should not keep its neighbours. */
  value() {
    return this.byte() ? this.bytes().slice() : undefined;
  }
}

/** Entries of a page of a scan, made when they are asked for. */
export function* entries(page, keysOnly, asText) {
  const unpacker = new Unpacker(page);
  const nothing = new Uint8Array(0);
  while (!unpacker.done) {
    const key = unpacker.bytes();
    const value = keysOnly ? nothing : unpacker.bytes();
    yield asText ? [text(key), text(value)] : [key, value];
  }
}

const DURABILITIES = { deferred: 0, buffered: 1, synced: 2 };

/** A durability as the byte that stands for it. */
export function level(durability) {
  const found = DURABILITIES[durability];
  if (found === undefined) {
    throw new EskerError("invalid-argument", `durability is synced, buffered or deferred, not ${durability}`);
  }
  return found;
}

/** The options of a scan: its range and how it is read. */
export function checkScan(options) {
  const { prefix, start, end, limit } = options;
  if (prefix !== undefined && (start !== undefined || end !== undefined)) {
    throw new EskerError("invalid-argument", "a scan has a prefix, or a start and an end, not both");
  }
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 0)) {
    throw new EskerError("invalid-argument", `a scan's limit is a whole number, 0 or more, not ${limit}`);
  }
}
