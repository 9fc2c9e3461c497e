// The types of the npm package `esker`: a durable, ordered key/value store in the browser.
//
// import { Esker } from "esker";            a page, any number of tabs
// import { DirectStore } from "esker/direct";   inside a dedicated worker of your own, without promises

/** A key or a value. A string stands for its UTF-8 bytes. */
export type Bytes = string | Uint8Array;

/**
 * How far a write has gone when its promise is fulfilled:
 * - `synced`: on storage; survives a power cut, as far as the browser keeps its promise about `flush`.
 * - `buffered`: handed to the browser; survives a closed or crashed tab.
 * - `deferred`: in memory; a closed tab may lose the last 64 KiB or 100 ms of such writes.
 */
export type Durability = "synced" | "buffered" | "deferred";

/** What to do about a damaged write-ahead log (docs/recovery.md). */
export type RecoveryMode = "skip-corrupted" | "point-in-time" | "tolerate-torn-tail" | "absolute";

/** What the caller should do about an error. */
export type ErrorCode =
  /** The call is wrong: fix it. Nothing was changed. */
  | "invalid-argument"
  /** Not now: try again later. Nothing was changed. */
  | "busy"
  /** The storage or the quota is full. Nothing that was acknowledged is lost. */
  | "no-space"
  /** Stored data is damaged; `file` and `offset` say where. */
  | "corrupt"
  /** The store cannot be opened: it is of a newer format, is missing, or must not be there. */
  | "cannot-open"
  /** This browser or window has no origin private file system (too old, or private browsing). */
  | "unsupported"
  /** The file is no archive of a store. Nothing was changed. */
  | "foreign-archive"
  /** This handle was closed, or the store was destroyed: open it anew. */
  | "closed"
  /** There is no such bucket: it was dropped, or is one of another store. Nothing was changed. */
  | "no-such-bucket"
  /** Conditions of a `writeIf` did not hold; `failed` says which. Nothing was written. */
  | "condition-failed"
  /** The snapshot or scan was lost when another tab took the store over: begin it anew. */
  | "snapshot-lost"
  /** The tab that had the store has gone while it had this write: it was applied once or not at all. */
  | "outcome-unknown"
  /** An earlier failure has made the handle useless: open the store anew. */
  | "reopen"
  /** The browser's file system answered with another error. */
  | "io"
  /** A bug in Esker: please report it. */
  | "bug";

/** Every promise of this package is rejected with one. */
export class EskerError extends Error {
  readonly name: "EskerError";
  readonly code: ErrorCode;
  /** For `corrupt`: the damaged file and the offset in it. */
  readonly file?: string;
  readonly offset?: number;
  /** For `condition-failed`: the places of the conditions that did not hold, ascending. */
  readonly failed?: number[];
}

/** How a store is opened. Of several tabs, the options of the one that has the store hold. */
export interface OpenOptions {
  /** Make the store if there is none. Default true. */
  createIfMissing?: boolean;
  /** Fail if there is one already. Default false. */
  errorIfExists?: boolean;
  /** Default `skip-corrupted`. */
  recovery?: RecoveryMode;
  /** How far writes go that do not say so themselves. Default `synced`. Holds for this handle only. */
  durability?: Durability;
  /** Ask the browser to keep the data when storage runs short (`navigator.storage.persist()`). Default false. */
  persist?: boolean;
  /** The memory that the store plans with, in bytes. Default 32 MiB, at least 8 MiB. */
  memoryBytes?: number;
  /** A memtable is flushed at this size. Default an eighth of the memory. */
  memtableBytes?: number;
  /** The block cache. Default half of the memory. */
  cacheBytes?: number;
  /** Deferred writes are handed to the browser at this many bytes. Default 65,536. */
  deferredBytes?: number;
  /** ... or at this age in milliseconds. Default 100. */
  deferredMillis?: number;
  /** The size at which a data block is cut. Default 4,096. */
  blockBytes?: number;
  /** Bits of Bloom filter for each key; 0 switches filters off. Default 10. */
  bloomBits?: number;
  /** Default `lz4`. */
  compression?: "lz4" | "none";
  /** The size at which a compaction cuts its tables. Default 16 MiB. */
  tableBytes?: number;
  /** Makes the dedicated worker, for bundlers that do not understand `new Worker(new URL(...))`. */
  worker?: () => Worker;
}

