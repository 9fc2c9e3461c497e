// The wasm's memory as `esker/direct` uses it: arguments are written to the store's inbox, and answers are read from its
// outbox. A call then allocates nothing in the wasm, and carries over nothing but numbers.

import { bytesOf, text } from "./bytes.js";
import { EskerError } from "./errors.js";

/** Small answers share buffers of this size: to allocate one costs ten times as much as to copy a row. */
const POOL_BYTES = 8 << 10;
/** A longer answer has a buffer of its own. */
const POOLED_BYTES_MAX = 1 << 10;
/** Fewer bytes are copied one by one: that is quicker than a call which copies. */
const LOOP_BYTES_MAX = 32;

const encoder = new TextEncoder();

export class Exchange {
  #store;
  #memory;
  /** All of the memory. It is detached, and empty, when the memory has grown. */
  #bytes;
  #inbox;
  #room;
  #outbox = 0;
  /** So much of the outbox is known to be there. */
  #outboxBytes = 0;
  #pool = new ArrayBuffer(POOL_BYTES);
  #pooled = 0;

  constructor(store, memory) {
    this.#store = store;
    this.#memory = memory;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#inbox = store.inbox();
    this.#room = store.inboxBytes();
  }

  /** Writes a key or a value to the inbox, from `at` on; returns its length, or -1 where it does not fit. */
  write(value, at = 0) {
    const memory = this.#whole();
    const start = this.#inbox + at;
    const room = this.#room - at;
    if (typeof value === "string" && value.length * 3 <= room) {
      return encoder.encodeInto(value, memory.subarray(start, start + room)).written;
    }
    const bytes = bytesOf(value);
    if (bytes.length > room) return -1;
    if (bytes.length <= LOOP_BYTES_MAX) {
      for (let index = 0; index < bytes.length; index += 1) memory[start + index] = bytes[index];
    } else {
      memory.set(bytes, start);
    }
    return bytes.length;
  }

  /** The bytes of the outbox, copied. */
  read(length) {
    const answer = this.#answer(length);
    if (length > POOLED_BYTES_MAX) return answer.slice();
    if (this.#pooled + length > POOL_BYTES) {
      this.#pool = new ArrayBuffer(POOL_BYTES);
      this.#pooled = 0;
    }
    const copy = new Uint8Array(this.#pool, this.#pooled, length);
    copy.set(answer);
    this.#pooled += length;
    return copy;
  }

  /** The string that the bytes of the outbox spell. */
  text(length) {
    return text(this.#answer(length));
  }

  #answer(length) {
    if (length > this.#outboxBytes) {
      this.#outbox = this.#store.outbox();
      this.#outboxBytes = this.#store.outboxBytes();
    }
    return this.#whole().subarray(this.#outbox, this.#outbox + length);
  }

  #whole() {
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(this.#memory.buffer);
    return this.#bytes;
  }

  /** What the last call has failed with. */
  failure() {
    return EskerError.from(this.#store.failure());
  }
}
