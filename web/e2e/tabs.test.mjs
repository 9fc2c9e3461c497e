// Two tabs with one store: one has the files, the other sees the same, and takes over when the first one goes.

import assert from "node:assert/strict";
import { browserTest, crash, noticeOf, openDemo, picture, put, untilAcknowledged } from "./page.mjs";

const role = (page) => page.getAttribute("#role", "data-role");

browserTest("two tabs see each other's rows", async (browser) => {
  const first = await openDemo(browser);
  const second = await openDemo(browser);
  assert.equal(await role(first), "leader");
  assert.equal(await role(second), "follower");
  await put(first, "apple", "red");
  await second.waitForSelector('#rows [data-key="apple"]');
  await put(second, "banana", "yellow");
  await first.waitForSelector('#rows [data-key="banana"]');
  await picture(second, "tabs-follower");
});

for (const [how, end] of [["closed", (_, page) => page.close()], ["crashed", crash]]) {
  browserTest(`a leader that is ${how} hands over, and nothing acknowledged is lost`, async (browser) => {
    const first = await openDemo(browser);
    await put(first, "from the first", "1");
    const second = await openDemo(browser);
    await put(second, "from the second", "2");
    // What a follower writes while the leader goes is applied, or refused: never both, never neither.
    await second.evaluate(startWriting);
    await second.waitForFunction(() => window.acknowledged.length >= 50);
    await end(browser, first);
    await second.waitForSelector("#role[data-role=leader]");
    await noticeOf(second, "This tab has taken the store over");
    const { lost, acknowledged, refused } = await second.evaluate(stopWriting);
    assert.deepEqual(lost, [], "acknowledged rows are there");
    assert.ok(acknowledged >= 50);
    assert.ok(refused.every((code) => code === "outcome-unknown"), `refused with ${refused}`);
    await second.waitForSelector('#rows [data-key="from the first"]');
    await put(second, "after the hand-over", "3");
    await picture(second, `tabs-${how}`);
  });
}

browserTest("an import in a follower goes on when its leader is closed", async (browser) => {
  const leader = await openDemo(browser);
  const follower = await openDemo(browser);
  await follower.click("#load-names");
  await untilAcknowledged(follower, "demo", 10_000);
  await leader.close();
  await follower.waitForSelector("#import[data-state=done]");
  assert.equal(await role(follower), "leader");
  await follower.click("#verify");
  await noticeOf(follower, "All is well");
});

/** In the page: writes row after row by a handle of its own, and notes what becomes of each. */
async function startWriting() {
  const { Esker } = await import("./esker/js/index.js");
  const db = await Esker.open("demo");
  Object.assign(window, { db, acknowledged: [], refused: [], writing: true });
  window.writer = (async () => {
    for (let row = 0; window.writing; row += 1) {
      const key = `row ${String(row).padStart(6, "0")}`;
      try {
        await db.put(key, String(row));
        window.acknowledged.push(key);
      } catch (error) {
        window.refused.push(error.code);
      }
    }
  })();
}

/** In the page: ends the writing, and looks for everything that was acknowledged. */
async function stopWriting() {
  window.writing = false;
  await window.writer;
  const values = await window.db.getMany(window.acknowledged);
  const lost = window.acknowledged.filter((_, at) => values[at] === undefined);
  await window.db.close();
  return { lost, acknowledged: window.acknowledged.length, refused: window.refused };
}