/** A bucket, a named key space of a store. Its number means nothing in another store, and is never given again. */
export interface BucketInfo {
  /** 0 is the default bucket, which every store has. */
  readonly number: number;
  readonly name: string;
}

export interface BucketOption {
  /** The bucket whose keys are meant. Default: the default bucket. */
  bucket?: BucketInfo;
}

export interface WriteOptions {
  /** Default: the store's. */
  durability?: Durability;
}

export interface TextOption {
  /** Decode keys and values as UTF-8: the answer is strings. */
  text: true;
}

/** A range of keys of one bucket, and how it is read. */
export interface ScanOptions extends BucketOption {
  /** Only keys that begin with this. Excludes `start` and `end`. */
  prefix?: Bytes;
  /** The first key (inclusive). */
  start?: Bytes;
  /** The first key after the range (exclusive). */
  end?: Bytes;
  /** From the last key to the first. */
  reverse?: boolean;
  /** At most this many entries. */
  limit?: number;
  /** Leave the values out: they are empty. */
  keysOnly?: boolean;
  /** Decode keys and values as UTF-8. */
  text?: boolean;
}

/** A key and its value. */
export type Entry = [key: Uint8Array, value: Uint8Array];
export type TextEntry = [key: string, value: string];

/**
 * A scan in progress: an async iterator over one state of the store, whatever is written meanwhile. Leaving the loop
 * early releases it. `next` costs no message where the page that came last has more entries; `page` gives a whole page.
 */
export interface Scan<E> extends AsyncIterableIterator<E> {
  /** The next entries, some hundreds at once; an empty list is the end. */
  page(): Promise<E[]>;
  /** All entries from here to the end. */
  toArray(): Promise<E[]>;
}

/** What can be read: the latest state, or a snapshot; of one bucket, or of all. */
export interface Reads {
  /** The value of `key`; `undefined` if it is absent. */
  get(key: Bytes, options?: BucketOption): Promise<Uint8Array | undefined>;
  get(key: Bytes, options: BucketOption & TextOption): Promise<string | undefined>;
  /** The values of many keys, in their order, all of one state. */
  getMany(keys: Iterable<Bytes>, options?: BucketOption): Promise<(Uint8Array | undefined)[]>;
  getMany(keys: Iterable<Bytes>, options: BucketOption & TextOption): Promise<(string | undefined)[]>;
  /** Reads a range. */
  scan(options: ScanOptions & TextOption): Scan<TextEntry>;
  scan(options?: ScanOptions): Scan<Entry>;
}

/** A state that later writes do not change. Release it: while it lives, compaction keeps what it sees. */
export interface Snapshot extends Reads {
  /** The buckets of this state, in the order of their numbers: the default one first. */
  buckets(): Promise<BucketInfo[]>;
  release(): Promise<void>;
}

/** A value, and when it was written. */
export interface Versioned<V> {
  value: V;
  /** The sequence number of the write that made it: for `unchangedSince`. */
  sequence: number;
}

