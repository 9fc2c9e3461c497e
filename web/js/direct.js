// The store inside a dedicated worker of the caller's own: the same wasm, called without messages.

import init, { Range, Store } from "../wasm/esker_web.js";
import { Batch } from "./batch.js";
import { bytesOf, checkScan, entries, level, text } from "./bytes.js";
import { EskerError } from "./errors.js";
import { lockName, readArchive, writeArchive } from "./shared.js";

export { Batch, EskerError };

const LATEST = 0;

/** Runs a call into the wasm; what it throws becomes an EskerError. */
function call(work) {
  try {
    return work();
  } catch (error) {
    throw EskerError.from(error);
  }
}

class Reads {
  constructor(reads) {
    this.reads = reads;
  }

  get(key, options) {
    const { store, snapshot } = this.reads();
    const value = call(() => store.get(snapshot, bytesOf(key)));
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
    const range = new Range(bound(start), bound(end), bound(prefix), !!reverse, !!keysOnly);
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
  #release;

  constructor(store, snapshot) {
    super(() => ({ store, snapshot }));
    this.#release = () => store.release(snapshot);
  }

  release() {
    this.#release();
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
    super(() => ({ store, snapshot: LATEST }));
    this.name = name;
    this.#store = store;
    this.#durability = durability;
    this.#unlock = unlock;
  }

  put(key, value, options) {
    const durability = this.#level(options);
    call(() => this.#store.put(bytesOf(key), bytesOf(value), durability));
  }

  delete(key, options) {
    const durability = this.#level(options);
    call(() => this.#store.delete(bytesOf(key), durability));
  }

  write(batch, options) {
    const durability = this.#level(options);
    call(() => this.#store.write(Batch.pack(batch), durability));
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

  #level(options) {
    return options?.durability === undefined ? this.#durability : level(options.durability);
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
