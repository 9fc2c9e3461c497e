// `esker/direct`: the store in a worker of the caller's own, called without promises.

import assert from "node:assert/strict";
import { browserTest, openDemo } from "./page.mjs";

/** In the page: runs a program in a worker, with a store of its own; answers what it returns. */
function inWorker(program) {
  const module = new URL("./esker/js/direct.js", document.baseURI);
  const code = `
    import { DirectStore } from "${module}";
    const db = await DirectStore.open("direct-test", { durability: "buffered" });
    postMessage(await (${program})(db));
    db.close();`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  return new Promise((done, failed) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = ({ message }) => failed(new Error(message));
  });
}

/** In the worker: keys and values around every size at which they are carried over in another way; what is wrong. */
function carry(db) {
  const sizes = [0, 1, 32, 33, 255, 1024, 1025, 8192, 70_000, 262_144, 300_000, 3_000_000, 100];
  const bytes = (size, seed) => Uint8Array.from({ length: size }, (_, at) => (at * 7 + seed) % 251);
  const same = (a, b) => a !== undefined && a.length === b.length && a.every((byte, at) => byte === b[at]);
  const wrong = [];
  const kept = [];
  for (const size of sizes) {
    for (const key of [`key ${size}`, bytes(Math.min(size, 65_535) + 1, 3), "é".repeat(Math.min(size, 30_000) + 1)]) {
      db.put(key, bytes(size, 5));
      const found = db.get(key);
      if (!same(found, bytes(size, 5))) wrong.push(`value of ${size} bytes`);
      kept.push([found, size]);
      db.delete(key);
      if (db.get(key) !== undefined) wrong.push(`deleted value of ${size} bytes`);
    }
  }
  if (!kept.every(([found, size]) => same(found, bytes(size, 5)))) wrong.push("a value that was kept");
  db.put("text", "häßlich 😀");
  if (db.get("text", { text: true }) !== "häßlich 😀") wrong.push("text");
  const codes = ["", new Uint8Array(65_537), new Uint8Array(300_000), "x".repeat(70_000), 7].map((key) => {
    try {
      db.put(key, "");
      return "done";
    } catch ({ code }) {
      return code;
    }
  });
  return { wrong, codes };
}

browserTest("whatever is put comes back, whatever its size", async (browser) => {
  const page = await openDemo(browser);
  const { wrong, codes } = await page.evaluate(inWorker, carry.toString());
  assert.deepEqual(wrong, []);
  assert.deepEqual(codes, Array(5).fill("invalid-argument"));
});

/** In the worker: scans of several pages, in all ways; what is wrong. */
function scan(db) {
  const key = (row) => String(row).padStart(6, "0");
  for (let row = 0; row < 3000; row += 1) db.put(key(row), `value ${row}`.padEnd(100));
  const rows = (options, from, to, step = 1) => {
    const found = db.scan({ text: true, ...options }).toArray();
    const one = [...db.scan({ text: true, ...options })];
    const expected = [];
    for (let row = from; row !== to; row += step) expected.push([key(row), options.keysOnly ? "" : `value ${row}`.padEnd(100)]);
    const json = JSON.stringify(expected);
    return JSON.stringify(found) === json && JSON.stringify(one) === json;
  };
  const right = {
    all: rows({}, 0, 3000),
    reverse: rows({ reverse: true }, 2999, -1, -1),
    range: rows({ start: key(10), end: key(2990) }, 10, 2990),
    end: rows({ end: key(7) }, 0, 7),
    prefix: rows({ prefix: "0001" }, 100, 200),
    limit: rows({ start: key(5), limit: 50 }, 5, 55),
    keys: rows({ keysOnly: true }, 0, 3000),
    nothing: rows({ limit: 0 }, 0, 0),
  };
  const snapshot = db.snapshot();
  const begun = db.scan({ text: true });
  const [first] = begun.next().value;
  db.delete(key(0));
  db.delete(key(2999));
  right.first = first === key(0);
  right.oneState = begun.toArray().length === 2999;
  right.snapshot = [...snapshot.scan({ keysOnly: true })].length === 3000 && snapshot.get(key(0)) !== undefined;
  snapshot.release();
  for (const [found] of db.scan({ text: true })) {
    right.broken = found === key(1);
    break;
  }
  const ended = db.scan();
  ended.next();
  ended.return();
  right.ended = ended.next().done && ended.toArray().length === 0;
  return Object.keys(right).filter((name) => !right[name]);
}

browserTest("scans give every page once, in order, of one state", async (browser) => {
  const page = await openDemo(browser);
  assert.deepEqual(await page.evaluate(inWorker, scan.toString()), []);
});

/** In the worker: writes much, and then has nothing to do. */
async function idle(db) {
  const value = new Uint8Array(1000).map((_, at) => at);
  // In the end until the memtable has more than 1 MiB: one of less would stay at rest.
  for (let row = 0; row < 20_000 || db.stats().memory.memtable < 2 << 20; row += 1) {
    db.put(String(row % 5000), value, { durability: row % 2 ? "deferred" : "buffered" });
    if (row % 1000 === 999) await db.ready();
  }
  const busy = db.stats();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { levels, log, memory, pending_bytes, sealed_memtables } = db.stats();
    const work = pending_bytes + sealed_memtables + log.deferred_bytes;
    if (work === 0 && memory.memtable_entries === 0) return { before: busy.levels[0].tables, after: levels[0].tables };
  }
}

browserTest("a store is maintained while its worker is idle", async (browser) => {
  const page = await openDemo(browser);
  const { before, after } = await page.evaluate(inWorker, idle.toString());
  assert.ok(before > 0 && after <= 4, `${before} tables in level 0, then ${after}`);
});
