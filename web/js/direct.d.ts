// The types of `esker/direct`: the same store inside a dedicated worker of your own. Every call but `open`, `ready` and
// the archive's is synchronous, so a put costs microseconds. One worker has the store; there is no sharing with tabs.

import type {
  Batch, BucketInfo, BucketOption, Bytes, Condition, Entry, OpenOptions, Operation, RecoveryReport, ScanOptions, Stats,
  TextEntry, TextOption, Verification, Versioned, WriteOptions,
} from "./index.js";

export { Batch, EskerError } from "./index.js";

/**
 * As `Reads`, at once. Small values share a buffer, and so do the entries of a scan: to transfer or to change one, or to
 * keep one of many for long, take a copy (`slice()`).
 */
export interface DirectReads {
  get(key: Bytes, options?: BucketOption): Uint8Array | undefined;
  get(key: Bytes, options: BucketOption & TextOption): string | undefined;
  getMany(keys: Iterable<Bytes>, options?: BucketOption): (Uint8Array | undefined)[];
  getMany(keys: Iterable<Bytes>, options: BucketOption & TextOption): (string | undefined)[];
  scan(options: ScanOptions & TextOption): DirectScan<TextEntry>;
  scan(options?: ScanOptions): DirectScan<Entry>;
}

/** A scan in progress, over one state of the store. Leaving the loop early releases it. */
export interface DirectScan<E> extends IterableIterator<E> {
  /** All entries from here to the end: quicker than to gather them one by one. */
  toArray(): E[];
}

export interface DirectWrites {
  getWithSequence(key: Bytes, options?: BucketOption): Versioned<Uint8Array> | undefined;
  getWithSequence(key: Bytes, options: BucketOption & TextOption): Versioned<string> | undefined;
  put(key: Bytes, value: Bytes, options?: WriteOptions & BucketOption): void;
  delete(key: Bytes, options?: WriteOptions & BucketOption): void;
  increment(key: Bytes, delta: number, options?: WriteOptions & BucketOption): number;
  increment(key: Bytes, delta: bigint, options?: WriteOptions & BucketOption): bigint;
}

export interface DirectSnapshot extends DirectReads {
  buckets(): BucketInfo[];
  release(): void;
}

/** A bucket of an open store: the store's calls for its keys. */
export interface DirectBucket extends BucketInfo, DirectReads, DirectWrites {}

export class DirectStore {
  /** Opens the store; waits while another tab or worker has it, unless `wait` is false: then it fails with `busy`. */
  static open(name: string, options?: OpenOptions & { wait?: boolean }): Promise<DirectStore>;
  readonly name: string;
  write(batch: Batch | Iterable<Operation>, options?: WriteOptions): void;
  writeIf(batch: Batch | Iterable<Operation>, conditions: Iterable<Condition>, options?: WriteOptions): void;
  createBucket(name: string): DirectBucket;
  dropBucket(name: string): boolean;
  bucket(name: string): DirectBucket | undefined;
  buckets(): DirectBucket[];
  sync(): void;
  snapshot(): DirectSnapshot;
  stats(): Stats;
  verify(): Verification;
  recoveryReport(): RecoveryReport;
  /**
   * Does up to about `budgetBytes` of pending flush and compaction work; returns whether more is left. The store does it
   * itself, in slices of some milliseconds, when the worker has nothing else to do; a loop that writes for long without a
   * pause can do it here.
   */
  maintain(budgetBytes?: number): boolean;
  /**
   * Opens file slots ahead of need, which no synchronous call can do. Await it now and then in long loops of writes;
   * without that, one of them fails with `busy` after some tens of megabytes.
   */
  ready(): Promise<void>;
  exportArchive(): Promise<Blob>;
  importArchive(archive: Blob): Promise<void>;
  /** Makes everything durable and lets go of the store. */
  close(): void;
}

export interface DirectStore extends DirectReads, DirectWrites {}
