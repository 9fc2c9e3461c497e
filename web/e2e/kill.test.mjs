// A worker that is killed at any moment: no acknowledged write is lost, and of the others each is there or not.

import assert from "node:assert/strict";
import { browserTest, openDemo } from "./page.mjs";

const ROUNDS = 40;

browserTest("workers killed at random moments lose nothing acknowledged", async (browser) => {
  const page = await openDemo(browser, "another");
  const { problems, rounds, cut } = await page.evaluate(killAndLook, ROUNDS);
  assert.deepEqual(problems, []);
  assert.equal(rounds, ROUNDS);
  // Else every round ended between two writes, and showed nothing.
  assert.ok(cut > ROUNDS / 4, `${cut} rounds were cut off in the middle of a write`);
});

/**
 * In the page: writes counters under a few keys, kills the worker after some acknowledgements, and looks for what must
 * be there. `model` holds for each key the last value that was acknowledged and those that may have been written since.
 */
async function killAndLook(rounds) {
  const { Esker } = await import("./esker/js/index.js");
  const problems = [];
  const model = new Map();
  let counter = 0;
  let cut = 0;
  await Esker.destroy("kill");
  for (let round = 0; round < rounds; round += 1) {
    let worker;
    const db = await Esker.open("kill", {
      memoryBytes: 8 << 20,
      memtableBytes: 64 << 10,
      worker: () => (worker = new Worker(new URL("./esker/js/worker.js", location.href), { type: "module" })),
    });
    const report = await db.recoveryReport();
    if (report.losses.some(({ kind }) => kind === "corruption") || report.damaged_slots.length > 0) {
      problems.push(`round ${round}: ${JSON.stringify(report)}`);
    }
    for (const [key, { last, open }] of model) {
      const found = await db.get(key, { text: true });
      const allowed = [last, ...open].map((value) => (value === undefined ? undefined : value.padEnd(300, "x")));
      if (!allowed.includes(found)) problems.push(`round ${round}, ${key}: ${found?.slice(0, 9)}, not ${[last, ...open]}`);
      // What is there now is there for good.
      model.set(key, { last: found?.replace(/x+$/, ""), open: [] });
    }
    if (round % 10 === 9) {
      const { problems: found } = await db.verify();
      problems.push(...found);
    }

    let acknowledged = 0;
    let enough;
    const killed = new Promise((resolve) => (enough = resolve));
    const end = 20 + Math.floor(Math.random() * 300);
    const write = async (key) => {
      for (;;) {
        const value = String((counter += 1));
        const state = model.get(key) ?? { last: undefined, open: [] };
        model.set(key, state);
        state.open.push(value);
        const durability = Math.random() < 0.5 ? "synced" : "buffered";
        await db.put(key, value.padEnd(300, "x"), { durability });
        state.last = value;
        state.open = [];
        if ((acknowledged += 1) === end) enough();
      }
    };
    // Writers that never end: the worker that would answer them is gone.
    for (let key = 0; key < 12; key += 1) write(`key ${key}`);
    await killed;
    // Not at the same moment of its work each time.
    const spin = performance.now() + Math.random() * 3;
    while (performance.now() < spin);
    worker.terminate();
    cut += [...model.values()].some(({ open }) => open.length > 0) ? 1 : 0;
  }
  await Esker.destroy("kill");
  return { problems, rounds, cut };
}
