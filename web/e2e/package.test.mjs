// The package as npm would install it: from its tarball into an empty Vite project, built, served and loaded. The
// program is the example of the package's README, and so is the configuration.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { from } from "./browser.mjs";
import { browserTest } from "./page.mjs";

/** What a page loads may have this many bytes as it travels. */
const LOADED_BYTES_MAX = 250_000;

test("what a page loads is small", async () => {
  const place = join(dirname(from("ESKER_TARBALL")), "package");
  const files = await readdir(place, { recursive: true });
  const loaded = files.filter((name) => /\.(js|wasm)$/.test(name));
  assert.ok(loaded.length > 3);
  const sizes = await Promise.all(loaded.map(async (name) => gzipSync(await readFile(join(place, name)), { level: 9 }).length));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  console.log(`# a page loads ${bytes} bytes, compressed by gzip`);
  assert.ok(bytes <= LOADED_BYTES_MAX, `${bytes} bytes, more than ${LOADED_BYTES_MAX}`);
});

browserTest("the README's example runs in an empty Vite project, served and built", async (browser) => {
  const project = await mkdtemp(join(tmpdir(), "esker-vite-"));
  try {
    await makeProject(project);
    const vite = await import(pathToFileURL(join(from("ESKER_NPM"), "node_modules/vite/dist/node/index.js")));
    const common = { root: project, logLevel: "error" };

    await vite.build(common);
    const built = await vite.preview({ ...common, preview: { host: "localhost", port: 0 } });
    await check(browser, built).finally(() => built.close());

    const development = await vite.createServer({ ...common, server: { host: "localhost", port: 0 } });
    await development.listen();
    await check(browser, development).finally(() => development.close());
  } finally {
    await rm(project, { recursive: true, force: true });
  }
});

/** An empty project with the package installed, whose program is the README's. */
async function makeProject(directory) {
  const readme = await readFile(join(from("ESKER_TARBALL"), "../package/README.md"), "utf8");
  const [example, configuration] = programsOf(readme);
  assert.equal(example, programsOf(await readFile("README.md", "utf8"))[0], "the project's README has the same example");
  assert.ok(example.trim().split("\n").length <= 12, "the example is short");
  await mkdir(join(directory, "src"));
  await writeFile(join(directory, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
  await writeFile(join(directory, "index.html"), '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/src/main.js"></script>');
  await writeFile(join(directory, "vite.config.js"), configuration);
  await writeFile(join(directory, "src/main.js"), `${example}\ndocument.title = "done";\n`);
  const words = ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", from("ESKER_TARBALL")];
  execFileSync("npm", words, { cwd: directory, stdio: ["ignore", "ignore", "inherit"] });
}

/** The pieces of JavaScript in a README, in their order. */
const programsOf = (readme) => Array.from(readme.matchAll(/```js\n([\s\S]*?)```/g), ([, program]) => program);

/** Loads the page that `server` serves, and waits until its program has printed what it should. */
async function check(browser, server) {
  const page = await browser.newPage();
  const printed = [];
  page.on("console", (message) => message.type() === "log" && printed.push(message.text()));
  await page.goto(server.resolvedUrls.local[0]);
  await page.waitForFunction(() => document.title === "done");
  await page.close();
  assert.deepEqual(printed, ["banana yellow"]);
}
