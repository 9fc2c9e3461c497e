// Runs the benchmark's page in a headless browser, prints its table, and keeps results and chart.
//
// Arguments: ROUNDS SECONDS ONLY. `cargo xtask web-bench` sets the environment; see web/e2e/browser.mjs.

import { writeFile } from "node:fs/promises";
import { artefact, from, launch } from "../e2e/browser.mjs";

/** Longer than any run: some minutes a round. */
const LIMIT = 45 * 60_000;

const [rounds, seconds, only] = process.argv.slice(2);
const browser = await launch();
try {
  const page = await browser.newPage();
  await page.goto(`${from("ESKER_PAGE")}bench/?${new URLSearchParams({ run: "", rounds, seconds, only: only ?? "" })}`);
  const progress = setInterval(async () => {
    const text = await page.textContent("#progress").catch(() => "");
    if (text) console.error(`    ${text}`);
  }, 20_000);
  await page.waitForFunction(() => window.esker_bench, undefined, { timeout: LIMIT, polling: 500 });
  clearInterval(progress);
  const bench = await page.evaluate(() => window.esker_bench);
  const file = await artefact("bench.json");
  await writeFile(file, `${JSON.stringify(bench, null, 2)}\n`);
  const picture = await artefact("bench.png");
  await page.screenshot({ path: picture, fullPage: true });
  print(bench);
  console.log(`\n${file}\n${picture}`);
  if (bench.failures.length) {
    console.error(`not measured: ${bench.failures.join("; ")}`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}

function print({ date, browser, results, rounds, seconds }) {
  const workloads = ["put", "batch", "get", "scan", "delete", "many puts", "many gets"];
  console.log(`${date}, ${/Chrome\/[\d.]+/.exec(browser)}, ${rounds} rounds of ${seconds} s, medians; operations (batch: rows) a second\n`);
  console.log(`| store | ${workloads.join(" | ")} | open ms |`);
  console.log(`|---|${"---:|".repeat(workloads.length + 1)}`);
  for (const result of results) {
    const figures = workloads.map((name) => (result[name] ? Math.round(result[name]).toLocaleString("en") : ""));
    console.log(`| ${result.name} | ${figures.join(" | ")} | ${result.open?.toFixed(0) ?? ""} |`);
  }
}
