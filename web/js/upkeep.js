// Maintenance of a direct store while its worker is idle: what the worker of an `Esker` does between calls, too.

import { DEFERRAL_MILLIS, REST_MILLIS, SLICE_BYTES } from "./shared.js";

export class Upkeep {
  #store;
  /** Sends the next slice to the end of the worker's tasks. A timer would wait longer each time. */
  #wake = new MessageChannel();
  #woken = false;
  #looks = [];
  /** How many things are under way that maintenance should not come between. */
  #pauses = 0;

  constructor(store) {
    this.#store = store;
    this.#wake.port1.onmessage = () => this.#slice();
  }

  /** Something was written: looks after the store when the worker's present task is done. */
  wanted() {
    if (this.#woken) return;
    this.#woken = true;
    this.#wake.port2.postMessage(0);
  }

  /** Keeps away from the store while `work` is under way. */
  async during(work) {
    this.#pauses += 1;
    try {
      return await work();
    } finally {
      this.#pauses -= 1;
      this.wanted();
    }
  }

  end() {
    this.#pauses = Infinity;
    this.#looks.forEach(clearTimeout);
    this.#wake.port1.close();
  }

  async #slice() {
    this.#woken = false;
    if (this.#pauses > 0) return;
    this.#looks.forEach(clearTimeout);
    try {
      if (this.#store.wantsSlots()) await this.#store.tend();
      if (this.#pauses > 0) return;
      if (this.#store.maintain(SLICE_BYTES)) this.wanted();
      else this.#look();
    } catch {
      // Whoever needs what could not be done is told so, and the next write comes here again.
    }
  }

  /** Nothing is left to do, but deferred writes to hand over, and a memtable to flush if no write comes any more. */
  #look() {
    const later = (millis, due) => setTimeout(() => this.#pauses === 0 && due() && this.wanted(), millis);
    this.#looks = [
      later(DEFERRAL_MILLIS, () => this.#store.maintain(SLICE_BYTES)),
      later(REST_MILLIS, () => this.#store.rest()),
    ];
  }
}
