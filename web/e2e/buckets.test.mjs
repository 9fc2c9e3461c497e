// Buckets, conditions and increments: by the promises of a page, in a tab that follows another, and in a worker that has
// the store itself. The same program runs in all three places.

import assert from "node:assert/strict";
import { browserTest, openDemo } from "./page.mjs";

/** In the page or the worker: everything that can be done with a bucket; what came of it. */
async function exercise(db, Batch) {
  const codeOf = async (call) => {
    try {
      await call();
      return "done";
    } catch ({ code, failed }) {
      return failed ? `${code} ${failed}` : code;
    }
  };
  const text = { text: true };
  const found = {};
  const users = await db.createBucket("users");
  found.again = (await db.createBucket("users")).number === users.number;
  await users.put("ann", "in users");
  await db.put("ann", "in the default bucket");
  found.apart = [await users.get("ann", text), await db.get("ann", text), await db.get("ann", { ...text, bucket: users })];

  const visits = await db.createBucket("visits");
  const batch = new Batch().put("bob", "2", { bucket: users }).put("bob", "1", { bucket: visits }).delete("ann");
  await db.write(batch);
  await db.write([{ type: "put", key: "cid", value: "3", bucket: users }]);
  found.many = await users.getMany(["bob", "cid", "none"], text);
  const rows = [];
  for await (const [key, value] of users.scan({ start: "b", text: true })) rows.push(`${key}=${value}`);
  found.rows = rows;
  found.gone = await db.get("ann");

  found.sums = [await visits.increment("bob", 41), await visits.increment("bob", -2n), await visits.increment("new", 1)];
  found.sums = found.sums.map((sum) => `${typeof sum} ${sum}`);
  found.notANumber = await codeOf(() => users.increment("ann", 1));
  found.notADelta = await codeOf(() => visits.increment("bob", 0.5));

  const { value, sequence } = await users.getWithSequence("bob", text);
  found.versioned = value;
  const conditions = [
    { bucket: users, key: "bob", expected: { unchangedSince: sequence } },
    { bucket: users, key: "ann", expected: { equals: "in users" } },
    { key: "ann", expected: "absent" },
  ];
  found.held = await codeOf(() => db.writeIf([{ type: "put", key: "bob", value: "4", bucket: users }], conditions));
  found.failed = await codeOf(() => db.writeIf(new Batch().put("ann", "back"), conditions));
  found.notWritten = await db.get("ann");
  found.noCondition = await codeOf(() => db.writeIf([], [{ key: "ann", expected: "present" }]));

  found.names = (await db.buckets()).map(({ name }) => name);
  found.unknown = await db.bucket("nobody");
  found.default = (await db.bucket("default")).number;
  const snapshot = await db.snapshot();
  found.dropped = [await db.dropBucket("users"), await db.dropBucket("users")];
  found.calls = [
    await codeOf(() => users.get("bob")),
    await codeOf(() => users.put("bob", "5")),
    await codeOf(() => users.increment("bob", 1)),
    await codeOf(async () => { for await (const _ of users.scan()); }),
    await codeOf(() => db.write(new Batch().put("bob", "5", { bucket: users }).put("dan", "6"))),
    await codeOf(() => db.createBucket("x".repeat(256))),
    await codeOf(() => db.createBucket("")),
    await codeOf(() => db.dropBucket("default")),
    await codeOf(() => db.get("bob", { bucket: "users" })),
  ];
  found.whole = await db.get("dan");
  found.pinned = [await snapshot.get("bob", { ...text, bucket: users }), (await snapshot.buckets()).length];
  await snapshot.release();
  found.new = (await db.createBucket("users")).number === users.number;
  return found;
}

const EXPECTED = {
  again: true,
  apart: ["in users", "in the default bucket", "in users"],
  many: ["2", "3", undefined],
  rows: ["bob=2", "cid=3"],
  gone: undefined,
  sums: ["number 42", "bigint 40", "number 1"],
  notANumber: "invalid-argument",
  notADelta: "invalid-argument",
  versioned: "2",
  held: "done",
  failed: "condition-failed 0",
  notWritten: undefined,
  noCondition: "invalid-argument",
  names: ["default", "users", "visits"],
  unknown: undefined,
  default: 0,
  dropped: [true, false],
  calls: [...Array(5).fill("no-such-bucket"), ...Array(4).fill("invalid-argument")],
  whole: undefined,
  pinned: ["4", 3],
  new: false,
};

/** In the page: runs the program on the store `name`, which stays open. */
async function inPage([program, name]) {
  const { Batch, Esker } = await import("./esker/js/index.js");
  window.db = await Esker.open(name);
  return new Function(`return ${program}`)()(window.db, Batch);
}

/** In the page: runs the program in a worker that has the store `name` itself. */
function inWorker([program, name]) {
  const module = new URL("./esker/js/direct.js", document.baseURI);
  const code = `
    import { Batch, DirectStore } from "${module}";
    const db = await DirectStore.open("${name}");
    const found = await (${program})(db, Batch);
    db.close();
    postMessage(found);`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  return new Promise((done, failed) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = ({ message }) => failed(new Error(message));
  });
}

browserTest("buckets are the same in a tab that leads, in one that follows, and in a worker", async (browser) => {
  const leader = await openDemo(browser);
  const follower = await openDemo(browser);
  const program = exercise.toString();
  assert.deepEqual(await leader.evaluate(inPage, [program, "led"]), EXPECTED);
  assert.deepEqual(await follower.evaluate(inWorker, [program, "direct"]), EXPECTED);
  await leader.evaluate(async () => (await import("./esker/js/index.js")).Esker.open("followed"));
  assert.deepEqual(await follower.evaluate(inPage, [program, "followed"]), EXPECTED);
});

browserTest("a bucket stays the same one when another tab takes the store over", async (browser) => {
  const leader = await openDemo(browser, "another");
  const follower = await openDemo(browser, "another");
  await follower.evaluate(async () => {
    const { Esker } = await import("./esker/js/index.js");
    window.own = await Esker.open("another");
    window.users = await window.own.createBucket("users");
    await window.users.put("ann", "1");
  });
  await leader.close();
  // A read is sent again to whoever leads next; a write before that might say that its outcome is unknown.
  const counted = await follower.evaluate(async () => [
    await window.users.get("ann", { text: true }), await window.users.increment("ann", 1),
  ]);
  assert.deepEqual(counted, ["1", 2]);
});
