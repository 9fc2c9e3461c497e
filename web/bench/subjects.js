// What is measured: stores with one interface.
//
//   open()                makes it ready; what is there stays
//   put(key, value)       a write of its own       delete(key)
//   batch(rows)           all of them in one write; rows are [key, value]
//   get(key)              the value, as bytes      scan(start, count): [key, value]s
//   close(), destroy()
//
// `sync` says that only open, close and destroy answer with promises. What cannot `get` is no store: it is measured to
// know what the others cannot be quicker than.

import { Batch, Esker } from "../esker/js/index.js";
import { DirectStore } from "../esker/js/direct.js";

const MEMORY = 16 << 20;

/** Everything that can be measured, in the order of the table. `where` is worker or page. */
export const SUBJECTS = [
  { name: "Esker synced", about: "on storage when the call returns", where: "worker", make: () => new Direct("synced") },
  { name: "Esker buffered", about: "survives a crash of the tab; a power cut takes the last writes", where: "worker", weak: true, make: () => new Direct("buffered") },
  { name: "Esker deferred", about: "in memory; a crash of the tab takes the last 64 KiB or 100 ms", where: "worker", weak: true, make: () => new Direct("deferred") },
  { name: "SQLite FULL", about: "on storage at each commit (journal DELETE)", where: "worker", make: () => new Sqlite("delete", "full") },
  { name: "SQLite WAL NORMAL", about: "survives a crash of the tab; a power cut takes the last writes", where: "worker", weak: true, make: () => new Sqlite("wal", "normal") },
  { name: "IndexedDB strict", about: "on storage at each commit", where: "worker", make: () => new Idb("strict") },
  { name: "IndexedDB relaxed", about: "handed to the operating system; a power cut takes the last writes", where: "worker", weak: true, make: () => new Idb("relaxed") },
  { name: "OPFS write alone", about: "the bytes of a log's record, over others; no store", where: "worker", weak: true, make: () => new Log(false) },
  { name: "OPFS write and flush alone", about: "the same, on storage each time; no store", where: "worker", make: () => new Log(true) },
  { name: "Esker synced, page", about: "on storage when the promise is fulfilled", where: "page", make: () => new Promised("synced") },
  { name: "Esker buffered, page", about: "survives a crash of the tab; a power cut takes the last writes", where: "page", weak: true, make: () => new Promised("buffered") },
  { name: "IndexedDB strict, page", about: "on storage at each commit", where: "page", make: () => new Idb("strict") },
  { name: "IndexedDB relaxed, page", about: "handed to the operating system; a power cut takes the last writes", where: "page", weak: true, make: () => new Idb("relaxed") },
];

const NAME = "esker-bench";
const LOG_NAME = "bench-log";
/** As large as a segment of Esker's log in the browser. */
const LOG_BYTES = 4 << 20;
/** About what a record of Esker's log has beside its operations, and what an operation has beside key and value. */
const RECORD_BYTES = 20;
const OPERATION_BYTES = 4;

class Direct {
  sync = true;
  #db;
  #options;

  constructor(durability) {
    this.#options = { durability };
  }

  async open() {
    this.#db = await DirectStore.open(NAME, { memoryBytes: 2 * MEMORY, cacheBytes: MEMORY });
  }

  put(key, value) {
    this.#db.put(key, value, this.#options);
  }

  delete(key) {
    this.#db.delete(key, this.#options);
  }

  batch(rows) {
    const batch = new Batch();
    for (const [key, value] of rows) batch.put(key, value);
    this.#db.write(batch, this.#options);
  }

  /** File slots ahead of need: what a program with a long loop of writes does now and then. */
  breathe() {
    return this.#db.ready();
  }

  get(key) {
    return this.#db.get(key);
  }

  scan(start, limit) {
    return this.#db.scan({ start, limit }).toArray();
  }

  async close() {
    this.#db.close();
  }

  async destroy() {
    await Esker.destroy(NAME);
  }
}

class Promised {
  #db;
  #durability;

  constructor(durability) {
    this.#durability = durability;
  }

  async open() {
    const options = { memoryBytes: 2 * MEMORY, cacheBytes: MEMORY, durability: this.#durability };
    this.#db = await Esker.open(`${NAME}-page`, options);
  }

  put(key, value) {
    return this.#db.put(key, value);
  }

  delete(key) {
    return this.#db.delete(key);
  }

  batch(rows) {
    const batch = new Batch();
    for (const [key, value] of rows) batch.put(key, value);
    return this.#db.write(batch);
  }

  get(key) {
    return this.#db.get(key);
  }

  scan(start, limit) {
    return this.#db.scan({ start, limit }).toArray();
  }

  close() {
    return this.#db.close();
  }

  destroy() {
    return Esker.destroy(`${NAME}-page`);
  }
}

/** The writes of a log at their cheapest: one call each, over bytes that are there already. */
class Log {
  sync = true;
  #flushes;
  #handle;
  #bytes = new Uint8Array(LOG_BYTES);
  #at = 0;

  constructor(flushes) {
    this.#flushes = flushes;
  }

