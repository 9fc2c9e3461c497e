// The store inside a dedicated worker of the caller's own: the same wasm, called without messages.

import init, { Store } from "../wasm/esker_web.js";
import { Batch } from "./batch.js";
import { Bucket } from "./bucket.js";
import { Packer, Unpacker, bytesOf, checkScan, level, levelOf, numberOf } from "./bytes.js";
import * as calls from "./calls.js";
import { EskerError } from "./errors.js";
import { Exchange } from "./exchange.js";
import { lockName, readArchive, writeArchive } from "./shared.js";
import { Upkeep } from "./upkeep.js";

export { Batch, EskerError };

/** What the wasm answers instead of a length (src/store.rs). */
const ABSENT = -1;
const FAILED = -2;
/** What it adds to the length of a page after which there may be another. */
const MORE = 2 ** 32;

const NO_PAGE = new Unpacker(new Uint8Array(0));

/** Runs a call into the wasm; what it throws becomes an EskerError. */
function call(work) {
  try {
    return work();
  } catch (error) {
    throw EskerError.from(error);
  }
}

/** Carries out a call as a frame of its own: for calls that are too rare to have a way of theirs. */
function framed(store, { pack, read }) {
  const packer = new Packer();
  pack(packer);
  const [answer] = call(() => store.execute([packer.view()], [0]));
  return calls.outcome(new Unpacker(answer), read);
}

/** Writes a key to the exchange, from `at` on; returns its length. */
function writeKey(exchange, key, at = 0) {
  const length = exchange.write(key, at);
  if (length >= 0) return length;
  throw new EskerError("invalid-argument", `the key has ${bytesOf(key).length} bytes: a key has 1 to 65536`);
}

/** The entries of a scan, page by page. */
class Rows {
  #store;
  #exchange;
  #options;
  /** Asks the wasm for the first page. */
  #begin;
  /** The cursor; undefined before the first page, 0 after the last. */
  #cursor;
  #page = NO_PAGE;

  constructor(store, exchange, options, begin) {
    this.#store = store;
    this.#exchange = exchange;
    this.#options = options;
    this.#begin = begin;
  }

  [Symbol.iterator]() {
    return this;
  }

