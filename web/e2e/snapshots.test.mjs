// Snapshots and scans belong to a tab, and to the leader that made them.

import assert from "node:assert/strict";
import { browserTest, openDemo } from "./page.mjs";

/** In the page: opens the store by a handle of its own, and pins a state of it. */
async function pin() {
  const { Esker } = await import("./esker/js/index.js");
  window.own = await Esker.open("another");
  await window.own.put("key", "pinned");
  window.pinned = await window.own.snapshot();
  await window.own.put("key", "later");
  return [await window.pinned.get("key", { text: true }), await window.own.get("key", { text: true })];
}

/** In the page: how many snapshots the store holds. */
async function held() {
  const { Esker } = await import("./esker/js/index.js");
  window.watcher ??= await Esker.open("another");
  return (await window.watcher.stats()).snapshots;
}

browserTest("a follower's snapshot is released when its tab is closed", async (browser) => {
  const leader = await openDemo(browser, "another");
  const follower = await openDemo(browser, "another");
  assert.deepEqual(await follower.evaluate(pin), ["pinned", "later"]);
  assert.equal(await leader.evaluate(held), 1);
  await follower.close();
  await leader.waitForFunction(async () => (await window.watcher.stats()).snapshots === 0);
});

browserTest("a snapshot is lost with its leader, and says so", async (browser) => {
  const leader = await openDemo(browser, "another");
  const follower = await openDemo(browser, "another");
  await follower.evaluate(pin);
  await leader.close();
  const [code, latest] = await follower.evaluate(async () => [
    await window.pinned.get("key").catch(({ code }) => code),
    await window.own.get("key", { text: true }),
  ]);
  assert.equal(code, "snapshot-lost");
  assert.equal(latest, "later");
});
