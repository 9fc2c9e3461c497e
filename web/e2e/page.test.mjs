// The page's main paths, with pictures of each.

import assert from "node:assert/strict";
import { browserTest, importFile, noticeOf, openDemo, picture, put, ready, search, shownKeys } from "./page.mjs";

browserTest("load the Unicode names, search as one types, both ways", async (browser) => {
  const page = await openDemo(browser);
  await picture(page, "page-empty");
  await page.keyboard.press("u");
  await page.waitForSelector("#import[data-state=running], #import[data-state=done]");
  await page.waitForSelector("#import[data-state=done]");
  assert.equal(await page.$eval("#import-progress", (progress) => progress.value), 1);
  const rows = await page.textContent("#import-rows");
  assert.match(rows, /^1[0-9]{2},[0-9]{3} rows in .*, all on storage$/);

  await page.keyboard.press("/");
  await search(page, "greek small letter om");
  assert.equal((await shownKeys(page))[0], "greek small letter omega");
  await page.check("#reverse");
  await page.waitForFunction(() => document.querySelector("#rows [role=option]").dataset.key.startsWith("greek small letter omicron"));
  await picture(page, "page-full");
  await search(page, "no such name");
  assert.deepEqual(await shownKeys(page), []);
});

browserTest("put, edit, delete and undo with the keyboard alone", async (browser) => {
  const page = await openDemo(browser);
  await page.keyboard.press("n");
  await page.keyboard.type("apple");
  await page.keyboard.press("Tab");
  await page.keyboard.type("red");
  await page.keyboard.press("Enter");
  await page.waitForSelector('#rows [data-key="apple"][data-value="red"]');
  await put(page, "apricot", "orange");

  await page.click("#search");
  await search(page, "ap");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.getAttribute("#rows [aria-selected=true]", "data-key"), "apricot");
  await page.keyboard.press("Enter");
  assert.equal(await page.inputValue("#value"), "orange");
  await page.keyboard.press("End");
  await page.keyboard.type(", ripe");
  await page.keyboard.press("Enter");
  await page.waitForSelector('#rows [data-key="apricot"][data-value="orange, ripe"]');

  await page.focus("#rows");
  await page.keyboard.press("Home");
  await page.keyboard.press("Delete");
  await noticeOf(page, "Deleted");
  assert.deepEqual(await shownKeys(page), ["apricot"]);
  await page.click(".notice button:has-text('Undo')");
  await page.waitForSelector('#rows [data-key="apple"][data-value="red"]');

  await page.reload();
  await ready(page);
  await page.waitForSelector('#rows [data-key="apple"]');
  assert.deepEqual(await shownKeys(page), ["apple", "apricot"]);
});

browserTest("files are read by their formats, and a malformed one says where", async (browser) => {
  const page = await openDemo(browser);
  await importFile(page, "fruit.csv", "name,colour,weight\ncherry,black,8\ndamson,blue,11\n");
  await importFile(page, "more.jsonl", '{"key":"elder","value":"black"}\n');
  await importFile(page, "most.tsv", "fig\tgreen\n");
  await page.waitForSelector('#rows [data-key="fig"]');
  assert.deepEqual(await shownKeys(page), ["cherry", "damson", "elder", "fig"]);
  assert.equal(await page.getAttribute('#rows [data-key="damson"]', "data-value"), '{"colour":"blue","weight":"11"}');
  await page.setInputFiles("#file", { name: "bad.tsv", mimeType: "text/plain", buffer: Buffer.from("grape\tred\nno tab\n") });
  assert.match(await noticeOf(page, "The import of bad.tsv stopped"), /line 2/);
});

browserTest("every byte is verified, and a destroyed store is empty", async (browser) => {
  const page = await openDemo(browser);
  await put(page, "apple", "red");
  await page.click("#verify");
  assert.match(await noticeOf(page, "All is well"), /files/);
  await page.click("#destroy");
  await page.click("#ask-yes");
  await page.waitForSelector("#rows .empty");
  await ready(page);
  assert.deepEqual(await shownKeys(page), []);
});

browserTest("dark, light, narrow: legible, labelled, and never wider than the window", async (browser) => {
  const page = await openDemo(browser);
  await importFile(page, "fruit.tsv", "apple\tred\nbanana\tyellow\n");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture(page, "page-dark");
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.keyboard.press("t");
  const chosen = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notEqual(dark, chosen, "the visitor's choice goes before the system's");
  await page.setViewportSize({ width: 360, height: 740 });
  await page.reload();
  await ready(page);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light", "the choice is remembered");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no sideways scrolling");
  await picture(page, "page-phone");
  const nameless = await page.$$eval("button, input, [role=listbox], [role=option]", (controls) => controls
    .filter((control) => !(control.textContent.trim() || control.ariaLabel || control.title || control.labels?.length ||
      control.getAttribute("aria-label") || control.hidden))
    .map((control) => control.outerHTML));
  assert.deepEqual(nameless, [], "every control has a name");
});
