// The tests of the page and of the package, as a user meets them, one after the other in one process.
//
// `cargo xtask test` runs this; `node --test-name-pattern=… web/e2e/all.mjs` runs a part, with the environment that
// browser.mjs lists.

/** An end for everything, whatever hangs. */
const LIMIT = 30 * 60_000;

setTimeout(() => {
  console.error(`the tests of the page were not done in ${LIMIT / 60_000} minutes`);
  process.exit(1);
}, LIMIT).unref();

await import("./rows.test.mjs");
await import("./page.test.mjs");
await import("./recovery.test.mjs");
await import("./kill.test.mjs");
await import("./tabs.test.mjs");
await import("./quota.test.mjs");
await import("./snapshots.test.mjs");
await import("./buckets.test.mjs");
await import("./direct.test.mjs");
await import("./archive.test.mjs");
await import("./package.test.mjs");
