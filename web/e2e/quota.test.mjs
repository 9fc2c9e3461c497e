// A full quota: a clear refusal, nothing acknowledged lost, reads go on, and so do writes when there is space again.

import assert from "node:assert/strict";
import { from } from "./browser.mjs";
import { browserTest, openDemo } from "./page.mjs";

const MEGABYTE = 1 << 20;

browserTest("a full quota refuses and loses nothing", async (browser) => {
  const page = await openDemo(browser, "another");
  const session = await browser.newCDPSession(page);
  const origin = new URL(from("ESKER_PAGE")).origin;
  const used = await page.evaluate(() => navigator.storage.estimate().then(({ usage }) => usage));
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: used + 24 * MEGABYTE });

  const full = await page.evaluate(fill);
  assert.equal(full.code, "no-space", full.message);
  assert.ok(full.acknowledged > 0, "there was some space");
  assert.deepEqual(await page.evaluate(check, full.acknowledged), { lost: [] });

  await session.send("Storage.overrideQuotaForOrigin", { origin });
  assert.equal(await page.evaluate(goOn), "written");
  assert.deepEqual(await page.evaluate(check, full.acknowledged), { lost: [] }, "after opening anew, too");
});

/** In the page: writes until it is refused. Random values, since others would be compressed. */
async function fill() {
  const { Esker } = await import("./esker/js/index.js");
  const db = await Esker.open("full", { memoryBytes: 8 << 20 });
  window.db = db;
  let acknowledged = 0;
  for (; acknowledged < 4000; acknowledged += 1) {
    const value = crypto.getRandomValues(new Uint8Array(32768));
    value[0] = acknowledged % 256;
    try {
      await db.put(`row ${String(acknowledged).padStart(6, "0")}`, value);
    } catch (error) {
      return { code: error.code, message: error.message, acknowledged };
    }
  }
  return { code: "no refusal", acknowledged };
}

/** In the page: the acknowledged rows that are not there. */
async function check(acknowledged) {
  const lost = [];
  for (let row = 0; row < acknowledged; row += 1) {
    const value = await window.db.get(`row ${String(row).padStart(6, "0")}`);
    if (value?.length !== 32768 || value[0] !== row % 256) lost.push(row);
  }
  return { lost };
}

/** In the page: opens the store anew and writes. */
async function goOn() {
  const { Esker } = await import("./esker/js/index.js");
  await window.db.close().catch(() => {});
  window.db = await Esker.open("full");
  await window.db.put("after", "there is space again");
  const value = await window.db.get("after", { text: true });
  return value === "there is space again" ? "written" : value;
}
