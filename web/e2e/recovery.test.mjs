// A tab that goes in the middle of an import: the next visit says so, and nothing acknowledged is lost.

import assert from "node:assert/strict";
import { acknowledged, assertContains, browserTest, crash, noticeOf, openDemo, picture, untilAcknowledged } from "./page.mjs";

/** How the tab goes, and how many rows it has had acknowledged by then. */
const ENDS = [
  ["closed", 20_000, (browser, page) => page.close({ runBeforeUnload: false })],
  ["crashed", 35_000, crash],
];

for (const [how, rows, end] of ENDS) {
  browserTest(`a tab ${how} in the middle of an import loses nothing acknowledged`, async (browser) => {
    // Keeps the profile's localStorage and, with it, the browser alive while the tab is gone.
    const other = await browser.newPage();
    const page = await openDemo(browser);
    await page.click("#load-names");
    await untilAcknowledged(page, "demo", rows);
    await end(browser, page);

    const again = await openDemo(browser);
    const text = await noticeOf(again, "Recovered");
    const [, wanted] = /cut off after ([\d,]+) acknowledged rows/.exec(text) ?? assert.fail(text);
    assert.ok(Number(wanted.replaceAll(",", "")) >= rows, text);
    assertContains(text, `${wanted} of them are there: nothing is lost`);
    await again.click(".notice summary");
    await picture(again, `recovery-${how}`);
    assert.equal(await acknowledged(again, "demo"), 0, "the note is used up");

    await again.click(".notice button:has-text('Load it again')");
    await again.waitForSelector("#import[data-state=done]");
    await again.click("#verify");
    await noticeOf(again, "All is well");
    await other.close();
  });
}
