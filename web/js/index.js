// The store as a page sees it: promises. Calls that are made without waiting travel in one frame to the worker, whose
// answers come in one frame as well (src/frame.rs describes the bytes).

import { Batch } from "./batch.js";
import { Bucket } from "./bucket.js";
import { Packer, Unpacker, entries, level } from "./bytes.js";
import * as calls from "./calls.js";
import { EskerError } from "./errors.js";

export { Batch, EskerError };

/** A frame of this size does not wait for more calls. */
const FRAME_BYTES = 256 << 10;
const WATCH_MILLIS = 250;

/** Calls on their way to the worker, and what was asked of it otherwise. */
class Connection {
  onrole;
  #worker;
  #failure;
  #nextId = 1;
  /** Answers to come, by number: of a frame the calls, of anything else how to settle it. */
  #waiting = new Map();
  #packer = new Packer(1024);
  #calls = [];
  #writes = false;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.fail(new EskerError("bug", `the worker could not be run: ${event.message ?? "see the console"}`));
    };
  }

  /** Opens the store; resolves with the role of this tab. */
  open(name, options) {
    return new Promise((resolve, reject) => {
      this.opening = { resolve, reject };
      this.#worker.postMessage({ open: { name, options } });
    });
  }

  /** Adds a call to the frame. */
  call({ writes, pack, read }) {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const start = this.#packer.length;
      try {
        pack(this.#packer);
      } catch (error) {
        this.#packer.cut(start);
        reject(EskerError.from(error));
        return;
      }
      this.#add({ pack, read, resolve, reject, writes });
    });
  }

  /** Adds a call that is packed to the frame. */
  #add(call) {
    if (this.#calls.length === 0) queueMicrotask(() => this.#send());
    this.#calls.push(call);
    this.#writes ||= call.writes;
    if (this.#packer.length >= FRAME_BYTES) this.#send();
  }

  /** Whether the writes of a frame were done nobody knows; its reads can be done again. */
  #retryReads(calls, error) {
    for (const call of calls) {
      if (call.writes) {
        call.reject(error);
      } else {
        call.pack(this.#packer);
        this.#add(call);
      }
    }
  }

  /** Asks for something that travels alone, after all calls before it. */
  ask(call, writes, argument) {
    this.#send();
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, argument, writes });
    });
  }

  /** Refuses all that waits, and all that comes. */
  fail(error) {
    if (this.#failure) return;
    this.#failure = error;
    this.opening?.reject(error);
    for (const waiting of this.#waiting.values()) reject(waiting, error);
    reject({ calls: this.#calls }, error);
    this.#waiting.clear();
    this.#calls = [];
    this.#worker.terminate();
  }

  #refuse(waiting, { code, message, ...place }) {
    const error = new EskerError(code, message, place);
    if (code === "outcome-unknown" && waiting.calls) this.#retryReads(waiting.calls, error);
    else reject(waiting, error);
  }

  #send() {
    if (this.#calls.length === 0) return;
    const id = this.#nextId++;
    const frame = this.#packer.view().slice();
    this.#waiting.set(id, { calls: this.#calls });
    this.#worker.postMessage({ id, frame, writes: this.#writes }, [frame.buffer]);
    // One large value should not hold its memory for ever.
    if (this.#packer.length > FRAME_BYTES * 4) this.#packer = new Packer(1024);
    else this.#packer.cut(0);
    this.#calls = [];
    this.#writes = false;
  }

  #hear(message) {
    if (message.opened) {
      this.opening?.resolve(message.opened);
      this.opening = undefined;
      this.onrole?.(message.opened);
    } else if (message.failed) {
      this.fail(new EskerError(message.failed.code, message.failed.message, message.failed));
    } else {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) this.#refuse(waiting, message.error);
      else if (waiting.calls) settle(waiting.calls, new Unpacker(message.frame));
      else waiting.resolve(message.result);
    }
  }
}

/** Refuses a request, or every call of a frame. */
function reject(waiting, error) {
  if (waiting.calls) waiting.calls.forEach((call) => call.reject(error));
  else waiting.reject(error);
}

/** Gives each call its answer. */
function settle(waiting, answers) {
  for (const { read, resolve, reject } of waiting) {
    try {
      resolve(calls.outcome(answers, read));
    } catch (error) {
      reject(error);
    }
  }
}

class Scan {
  #connection;
  #options;
  /** The call that begins it. */
  #begin;
  /** The cursor; undefined before the first page, 0 after the last. */
  #cursor;
  #entries = [][Symbol.iterator]();

  constructor(connection, snapshot, options) {
    this.#connection = connection;
    this.#options = { ...options };
    this.#begin = calls.scan(snapshot, this.#options);
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    for (;;) {
      const next = this.#entries.next();
      if (!next.done) return next;
      if (this.#cursor === 0) return { done: true, value: undefined };
      await this.#fetch();
    }
  }

  async page() {
    let rest = [...this.#entries];
    while (rest.length === 0 && this.#cursor !== 0) {
      await this.#fetch();
      rest = [...this.#entries];
    }
    return rest;
  }

  async toArray() {
    const all = [];
    for (let page = await this.page(); page.length > 0; page = await this.page()) {
      for (const entry of page) all.push(entry);
    }
    return all;
  }

  async return(value) {
    const cursor = this.#cursor;
    this.#cursor = 0;
    this.#entries = [][Symbol.iterator]();
    if (cursor) await this.#connection.call(calls.closeCursor(cursor)).catch(() => undefined);
    return { done: true, value };
  }

  async #fetch() {
    const call = this.#cursor === undefined ? this.#begin : calls.page(this.#cursor);
    const [cursor, page] = await this.#connection.call(call);
    this.#cursor = cursor;
    this.#entries = entries(page, this.#options.keysOnly, this.#options.text);
  }
}

class Snapshot {
  #connection;
  #id;

  constructor(connection, id) {
    this.#connection = connection;
    this.#id = id;
  }

  get(key, options) {
    return this.#connection.call(calls.get(this.#id, key, options));
  }

  getMany(keys, options) {
    return this.#connection.call(calls.getMany(this.#id, keys, options));
  }

  scan(options = {}) {
    return new Scan(this.#connection, this.#id, options);
  }

  buckets() {
    return this.#connection.call(calls.buckets(this.#id));
  }

  release() {
    return this.#connection.call(calls.release(this.#id));
  }
}

export class Esker extends EventTarget {
  #connection;
  #durability;
  #role;
  #watches = new Set();
  #closed = false;

  static async open(name, options = {}) {
    const { durability = "synced", persist, worker, ...rest } = options;
    const level_ = level(durability);
    if (typeof name !== "string") throw new EskerError("invalid-argument", "a store's name is a string");
    const connection = new Connection(start(worker));
    const role = await connection.open(name, rest);
    if (persist) await navigator.storage.persist?.();
    return new Esker(name, connection, level_, role);
  }

  static destroy(name) {
    return once({ destroy: name });
  }

  static list() {
    return once({ list: true });
  }

  constructor(name, connection, durability, role) {
    super();
    this.name = name;
    this.#connection = connection;
    this.#durability = durability;
    this.#role = role;
    connection.onrole = (role) => {
      this.#role = role;
      this.dispatchEvent(new Event("role"));
    };
  }

  get role() {
    return this.#role;
  }

  get(key, options) {
    return this.#connection.call(calls.get(calls.LATEST, key, options));
  }

  getMany(keys, options) {
    return this.#connection.call(calls.getMany(calls.LATEST, keys, options));
  }

  getWithSequence(key, options) {
    return this.#connection.call(calls.getWithSequence(key, options));
  }

  scan(options = {}) {
    return new Scan(this.#connection, calls.LATEST, options);
  }

  put(key, value, options) {
    return this.#connection.call(calls.put(key, value, this.#durability, options));
  }

  delete(key, options) {
    return this.#connection.call(calls.remove(key, this.#durability, options));
  }

  write(batch, options) {
    return this.#connection.call(calls.write(batch, this.#durability, options));
  }

  writeIf(batch, conditions, options) {
    return this.#connection.call(calls.writeIf(batch, conditions, this.#durability, options));
  }

  increment(key, delta, options) {
    return this.#connection.call(calls.increment(key, delta, this.#durability, options));
  }

  async createBucket(name) {
    return new Bucket(this, await this.#connection.call(calls.createBucket(name)));
  }

  dropBucket(name) {
    return this.#connection.call(calls.dropBucket(name));
  }

  async bucket(name) {
    return (await this.buckets()).find((bucket) => bucket.name === name);
  }

  async buckets() {
    const buckets = await this.#connection.call(calls.buckets(calls.LATEST));
    return buckets.map((bucket) => new Bucket(this, bucket));
  }

  sync() {
    return this.#connection.call(calls.sync());
  }

  async snapshot() {
    return new Snapshot(this.#connection, await this.#connection.call(calls.snapshot()));
  }

  stats() {
    return this.#connection.call(calls.stats());
  }

  watch(callback, millis = WATCH_MILLIS) {
    const watch = { last: undefined, timer: undefined };
    this.#watches.add(watch);
    const look = async () => {
      const told = await this.#connection.call(calls.stats((answer) => answer.text())).catch(() => undefined);
      if (!this.#watches.has(watch)) return;
      if (told !== undefined && told !== watch.last) {
        watch.last = told;
        callback(JSON.parse(told));
      }
      watch.timer = setTimeout(look, millis);
    };
    look();
    return () => {
      this.#watches.delete(watch);
      clearTimeout(watch.timer);
    };
  }

  verify() {
    return this.#connection.call(calls.verify());
  }

  async compact() {
    await this.#connection.ask("compact", false);
  }

  recoveryReport() {
    return this.#connection.call(calls.recoveryReport());
  }

  exportArchive() {
    return this.#connection.ask("export", false);
  }

  async importArchive(archive) {
    if (!(archive instanceof Blob)) throw new EskerError("invalid-argument", "an archive is a Blob or a File");
    await this.#connection.ask("import", true, archive);
  }

  close() {
    return this.#end("close", false);
  }

  destroy() {
    return this.#end("destroy", true);
  }

  async #end(call, writes) {
    if (this.#closed) return;
    this.#closed = true;
    for (const watch of this.#watches) clearTimeout(watch.timer);
    this.#watches.clear();
    try {
      await this.#connection.ask(call, writes);
    } finally {
      this.#connection.fail(new EskerError("closed", "the store was closed: open it anew"));
    }
  }
}

/** Starts a worker. The URL stands inside the call, where bundlers look for it. */
function start(worker) {
  return worker?.() ?? new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}

/** Asks a worker of its own for one thing. */
function once(request) {
  const worker = start();
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.failed) reject(new EskerError(data.failed.code, data.failed.message, data.failed));
      else resolve(data.done ?? undefined);
    };
    worker.onerror = () => reject(new EskerError("bug", "the worker could not be run: see the console"));
    worker.postMessage(request);
  }).finally(() => worker.terminate());
}