  next() {
    const { keysOnly, text } = this.#options;
    while (this.#page.done) {
      if (this.#cursor === 0) return { done: true, value: undefined };
      this.#fetch();
    }
    return { done: false, value: this.#page.entry(keysOnly, text) };
  }

  toArray() {
    const { keysOnly, text } = this.#options;
    const all = [];
    for (;;) {
      while (!this.#page.done) all.push(this.#page.entry(keysOnly, text));
      if (this.#cursor === 0) return all;
      this.#fetch();
    }
  }

  return(value) {
    if (this.#cursor) this.#store.closeCursor(this.#cursor);
    this.#cursor = 0;
    this.#page = NO_PAGE;
    return { done: true, value };
  }

  #fetch() {
    const cursor = this.#cursor;
    // Where it fails there is no more.
    this.#cursor = 0;
    const answer = call(() => (cursor === undefined ? this.#begin() : this.#store.page(cursor)));
    if (answer === FAILED) throw this.#exchange.failure();
    const more = answer >= MORE;
    if (more) this.#cursor = this.#store.cursor();
    this.#page = new Unpacker(this.#exchange.read(more ? answer - MORE : answer));
  }
}

class Reads {
  #store;
  #exchange;
  #snapshot;

  constructor(store, exchange, snapshot) {
    this.#store = store;
    this.#exchange = exchange;
    this.#snapshot = snapshot;
  }

  get(key, options) {
    const exchange = this.#exchange;
    const bucket = numberOf(options?.bucket);
    const keyBytes = writeKey(exchange, key);
    let length;
    try {
      length = this.#store.get(this.#snapshot, bucket, keyBytes);
    } catch (error) {
      throw EskerError.from(error);
    }
    if (length >= 0) return options?.text ? exchange.text(length) : exchange.read(length);
    if (length === ABSENT) return undefined;
    throw exchange.failure();
  }

  getMany(keys, options) {
    return Array.from(keys, (key) => this.get(key, options));
  }

  scan(options = {}) {
    checkScan(options);
    const [store, exchange] = [this.#store, this.#exchange];
    const { prefix, start = prefix, end, limit = -1 } = options;
    const [bucket, flags] = [numberOf(options.bucket), calls.scanFlags(options)];
    const begin = () => {
      const first = start === undefined ? 0 : writeKey(exchange, start);
      const second = end === undefined ? 0 : writeKey(exchange, end, first);
      return store.scan(this.#snapshot, bucket, flags, limit, first, second);
    };
    return new Rows(store, exchange, options, begin);
  }
}

class DirectSnapshot extends Reads {
  #store;
  #snapshot;

  constructor(store, exchange, snapshot) {
    super(store, exchange, snapshot);
    this.#store = store;
    this.#snapshot = snapshot;
  }

  buckets() {
    return framed(this.#store, calls.buckets(this.#snapshot));
  }

  release() {
    this.#store.release(this.#snapshot);
  }
}

export class DirectStore extends Reads {
  #store;
  #exchange;
  #upkeep;
  #unlock;
  #durability;

  static async open(name, options = {}) {
    const durability = level(options.durability ?? "synced");
    const { memory } = await init();
    const unlock = await lock(name, options.wait ?? true);
    try {
      const store = await Store.open(name, options);
      return new DirectStore(name, store, new Exchange(store, memory), durability, unlock);
    } catch (error) {
      unlock();
      throw EskerError.from(error);
    }
  }

  constructor(name, store, exchange, durability, unlock) {
    super(store, exchange, calls.LATEST);
    this.name = name;
    this.#store = store;
    this.#exchange = exchange;
    this.#upkeep = new Upkeep(store);
    this.#durability = durability;
    this.#unlock = unlock;
  }

  put(key, value, options) {
    const durability = levelOf(options, this.#durability);
    const bucket = numberOf(options?.bucket);
    const keyBytes = writeKey(this.#exchange, key);
    const valueBytes = this.#exchange.write(value, keyBytes);
    if (valueBytes < 0) {
      this.write(new Batch().put(key, value, options), options);
      return;
    }
    this.#done(() => this.#store.put(bucket, keyBytes, valueBytes, durability));
  }

  delete(key, options) {
    const durability = levelOf(options, this.#durability);
    const bucket = numberOf(options?.bucket);
    const keyBytes = writeKey(this.#exchange, key);
    this.#done(() => this.#store.delete(bucket, keyBytes, durability));
  }

  /** Runs a write that gives nothing. */
  #done(work) {
    this.#upkeep.wanted();
    if (call(work) === FAILED) throw this.#exchange.failure();
  }

  /** Carries out a write as a frame of its own. */
  #framed(packed) {
    this.#upkeep.wanted();
    return framed(this.#store, packed);
  }

  write(batch, options) {
    const durability = levelOf(options, this.#durability);
    this.#done(() => this.#store.write(Batch.pack(batch), durability));
  }

  getWithSequence(key, options) {
    return framed(this.#store, calls.getWithSequence(key, options));
  }

  writeIf(batch, conditions, options) {
    this.#framed(calls.writeIf(batch, conditions, this.#durability, options));
  }

  increment(key, delta, options) {
    return this.#framed(calls.increment(key, delta, this.#durability, options));
  }

  createBucket(name) {
    return new Bucket(this, this.#framed(calls.createBucket(name)));
  }

  dropBucket(name) {
    return this.#framed(calls.dropBucket(name));
  }

  bucket(name) {
    return this.buckets().find((bucket) => bucket.name === name);
  }

  buckets() {
    return framed(this.#store, calls.buckets(calls.LATEST)).map((bucket) => new Bucket(this, bucket));
  }

  sync() {
    call(() => this.#store.sync());
  }

  snapshot() {
    return new DirectSnapshot(this.#store, this.#exchange, call(() => this.#store.snapshot()));
  }

  stats() {
    return JSON.parse(call(() => this.#store.stats()));
  }

  verify() {
    return JSON.parse(call(() => this.#store.verify()));
  }

  recoveryReport() {
    return JSON.parse(call(() => this.#store.report()));
  }

  maintain(budgetBytes = 1 << 20) {
    return call(() => this.#store.maintain(budgetBytes));
  }

  async ready() {
    try {
      await this.#store.tend();
    } catch (error) {
      throw EskerError.from(error);
    }
  }

  exportArchive() {
    return this.#upkeep.during(() => writeArchive(this.#store));
  }

  importArchive(archive) {
    return this.#upkeep.during(() => readArchive(this.#store, archive));
  }

  close() {
    this.#upkeep.end();
    try {
      call(() => this.#store.close());
    } finally {
      this.#unlock();
    }
  }
}

/** Takes the store's lock; returns what gives it back. */
function lock(name, wait) {
  return new Promise((resolve, reject) => {
    const held = (granted) => {
      if (!granted) {
        reject(new EskerError("busy", `the store ${name} is open in another tab or worker`));
        return undefined;
      }
      return new Promise((unlock) => resolve(unlock));
    };
    navigator.locks.request(lockName(name), { ifAvailable: !wait }, held).catch(reject);
  });
}
