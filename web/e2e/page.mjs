// What the tests do with the demo's page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { artefact, from, launch } from "./browser.mjs";

/** How long one test may take, in milliseconds. */
const TEST_LIMIT = 300_000;

/** A test with a browser of its own. */
export function browserTest(name, body, options) {
  test(name, { timeout: TEST_LIMIT }, async () => {
    const browser = await launch(options);
    try {
      await body(browser);
    } finally {
      await browser.close();
    }
  });
}

/** Opens the demo on the store `store` in a new tab, and waits until it can be used. */
export async function openDemo(browser, store = "demo") {
  const page = await browser.newPage();
  await page.goto(`${from("ESKER_PAGE")}?store=${store}`);
  await ready(page);
  return page;
}

/** Waits until the demo can be used. */
export async function ready(page) {
  await page.waitForSelector("html[data-ready]");
}

/** Keeps a picture of the page. */
export async function picture(page, name) {
  await page.screenshot({ path: await artefact(`${name}.png`), fullPage: true });
}

/** The keys of the rows that are shown. */
export function shownKeys(page) {
  return page.$$eval("#rows [role=option]", (rows) => rows.map((row) => row.dataset.key));
}

/** Types into the search and waits until the rows are those of the search. */
export async function search(page, prefix) {
  await page.fill("#search", prefix);
  await page.waitForFunction((prefix) => {
    const rows = [...document.querySelectorAll("#rows [role=option]")];
    const empty = document.querySelector("#rows .empty");
    return rows.length ? rows.every((row) => row.dataset.key.startsWith(prefix)) : empty?.textContent.includes(prefix);
  }, prefix);
}

/** Puts a row by the form, and waits until it is shown. */
export async function put(page, key, value) {
  await page.fill("#key", key);
  await page.fill("#value", value);
  await page.click("#edit button[type=submit]");
  await page.waitForSelector(`#rows [data-key="${key}"][data-value="${value}"]`);
}

/** Gives the page a file to import. */
export async function importFile(page, name, text) {
  await page.setInputFiles("#file", { name, mimeType: "text/plain", buffer: Buffer.from(text) });
  await page.waitForSelector("#import[data-state=done]");
}

/** Waits for a notice with this title; returns its text. */
export async function noticeOf(page, title) {
  const notice = page.locator(".notice", { has: page.locator("strong", { hasText: title }) }).first();
  await notice.waitFor();
  return notice.innerText();
}

/** The number of rows that an import has had acknowledged, as the page notes it. */
export function acknowledged(page, store) {
  return page.evaluate((store) => JSON.parse(localStorage.getItem(`esker-import-${store}`) ?? "{}").acknowledged ?? 0, store);
}

/** Waits until an import under way has had `rows` rows acknowledged. */
export async function untilAcknowledged(page, store, rows) {
  const enough = ([store, rows]) => JSON.parse(localStorage.getItem(`esker-import-${store}`) ?? "{}").acknowledged >= rows;
  await page.waitForFunction(enough, [store, rows], { polling: 5 });
}

/** Crashes the tab's process, as a bug of the browser or a lack of memory would. */
export async function crash(browser, page) {
  const crashed = page.waitForEvent("crash");
  const session = await browser.newCDPSession(page);
  // It answers with nothing: there is nobody left to answer.
  session.send("Page.crash").catch(() => {});
  await crashed;
}

/** Fails unless all of `expected` stand in the notice. */
export function assertContains(text, ...expected) {
  for (const part of expected) assert.ok(text.includes(part), `${JSON.stringify(text)} has no ${JSON.stringify(part)}`);
}
