// A batch, packed as the engine takes it (docs/format.md, Packed batch).

import { Packer, numberOf } from "./bytes.js";
import { EskerError } from "./errors.js";

const DELETE = 0;
const PUT = 1;

const CAPACITY_MIN = 256;
const CAPACITY_MAX = 1 << 16;

/** What a new batch has room for: as much as the last one held, since batches tend to be alike. */
let capacity = CAPACITY_MIN;

export class Batch {
  #packer = new Packer(capacity);
  #length = 0;

  put(key, value, options) {
    return this.#add(() => {
      this.#packer.byte(PUT);
      this.#packer.key(key, numberOf(options?.bucket));
      this.#packer.bytes(value);
    });
  }

  delete(key, options) {
    return this.#add(() => {
      this.#packer.byte(DELETE);
      this.#packer.key(key, numberOf(options?.bucket));
    });
  }

  /** Adds an operation: all of it, or nothing where an argument is wrong. */
  #add(pack) {
    const start = this.#packer.length;
    try {
      pack();
    } catch (error) {
      this.#packer.cut(start);
      throw error;
    }
    this.#length += 1;
    return this;
  }

  clear() {
    this.#packer.cut(0);
    this.#length = 0;
    return this;
  }

  get length() {
    return this.#length;
  }

  get bytes() {
    return this.#packer.length;
  }

  /** The packed form of a batch, or of operations one after the other. */
  static pack(operations) {
    const packed = batchOf(operations).#packer.view();
    capacity = Math.min(Math.max(packed.length, CAPACITY_MIN), CAPACITY_MAX);
    return packed;
  }
}

function batchOf(operations) {
  if (operations instanceof Batch) return operations;
  const batch = new Batch();
  for (const operation of operations) {
    if (operation.type === "put") batch.put(operation.key, operation.value, operation);
    else if (operation.type === "delete") batch.delete(operation.key, operation);
    else throw new EskerError("invalid-argument", `an operation is a put or a delete, not ${operation.type}`);
  }
  return batch;
}
