// A Chromium for the tests: the installed one, headless, with a fresh profile, reaching nothing but this machine.
//
// Everything comes by the environment that `cargo xtask` sets: ESKER_PAGE (the page's address), ESKER_NPM (where npm's
// packages are), ESKER_CHROMIUM, ESKER_TARBALL, ESKER_BIN, ESKER_ARTEFACTS.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A value of the environment, which must be there. */
export function from(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run \`cargo xtask test\``);
  return value;
}

/** Finds npm's packages. */
export const require = createRequire(join(from("ESKER_NPM"), "package.json"));

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** How long any single wait may take, in milliseconds: enough for a busy machine, an end for a hung one. */
export const PATIENCE = 60_000;

/**
 * Starts the browser with a profile of its own on disk (a private window would keep its files in memory), which is gone
 * when it has been closed. Errors of its pages are printed.
 */
export async function launch(options = {}) {
  const { chromium } = require("playwright-core");
  const directory = await mkdtemp(join(tmpdir(), "esker-profile-"));
  const context = await chromium.launchPersistentContext(directory, {
    executablePath: from("ESKER_CHROMIUM"), args: ARGUMENTS, timeout: PATIENCE, viewport: { width: 1280, height: 900 },
    acceptDownloads: true, ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  context.on("close", () => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  context.on("weberror", (error) => console.error(`# page error: ${error.error().stack}`));
  context.on("console", (message) => {
    if (message.type() === "error") console.error(`# console: ${message.text()}`);
  });
  return context;
}

/** Where the artefact `name` goes. */
export async function artefact(name) {
  const directory = from("ESKER_ARTEFACTS");
  await mkdir(directory, { recursive: true });
  return join(directory, name);
}
