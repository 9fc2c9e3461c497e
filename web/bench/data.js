// The rows of the benchmark, the same for everybody: numbered, with keys that are spread over their order.

export const ROWS = 100_000;
export const BATCH = 100;
export const SCAN = 100;
const VALUE_BYTES = 100;
const VALUES = 512;

const encoder = new TextEncoder();
const keys = Array.from({ length: ROWS }, (_, row) => encoder.encode(String((row * 7919) % 1_000_003).padStart(16, "0")));
const values = Array.from({ length: VALUES }, (_, seed) => makeValue(seed + 1));

/** The key of row number `row`. */
export const key = (row) => keys[row];

/** A value for row number `row`. */
export const value = (row) => values[row % VALUES];

/** Row numbers that look random, the same in every run. */
export function* randomRows(seed) {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state % ROWS;
  }
}

/** Half of it random, half repeated: it compresses to about half, like most data. */
function makeValue(seed) {
  const value = new Uint8Array(VALUE_BYTES);
  let state = seed;
  for (let at = 0; at < VALUE_BYTES / 2; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    value[at] = value[at + VALUE_BYTES / 2] = state >>> 16;
  }
  return value;
}
