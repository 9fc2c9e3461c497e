// The calls as bytes: how each is packed into a frame, and how its answer is read (src/frame.rs is the other side).
//
// A call is `{ writes, pack, read }`: whether it changes the store, what writes it to a packer, and what takes its answer
// from an unpacker.

import { Batch } from "./batch.js";
import { checkScan, deltaOf, levelOf, numberOf, text } from "./bytes.js";
import { EskerError } from "./errors.js";

/** The snapshot that stands for the latest state. */
export const LATEST = 0;

const PUT = 1;
const DELETE = 2;
const WRITE = 3;
const GET = 4;
const GET_MANY = 5;
const SCAN = 6;
const PAGE = 7;
const CLOSE_CURSOR = 8;
const SNAPSHOT = 9;
const RELEASE = 10;
const SYNC = 11;
const STATS = 12;
const REPORT = 13;
const VERIFY = 14;
const WRITE_IF = 15;
const INCREMENT = 16;
const GET_WITH_SEQUENCE = 17;
const CREATE_BUCKET = 18;
const DROP_BUCKET = 19;
const BUCKETS = 20;

const ABSENT = 0;
const EQUALS = 1;
const UNCHANGED_SINCE = 2;

const nothing = () => undefined;
const json = (answer) => JSON.parse(answer.text());

/** A call of a kind, packed by `pack`. */
const reading = (kind, pack, read) => ({ writes: false, pack: (packer) => (packer.byte(kind), pack(packer)), read });
const writing = (kind, pack, read) => ({ ...reading(kind, pack, read), writes: true });

/** What an answer gives; what it refuses with is thrown. */
export function outcome(answer, read) {
  if (answer.byte() === 0) return read(answer);
  const [code, message] = [answer.text(), answer.text()];
  const place = { file: answer.text(), offset: answer.number() };
  const failed = list(answer, () => answer.number());
  throw new EskerError(code, message, { ...place, failed });
}

const list = (answer, next) => Array.from({ length: answer.number() }, next);

function valueOf(answer, options) {
  const value = answer.value();
  return options?.text && value ? text(value) : value;
}

export function get(snapshot, key, options) {
  const pack = (packer) => {
    packer.number(snapshot);
    packer.key(key, numberOf(options?.bucket));
  };
  return reading(GET, pack, (answer) => valueOf(answer, options));
}

export function getMany(snapshot, keys, options) {
  const pack = (packer) => {
    const [all, bucket] = [[...keys], numberOf(options?.bucket)];
    packer.number(snapshot);
    packer.number(all.length);
    for (const key of all) packer.key(key, bucket);
  };
  return reading(GET_MANY, pack, (answer) => list(answer, () => valueOf(answer, options)));
}

export function getWithSequence(key, options) {
  const read = (answer) => {
    const value = valueOf(answer, options);
    return value === undefined ? undefined : { value, sequence: answer.number() };
  };
  return reading(GET_WITH_SEQUENCE, (packer) => packer.key(key, numberOf(options?.bucket)), read);
}

/** Begins a scan. Its answer, and that of `page`, is `[cursor, page]`. */
export function scan(snapshot, options) {
  checkScan(options);
  const { bucket, prefix, start, end, limit } = options;
  const pack = (packer) => {
    packer.number(snapshot);
    packer.number(numberOf(bucket));
    packer.byte(scanFlags(options));
    packer.number(limit === undefined ? 0 : limit + 1);
    for (const bound of [prefix, start, end]) if (bound !== undefined) packer.bytes(bound);
  };
  return reading(SCAN, pack, pageOf);
}

/** What a scan is like, and which bounds it has. */
export function scanFlags({ reverse, keysOnly, prefix, start, end }) {
  const has = (bound, flag) => (bound === undefined ? 0 : flag);
  return (reverse ? 1 : 0) | (keysOnly ? 2 : 0) | has(prefix, 4) | has(start, 8) | has(end, 16);
}

export const page = (cursor) => reading(PAGE, (packer) => packer.number(cursor), pageOf);

const pageOf = (answer) => [answer.number(), answer.bytes()];

export const closeCursor = (cursor) => reading(CLOSE_CURSOR, (packer) => packer.number(cursor), nothing);

export function put(key, value, level, options) {
  const pack = (packer) => {
    packer.byte(levelOf(options, level));
    packer.key(key, numberOf(options?.bucket));
    packer.bytes(value);
  };
  return writing(PUT, pack, nothing);
}

export function remove(key, level, options) {
  const pack = (packer) => {
    packer.byte(levelOf(options, level));
    packer.key(key, numberOf(options?.bucket));
  };
  return writing(DELETE, pack, nothing);
}

export function write(batch, level, options) {
  const pack = (packer) => {
    packer.byte(levelOf(options, level));
    packer.bytes(Batch.pack(batch));
  };
  return writing(WRITE, pack, nothing);
}

export function writeIf(batch, conditions, level, options) {
  const pack = (packer) => {
    const all = [...conditions];
    packer.byte(levelOf(options, level));
    packer.bytes(Batch.pack(batch));
    packer.number(all.length);
    for (const condition of all) packCondition(packer, condition);
  };
  return writing(WRITE_IF, pack, nothing);
}

function packCondition(packer, { key, bucket, expected }) {
  packer.key(key, numberOf(bucket));
  if (expected === "absent") {
    packer.byte(ABSENT);
  } else if (expected?.equals !== undefined) {
    packer.byte(EQUALS);
    packer.bytes(expected.equals);
  } else if (Number.isSafeInteger(expected?.unchangedSince) && expected.unchangedSince >= 0) {
    packer.byte(UNCHANGED_SINCE);
    packer.number(expected.unchangedSince);
  } else {
    throw new EskerError("invalid-argument", 'a condition expects "absent", { equals } or { unchangedSince }');
  }
}

export function increment(key, delta, level, options) {
  const pack = (packer) => {
    packer.byte(levelOf(options, level));
    packer.key(key, numberOf(options?.bucket));
    packer.bytes(deltaOf(delta));
  };
  const sum = (answer) => (typeof delta === "bigint" ? BigInt(answer.text()) : Number(answer.text()));
  return writing(INCREMENT, pack, sum);
}

export const createBucket = (name) => writing(CREATE_BUCKET, named(name), (answer) => ({ number: answer.number(), name }));

export const dropBucket = (name) => writing(DROP_BUCKET, named(name), (answer) => answer.byte() === 1);

function named(name) {
  return (packer) => {
    if (typeof name !== "string") throw new EskerError("invalid-argument", "a bucket's name is a string");
    packer.bytes(name);
  };
}

/** The buckets of a state, each `{ number, name }`. */
export function buckets(snapshot) {
  const read = (answer) => list(answer, () => ({ number: answer.number(), name: answer.text() }));
  return reading(BUCKETS, (packer) => packer.number(snapshot), read);
}

const plain = (kind, read) => reading(kind, nothing, read);

export const snapshot = () => plain(SNAPSHOT, (answer) => answer.number());
export const release = (snapshot) => reading(RELEASE, (packer) => packer.number(snapshot), nothing);
export const sync = () => plain(SYNC, nothing);
export const stats = (read = json) => plain(STATS, read);
export const recoveryReport = () => plain(REPORT, json);
export const verify = () => plain(VERIFY, json);