  async open() {
    const folder = await navigator.storage.getDirectory();
    const file = await folder.getFileHandle(LOG_NAME, { create: true });
    this.#handle = await file.createSyncAccessHandle();
    this.#handle.write(this.#bytes, { at: 0 });
    this.#handle.flush();
  }

  put(key, value) {
    this.#write(RECORD_BYTES + key.length + value.length);
  }

  batch(rows) {
    this.#write(rows.reduce((bytes, [key, value]) => bytes + OPERATION_BYTES + key.length + value.length, RECORD_BYTES));
  }

  #write(bytes) {
    if (this.#at + bytes > LOG_BYTES) this.#at = 0;
    this.#handle.write(this.#bytes.subarray(0, bytes), { at: this.#at });
    this.#at += bytes;
    if (this.#flushes) this.#handle.flush();
  }

  async close() {
    this.#handle.close();
  }

  async destroy() {
    await (await navigator.storage.getDirectory()).removeEntry(LOG_NAME);
  }
}

class Sqlite {
  sync = true;
  #journal;
  #synchronous;
  #pool;
  #db;
  #statements;

  constructor(journal, synchronous) {
    this.#journal = journal;
    this.#synchronous = synchronous;
  }

  async open() {
    // The pool's handles are opened here, as Esker's are when it is opened.
    if (this.#pool) await this.#pool.unpauseVfs();
    else this.#pool = await this.#install();
    this.#db = new this.#pool.OpfsSAHPoolDb("/bench.db");
    this.#db.exec(`PRAGMA locking_mode = exclusive; PRAGMA journal_mode = ${this.#journal};
      PRAGMA synchronous = ${this.#synchronous}; PRAGMA cache_size = -${MEMORY / 1024};
      CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID`);
    const mode = this.#db.selectValue("PRAGMA journal_mode");
    if (mode !== this.#journal) throw new Error(`SQLite is in journal mode ${mode}`);
    const prepare = (sql) => this.#db.prepare(sql);
    this.#statements = {
      put: prepare("INSERT OR REPLACE INTO kv VALUES (?, ?)"),
      delete: prepare("DELETE FROM kv WHERE k = ?"),
      get: prepare("SELECT v FROM kv WHERE k = ?"),
      scan: prepare("SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT ?"),
      begin: prepare("BEGIN"),
      commit: prepare("COMMIT"),
    };
  }

  put(key, value) {
    this.#statements.put.bind([key, value]).stepReset();
  }

  delete(key) {
    this.#statements.delete.bind([key]).stepReset();
  }

  batch(rows) {
    const { begin, put, commit } = this.#statements;
    begin.stepReset();
    for (const row of rows) put.bind(row).stepReset();
    commit.stepReset();
  }

  get(key) {
    const statement = this.#statements.get.bind([key]);
    const value = statement.step() ? statement.getBlob(0) : undefined;
    statement.reset();
    return value;
  }

  scan(start, count) {
    const statement = this.#statements.scan.bind([start, count]);
    const rows = [];
    while (statement.step()) rows.push([statement.getBlob(0), statement.getBlob(1)]);
    statement.reset();
    return rows;
  }

  async close() {
    for (const statement of Object.values(this.#statements)) statement.finalize();
    this.#db.close();
    this.#pool.pauseVfs();
  }

  async destroy() {
    await this.#pool?.removeVfs();
  }

  async #install() {
    const { default: init } = await import("./sqlite/index.mjs");
    const sqlite = await init();
    return sqlite.installOpfsSAHPoolVfs({ name: `bench-${this.#journal}`, directory: `/sqlite-bench-${this.#journal}` });
  }
}

class Idb {
  #durability;
  #db;

  constructor(durability) {
    this.#durability = durability;
  }

  open() {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kv");
    return answer(request).then((db) => (this.#db = db));
  }

  put(key, value) {
    return this.#write((store) => store.put(value, key));
  }

  delete(key) {
    return this.#write((store) => store.delete(key));
  }

  batch(rows) {
    return this.#write((store) => {
      for (const [key, value] of rows) store.put(value, key);
    });
  }

  get(key) {
    return answer(this.#read().get(key));
  }

  async scan(start, count) {
    const store = this.#read();
    const range = IDBKeyRange.lowerBound(start);
    if (store.getAllRecords) {
      const records = await answer(store.getAllRecords({ query: range, count }));
      return records.map(({ key, value }) => [new Uint8Array(key), value]);
    }
    const [keys, values] = await Promise.all([answer(store.getAllKeys(range, count)), answer(store.getAll(range, count))]);
    return keys.map((key, at) => [new Uint8Array(key), values[at]]);
  }

  async close() {
    this.#db.close();
  }

  destroy() {
    return answer(indexedDB.deleteDatabase(NAME));
  }

  #read() {
    return this.#db.transaction("kv").objectStore("kv");
  }

  #write(action) {
    const transaction = this.#db.transaction("kv", "readwrite", { durability: this.#durability });
    action(transaction.objectStore("kv"));
    return new Promise((done, failed) => {
      transaction.oncomplete = () => done();
      transaction.onabort = () => failed(transaction.error);
    });
  }
}

function answer(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}
