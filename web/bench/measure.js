// One store through all workloads.
//
//   put, batch   into an empty store, for as long as a measurement takes
//   (fill)       the rest of the rows, unmeasured
//   (rest)       a pause, unmeasured, for everybody: whoever leaves work to idle time does it then
//   open         closed and opened again with all rows, until the first get has answered
//   get, scan    at random places
//   many puts, many gets   calls that do not wait for each other; for stores with promises
//   delete       rows that are there
//
// Every answer is checked: a store that is fast and wrong is not measured but refused.

import { BATCH, ROWS, SCAN, key, randomRows, value } from "./data.js";

/** Calls under way at once, where calls do not wait for each other. */
const MANY = 1000;
const FILL_BATCH = 2000;
/** A store that wants to breathe does so after this many operations; the time counts. */
const BREATH = 2000;
/** The pause after filling, in milliseconds. */
const REST_MILLIS = 3000;

/** The workloads, with what is counted. */
export const WORKLOADS = [
  { name: "put", title: "Single puts", unit: "puts" },
  { name: "batch", title: `Batches of ${BATCH}`, unit: "rows" },
  { name: "get", title: "Random gets", unit: "gets" },
  { name: "scan", title: `Scans of ${SCAN} rows`, unit: "scans" },
  { name: "delete", title: "Single deletes", unit: "deletes" },
  { name: "many puts", title: `Puts, ${MANY} at once`, unit: "puts" },
  { name: "many gets", title: `Gets, ${MANY} at once`, unit: "gets" },
];

/** Measures `store`, `seconds` for each workload; `say` hears what is under way. Answers operations a second by name. */
export async function measure(store, seconds, say) {
  const results = {};
  const run = async (name, units, operation) => {
    say(name);
    results[name] = units * (await repeat(store, seconds, operation));
  };
  await store.open();
  try {
    let next = 0;
    await run("put", 1, () => {
      const row = next++ % ROWS;
      return store.put(key(row), value(row));
    });
    await run("batch", BATCH, () => store.batch(rows(next, (next += BATCH))));
    if (!store.get) {
      await store.close();
      return results;
    }
    say("filling");
    for (let row = 0; row < ROWS; row += FILL_BATCH) {
      await store.batch(rows(row, row + FILL_BATCH));
      await store.breathe?.();
    }
    say("rest");
    await new Promise((resolve) => setTimeout(resolve, REST_MILLIS));
    say("open");
    results.open = await timeOfOpening(store);

    const random = randomRows(1);
    const check = (row, found) => {
      if (found?.length !== value(row).length || found[0] !== value(row)[0]) throw new Error(`row ${row} is wrong`);
    };
    await run("get", 1, () => {
      const row = random.next().value;
      const found = store.get(key(row));
      return store.sync ? check(row, found) : found.then((found) => check(row, found));
    });
    const checkScan = (found) => {
      if (found.length === 0 || found.length > SCAN || found[0][1].length !== value(0).length) throw new Error("a scan is wrong");
    };
    await run("scan", 1, () => {
      const found = store.scan(key(random.next().value), SCAN);
      return store.sync ? checkScan(found) : found.then(checkScan);
    });
    if (!store.sync) {
      const many = (operation) => () => Promise.all(Array.from({ length: MANY }, operation));
      await run("many puts", MANY, many(() => {
        const row = random.next().value;
        return store.put(key(row), value(row));
      }));
      await run("many gets", MANY, many(() => {
        const row = random.next().value;
        return store.get(key(row)).then((found) => check(row, found));
      }));
    }
    let gone = 0;
    await run("delete", 1, () => store.delete(key(gone++ % ROWS)));
    await store.close();
  } finally {
    await store.destroy();
  }
  return results;
}

/** Repeats `operation` for `seconds`; operations a second. */
async function repeat(store, seconds, operation) {
  const began = performance.now();
  const end = began + seconds * 1000;
  let count = 0;
  let now = began;
  while (now < end) {
    if (store.sync) operation();
    else await operation();
    count += 1;
    if (store.breathe && count % BREATH === 0) await store.breathe();
    now = performance.now();
  }
  return count / ((now - began) / 1000);
}

async function timeOfOpening(store) {
  await store.close();
  const began = performance.now();
  await store.open();
  if (!(await store.get(key(4711)))) throw new Error("a row is missing after opening");
  return performance.now() - began;
}

function rows(from, to) {
  return Array.from({ length: to - from }, (_, at) => {
    const row = (from + at) % ROWS;
    return [key(row), value(row)];
  });
}