/** What is done to single keys of the latest state; of one bucket, or of all. */
export interface Writes {
  /** The value of `key` with the sequence number of its write; `undefined` if it is absent. */
  getWithSequence(key: Bytes, options?: BucketOption): Promise<Versioned<Uint8Array> | undefined>;
  getWithSequence(key: Bytes, options: BucketOption & TextOption): Promise<Versioned<string> | undefined>;
  /** Sets `key` (1 to 65,536 bytes) to `value` (at most 64 MiB). */
  put(key: Bytes, value: Bytes, options?: WriteOptions & BucketOption): Promise<void>;
  /** Removes `key`; removing an absent key is no error. */
  delete(key: Bytes, options?: WriteOptions & BucketOption): Promise<void>;
  /**
   * Adds `delta` to the number that `key` holds in decimal digits, with a `-` before a negative one; an absent key
   * counts as 0. The promise gives the sum, which the key then holds: a bigint where `delta` is one, and else a number,
   * which is exact below 2^53. `invalid-argument` where the value is no whole number, or the sum does not fit 64 bits.
   */
  increment(key: Bytes, delta: number, options?: WriteOptions & BucketOption): Promise<number>;
  increment(key: Bytes, delta: bigint, options?: WriteOptions & BucketOption): Promise<bigint>;
}

/**
 * A bucket of an open store: the store's calls for its keys. It stays valid when another tab takes the store over, and
 * fails with `no-such-bucket` when it was dropped. Ask for it anew after `importArchive`, which brings other buckets.
 */
export interface Bucket extends BucketInfo, Reads, Writes {}

/** One step of a batch. */
export type Operation =
  | ({ type: "put"; key: Bytes; value: Bytes } & BucketOption)
  | ({ type: "delete"; key: Bytes } & BucketOption);

/** What must be so for a write to be made. */
export interface Condition extends BucketOption {
  /** The key that is looked at. */
  key: Bytes;
  /**
   * What it must be: without a value; of this value; or of a value whose write has this sequence number or an earlier
   * one, which an absent key never is.
   */
  expected: "absent" | { equals: Bytes } | { unchangedSince: number };
}

/** Operations that are applied together or not at all; they may change several buckets. */
export class Batch {
  put(key: Bytes, value: Bytes, options?: BucketOption): this;
  delete(key: Bytes, options?: BucketOption): this;
  clear(): this;
  /** The number of operations. */
  readonly length: number;
  /** Bytes in packed form; at most 67,239,936. */
  readonly bytes: number;
}

/** A level of tables. */
export interface LevelStats {
  tables: number;
  bytes: number;
  entries: number;
  tombstones: number;
}

/** docs/stats.md describes the members; `pool` and `pauses` are the browser's own. */
export interface Stats {
  epoch: number;
  last_sequence: number;
  durable_sequence: number;
  snapshots: number;
  levels: LevelStats[];
  memory: {
    bytes_max: number; memtable: number; memtable_max: number; memtable_entries: number;
    sealed_memtables: number; cache: number; open_tables: number;
  };
  cache: {
    bytes: number; bytes_max: number; hits: number; misses: number; open_tables: number;
    filter_passes: number; filter_rejects: number;
  };
  log: { segment: number; segment_bytes: number; segments_sealed: number; deferred_bytes: number };
  writes: { batches: number; operations: number; bytes: number; syncs: number };
  reads: { gets: number; scans: number };
  flush: { jobs: number; bytes_read: number; bytes_written: number };
  compaction: { jobs: number; bytes_read: number; bytes_written: number };
  compaction_moves: number;
  entries_dropped: number;
  write_amplification: number;
  sealed_memtables: number;
  pending_bytes: number;
  stalled: boolean;
  stalls: Record<"memtables" | "level0", { count: number; micros: number; micros_max: number }>;
  obsolete_tables: number;
  maintenance_failure: string | null;
  /** The slots in which the files are kept (docs/browser.md). */
  pool: { slots: number; slots_max: number; free: number; damaged: number; bytes: number };
  /** Slices of maintenance since the store was opened, and the longest one. */
  pauses: { count: number; micros: number; micros_max: number };
}

export interface Verification {
  files: number;
  bytes: number;
  entries: number;
  /** Every problem: file, offset, what is wrong. Empty means that all is well. */
  problems: string[];
}

