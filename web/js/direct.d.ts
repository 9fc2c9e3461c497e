// The types of `esker/direct`: the same store inside a dedicated worker of your own. Every call but `open`, `ready` and
// the archive's is synchronous, so a put costs microseconds. One worker has the store; there is no sharing with tabs.

import type {
  Batch, Bytes, Entry, OpenOptions, Operation, RecoveryReport, ScanOptions, Stats, TextEntry, TextOption, Verification,
  WriteOptions,
} from "./index.js";

export { Batch, EskerError } from "./index.js";

export interface DirectReads {
  get(key: Bytes): Uint8Array | undefined;
  get(key: Bytes, options: TextOption): string | undefined;
  getMany(keys: Iterable<Bytes>): (Uint8Array | undefined)[];
  getMany(keys: Iterable<Bytes>, options: TextOption): (string | undefined)[];
  scan(options: ScanOptions & TextOption): IterableIterator<TextEntry>;
  scan(options?: ScanOptions): IterableIterator<Entry>;
}

export interface DirectSnapshot extends DirectReads {
  release(): void;
}

export class DirectStore implements DirectReads {
  /** Opens the store; waits while another tab or worker has it, unless `wait` is false: then it fails with `busy`. */
  static open(name: string, options?: OpenOptions & { wait?: boolean }): Promise<DirectStore>;
  readonly name: string;
  get(key: Bytes): Uint8Array | undefined;
  get(key: Bytes, options: TextOption): string | undefined;
  getMany(keys: Iterable<Bytes>): (Uint8Array | undefined)[];
  getMany(keys: Iterable<Bytes>, options: TextOption): (string | undefined)[];
  scan(options: ScanOptions & TextOption): IterableIterator<TextEntry>;
  scan(options?: ScanOptions): IterableIterator<Entry>;
  put(key: Bytes, value: Bytes, options?: WriteOptions): void;
  delete(key: Bytes, options?: WriteOptions): void;
  write(batch: Batch | Iterable<Operation>, options?: WriteOptions): void;
  sync(): void;
  snapshot(): DirectSnapshot;
  stats(): Stats;
  verify(): Verification;
  recoveryReport(): RecoveryReport;
  /** Does up to about `budgetBytes` of pending flush and compaction work; returns whether more is left. */
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
