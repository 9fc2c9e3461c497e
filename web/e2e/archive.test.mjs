// A store's way out of the browser and back: the native `esker` opens what the page exports, and the page imports what
// `tar` makes of a native directory. Every row is compared byte for byte, and tables keep their very bytes.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { artefact, from } from "./browser.mjs";
import { browserTest, noticeOf, openDemo, ready, shownKeys } from "./page.mjs";

/** Runs the native program on the store in `directory`; what it prints. */
function esker(directory, ...words) {
  return execFileSync(from("ESKER_BIN"), ["--dir", directory, ...words], { encoding: "utf8", maxBuffer: 1 << 28 });
}

const tar = (...words) => execFileSync("tar", words);

browserTest("out of the browser and back in, byte for byte", async (browser) => {
  const place = await mkdtemp(join(tmpdir(), "esker-archive-"));
  try {
    const page = await openDemo(browser);
    await page.evaluate(writeRows);
    await page.reload();
    await ready(page);
    const inBrowser = await page.evaluate(readRows);

    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#export")]);
    const archive = await artefact("store.tar");
    await download.saveAs(archive);
    const native = join(place, "native");
    execFileSync("mkdir", [native]);
    tar("-xf", archive, "-C", native);
    const tables = await readTables(native);
    assert.ok(tables.size > 0, "the archive has tables");

    assert.equal(esker(native, "scan", "--json"), asScan(inBrowser), "the native program reads the same rows");
    esker(native, "verify");
    const kept = await readTables(native);
    for (const [name, bytes] of kept) if (tables.has(name)) assert.ok(bytes.equals(tables.get(name)), `${name} is as it was`);
    esker(native, "put", "from the native program", "hello");
    tar("-cf", join(place, "native.tar"), "-C", native, ".");

    await page.setInputFiles("#archive", join(place, "native.tar"));
    await page.click("#ask-yes");
    await noticeOf(page, "Imported");
    assert.equal(asScan(await page.evaluate(readRows)), esker(native, "scan", "--json"), "the browser reads the same rows");
    await page.fill("#search", "from the native");
    await page.waitForSelector('#rows [data-key="from the native program"][data-value="hello"]');
    await page.click("#verify");
    await noticeOf(page, "All is well");
  } finally {
    await rm(place, { recursive: true });
  }
});

browserTest("what is no archive is refused and changes nothing", async (browser) => {
  const page = await openDemo(browser);
  await page.evaluate(writeRows);
  const before = await page.evaluate(readRows);
  await page.setInputFiles("#archive", { name: "holiday.jpg", mimeType: "image/jpeg", buffer: Buffer.alloc(5000, 7) });
  await page.click("#ask-yes");
  assert.match(await noticeOf(page, "holiday.jpg was not imported"), /foreign-archive/);
  assert.deepEqual(await page.evaluate(readRows), before);
  assert.ok((await shownKeys(page)).length > 0);
});

/** In the page: rows of all kinds: text, bytes that are none, empty values, large ones; some deleted, some in tables. */
async function writeRows() {
  const { Esker } = await import("./esker/js/index.js");
  const db = await Esker.open("demo");
  for (let batch = 0; batch < 40; batch += 1) {
    const operations = Array.from({ length: 500 }, (_, at) => {
      const row = batch * 500 + at;
      return { type: "put", key: `row ${String(row).padStart(6, "0")}`, value: `${row} `.repeat(row % 40) };
    });
    await db.write(operations, { durability: "buffered" });
  }
  await db.put(new Uint8Array([0, 255, 128, 10, 9]), new Uint8Array([255, 0, 13]));
  await db.put("large", new Uint8Array(300_000).fill(200));
  await db.delete("row 000007");
  await db.compact();
  await db.put("late", "only in the log");
  await db.close();
}

/** In the page: all rows, as base64. */
async function readRows() {
  const { Esker } = await import("./esker/js/index.js");
  const db = await Esker.open("demo");
  const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const rows = [];
  for await (const [key, value] of db.scan()) rows.push([base64(key), base64(value)]);
  await db.close();
  return rows;
}

/** Rows as `esker scan --json` prints them. */
function asScan(rows) {
  const member = (name, base64) => {
    const bytes = Buffer.from(base64, "base64");
    const text = bytes.toString("utf8");
    return Buffer.from(text).equals(bytes) ? [name, text] : [`${name}_base64`, base64];
  };
  return rows.map(([key, value]) => `${JSON.stringify(Object.fromEntries([member("key", key), member("value", value)]))}\n`).join("");
}

/** The tables' bytes by their names. */
async function readTables(directory) {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sst"));
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))])));
}
