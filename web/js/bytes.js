// Bytes on their way: a packer that grows, an unpacker, and what both agree on (src/frame.rs is the other side).

import { EskerError } from "./errors.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
/** The number of a bucket below this one is one byte. */
const PLAIN_BUCKETS = 240;
const BUCKET_MAX = 2 ** 32 - 1;

/** The string that these bytes spell. */
export const text = (bytes) => decoder.decode(bytes);

/** A key or a value as bytes. */
export function bytesOf(value) {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  throw new EskerError("invalid-argument", `a key or value is a string or a Uint8Array, not ${describe(value)}`);
}

/** How many bytes the number of a bucket takes: a small one is its own byte, another has one before it. */
function bucketBytes(bucket) {
  if (bucket < PLAIN_BUCKETS) return 1;
  return 1 + Math.ceil((32 - Math.clz32(bucket)) / 8);
}

/** The number of a bucket, as whoever names one gives it; without one it is the default bucket. */
export function numberOf(bucket) {
  if (bucket === undefined) return 0;
  const number = bucket?.number;
  if (Number.isInteger(number) && number >= 0 && number <= BUCKET_MAX) return number;
  throw new EskerError("invalid-argument", "a bucket is what createBucket, bucket or buckets has given");
}

/** What is added to a number, in decimal digits. */
export function deltaOf(delta) {
  if (Number.isSafeInteger(delta) || (typeof delta === "bigint" && BigInt.asIntN(64, delta) === delta)) {
    return String(delta);
  }
  throw new EskerError("invalid-argument", `what is added is a whole number below 2^53 or a bigint of 64 bits, not ${delta}`);
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
    this.#bytesAfter(0, 0, value);
  }

  /** A key as batches hold it: the length of all, the bucket's number, the key (docs/format.md, Keys). */
  key(value, bucket = 0) {
    this.#bytesAfter(bucketBytes(bucket), bucket, value);
  }

  /** The length of all, a bucket's number in so many bytes, the bytes of a key or value. */
  #bytesAfter(numberBytes, bucket, value) {
    // A short string needs no array of its own: its length takes one byte, however it is encoded.
    if (typeof value === "string" && value.length <= 40) {
      this.#reserve(1 + numberBytes + value.length * 3);
      const start = this.length + 1 + numberBytes;
      const { written } = encoder.encodeInto(value, this.#bytes.subarray(start));
      this.#bytes[this.length++] = numberBytes + written;
      this.#bucket(numberBytes, bucket);
      this.length += written;
      return;
    }
    const bytes = bytesOf(value);
    this.number(numberBytes + bytes.length);
    this.#reserve(numberBytes + bytes.length);
    this.#bucket(numberBytes, bucket);
    this.raw(bytes);
  }

  /** REQUIRES: there is room. */
  #bucket(numberBytes, bucket) {
    if (numberBytes > 1) this.#bytes[this.length++] = PLAIN_BUCKETS - 2 + numberBytes;
    const first = numberBytes > 1 ? numberBytes - 2 : numberBytes - 1;
    for (let at = first; at >= 0; at -= 1) this.#bytes[this.length++] = bucket >>> (8 * at);
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
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  text() {
    return text(this.bytes());
  }

  /** A value, or undefined where it is absent. A copy: a value that is kept should not keep its neighbours. */
  value() {
    return this.byte() ? this.bytes().slice() : undefined;
  }

  /** An entry of a page of a scan. */
  entry(keysOnly, asText) {
    const key = this.bytes();
    const value = keysOnly ? NOTHING : this.bytes();
    return asText ? [text(key), text(value)] : [key, value];
  }
}

/** Entries of a page of a scan, made when they are asked for. */
export function* entries(page, keysOnly, asText) {
  const unpacker = new Unpacker(page);
  while (!unpacker.done) yield unpacker.entry(keysOnly, asText);
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

/** How far a write goes: as its options say, or else as its store's do. */
export const levelOf = (options, otherwise) =>
  options?.durability === undefined ? otherwise : level(options.durability);

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
