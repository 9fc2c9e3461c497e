// The store inside a dedicated worker of the caller's own: the same wasm, called without messages.

import init, { Range, Store } from "../wasm/esker_web.js";
import { Batch } from "./batch.js";
import { Bucket } from "./bucket.js";
import { Packer, Unpacker, bytesOf, checkScan, entries, level, levelOf, numberOf, text } from "./bytes.js";
import * as calls from "./calls.js";
import { EskerError } from "./errors.js";
import { lockName, readArchive, writeArchive } from "./shared.js";

export { Batch, EskerError };

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

class Reads {
  constructor(reads) {
    this.reads = reads;
  }

  get(key, options) {
    const { store, snapshot } = this.reads();
    const bucket = numberOf(options?.bucket);
    const value = call(() => store.get(snapshot, bucket, bytesOf(key)));
    return options?.text && value ? text(value) : value;
  }

  getMany(keys, options) {
    return Array.from(keys, (key) => this.get(key, options));
  }

  *scan(options = {}) {
    checkScan(options);
    const { store, snapshot } = this.reads();
    const { prefix, start, end, reverse, keysOnly, limit } = options;
    const bound = (key) => (key === undefined ? undefined : bytesOf(key));
    const range = new Range(numberOf(options.bucket), bound(start), bound(end), bound(prefix), !!reverse, !!keysOnly);
    let page = call(() => store.scan(snapshot, range, limit ?? -1));
    let cursor = page.cursor;
    try {
      for (;;) {
        yield* entries(page.take(), keysOnly, options.text);
        if (cursor === 0) return;
        page = call(() => store.page(cursor));
        cursor = page.cursor;
      }
    } finally {
      if (cursor !== 0) store.closeCursor(cursor);
    }
  }
}

class DirectSnapshot extends Reads {
  #store;
  #snapshot;

  constructor(store, snapshot) {
    super(() => ({ store, snapshot }));
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
  #unlock;
  #durability;

  static async open(name, options = {}) {
    const durability = level(options.durability ?? "synced");
    await init();
    const unlock = await lock(name, options.wait ?? true);
    try {
      return new DirectStore(name, await Store.open(name, options), durability, unlock);
    } catch (error) {
      unlock();
      throw EskerError.from(error);
    }
  }

  constructor(name, store, durability, unlock) {
    super(() => ({ store, snapshot: calls.LATEST }));
    this.name = name;
    this.#store = store;
    this.#durability = durability;
    this.#unlock = unlock;
  }

  put(key, value, options) {
    const [bucket, durability] = [numberOf(options?.bucket), levelOf(options, this.#durability)];
    call(() => this.#store.put(bucket, bytesOf(key), bytesOf(value), durability));
  }

  delete(key, options) {
    const [bucket, durability] = [numberOf(options?.bucket), levelOf(options, this.#durability)];
    call(() => this.#store.delete(bucket, bytesOf(key), durability));
  }

  write(batch, options) {
    const durability = levelOf(options, this.#durability);
    call(() => this.#store.write(Batch.pack(batch), durability));
  }

  getWithSequence(key, options) {
    return framed(this.#store, calls.getWithSequence(key, options));
  }

  writeIf(batch, conditions, options) {
    framed(this.#store, calls.writeIf(batch, conditions, this.#durability, options));
  }

  increment(key, delta, options) {
    return framed(this.#store, calls.increment(key, delta, this.#durability, options));
  }

  createBucket(name) {
    return new Bucket(this, framed(this.#store, calls.createBucket(name)));
  }

  dropBucket(name) {
    return framed(this.#store, calls.dropBucket(name));
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
    return new DirectSnapshot(this.#store, call(() => this.#store.snapshot()));
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
    return writeArchive(this.#store);
  }

  importArchive(archive) {
    return readArchive(this.#store, archive);
  }

  close() {
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