/** What recovery found when the store was opened. docs/recovery.md describes the members. */
export interface RecoveryReport {
  clean: boolean;
  created: boolean;
  epoch: number;
  micros: number;
  segments_read: number;
  bytes_read: number;
  records_replayed: number;
  operations_replayed: number;
  records_dropped: number;
  operations_dropped: number;
  losses: { kind: "torn-tail" | "corruption" | "harmless"; file: string; offset: number; bytes: number;
            sequence: number; operations: number | null; reason: string }[];
  manifest_torn: { file: string; offset: number; reason: string } | null;
  tables_written: number;
  orphans_removed: number;
  set_aside: string[];
  /** Slots whose header is damaged: they are left alone, and what they held is missing. */
  damaged_slots: { slot: string; reason: string }[];
}

/**
 * An open store. All tabs of an origin may open the same name: one of them has the files (the leader), the others
 * reach it by messages, and when it goes another takes over.
 *
 * Calls are carried out in the order in which they are made. Calls that are made without waiting for each other travel
 * together, and their writes share one sync: that is the way to write many small things fast.
 *
 * Events: `role` when this tab becomes the leader.
 */
export class Esker extends EventTarget {
  /** Opens the store `name` (1 to 100 characters), making it if need be. */
  static open(name: string, options?: OpenOptions): Promise<Esker>;
  /** Removes the store `name`, open or not; no error if there is none. */
  static destroy(name: string): Promise<void>;
  /** The names of this origin's stores. */
  static list(): Promise<string[]>;

  readonly name: string;
  /** Whether this tab has the files. */
  readonly role: "leader" | "follower";

  /** Applies a batch: all of it or nothing. */
  write(batch: Batch | Iterable<Operation>, options?: WriteOptions): Promise<void>;
  /** Applies a batch if every condition holds; else fails with `condition-failed`, and nothing is written. */
  writeIf(
    batch: Batch | Iterable<Operation>, conditions: Iterable<Condition>, options?: WriteOptions,
  ): Promise<void>;

  /**
   * The bucket of this name, which is made where there is none; it is durable when the promise is fulfilled. A name has
   * 1 to 255 bytes of UTF-8 and no control characters; `invalid-argument` for another.
   */
  createBucket(name: string): Promise<Bucket>;
  /**
   * Drops the bucket of this name with all that it holds; durable when the promise is fulfilled, which tells whether
   * there was one. Snapshots and scans that saw it still do. Its space comes back by maintenance. `invalid-argument` for
   * the default bucket.
   */
  dropBucket(name: string): Promise<boolean>;
  /** The bucket of this name; `undefined` if there is none. The default one's name is `default`. */
  bucket(name: string): Promise<Bucket | undefined>;
  /** All buckets, in the order of their numbers: the default one first. */
  buckets(): Promise<Bucket[]>;

  /** Makes every write before it durable. */
  sync(): Promise<void>;

  /** Pins the latest state. */
  snapshot(): Promise<Snapshot>;
  stats(): Promise<Stats>;
  /**
   * Calls `callback` with the stats now and whenever they have changed, at most every `millis` (default 250): the
   * memtable, levels, pending work and counters, for a live picture. Returns a function that ends it.
   */
  watch(callback: (stats: Stats) => void, millis?: number): () => void;
  /** Reads every file and checks every checksum, order and reference. */
  verify(): Promise<Verification>;
  /** Merges everything into the deepest level. */
  compact(): Promise<void>;
  recoveryReport(): Promise<RecoveryReport>;

  /** The whole store as one tar file, which `tar xf` turns into a native store's directory. */
  exportArchive(): Promise<Blob>;
  /**
   * Replaces the content by that of an archive: one that `exportArchive` or `tar cf` of a native store's directory
   * made. All or nothing, also in a crash. Snapshots and scans are lost.
   */
  importArchive(archive: Blob): Promise<void>;

  /** Makes everything durable and lets go of the store. Another tab takes over. */
  close(): Promise<void>;
  /** Closes the store in all tabs and removes it. */
  destroy(): Promise<void>;
}

export interface Esker extends Reads, Writes {}
