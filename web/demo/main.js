// The demo's page: opens the store, wires the parts together, and answers the keyboard.
//
//   main ── browse     the rows: search, put, delete
//        ├─ importing  files into the store, with progress; what the next visit says about one that was cut off
//        ├─ picture    the tree, drawn from the store's statistics
//        ├─ carry      archives, verification, destruction
//        └─ notices    what the page says
//
// It knows the store by the npm package's public interface only.

import { Esker } from "./esker/js/index.js";
import { Browser } from "./browse.js";
import { carry } from "./carry.js";
import { Importing } from "./importing.js";
import { notice, noticeOfError, number, duration } from "./notices.js";
import { Picture } from "./picture.js";
import { toggleTheme, useTheme } from "./theme.js";

const element = (id) => document.getElementById(id);

/** The store's name; `?store=NAME` takes another one. */
const name = new URLSearchParams(location.search).get("store") ?? "demo";

useTheme();
element("theme").addEventListener("click", toggleTheme);
element("help").addEventListener("click", () => element("shortcuts").showModal());
element("another").addEventListener("click", () => window.open(location.href, "_blank", "noopener"));
start();

async function start() {
  let db;
  try {
    // A small memory and small tables make a lively tree.
    db = await Esker.open(name, { memoryBytes: 16 << 20, memtableBytes: 2 << 20, tableBytes: 1 << 20, durability: "buffered" });
  } catch (error) {
    showRole("closed");
    noticeOfError("The store cannot be opened", error);
    return;
  }
  showRole(db.role);
  db.addEventListener("role", () => {
    showRole(db.role);
    if (db.role === "leader") {
      notice("good", "This tab has taken the store over", "The tab that had it has gone. Nothing acknowledged is lost.");
    }
  });

  const browser = new Browser(db);
  const importing = new Importing(db, () => browser.refresh());
  const picture = new Picture(element("picture"), element("figures"), element("inside-now"));
  db.watch((stats) => {
    picture.show(stats);
    browser.follow(stats);
  }, 200);
  carry(db, browser);
  answerKeys(browser, importing);
  await browser.refresh();
  await sayWhatWasRecovered(db, importing);
  document.documentElement.dataset.ready = "true";
}

function showRole(role) {
  const badge = element("role");
  badge.dataset.role = role;
  badge.textContent = { leader: "this tab has the store", follower: "another tab has the store", closed: "no store" }[role];
  badge.title = {
    leader: "Every tab of this page sees the same store. This one holds its files.",
    follower: "Calls travel to the tab that holds the files. If it goes, another one takes over.",
    closed: "",
  }[role];
}

/** What opening found: after a crash or a closed tab, the log has what the tables do not have yet. */
async function sayWhatWasRecovered(db, importing) {
  const report = await db.recoveryReport();
  const cutOff = await importing.cutOff();
  const replayed = `${number(report.operations_replayed)} operations were replayed from the log in ${duration(report.micros / 1000)}`;
  if (!report.clean) {
    notice("warn", "The store was recovered, and something was missing", `${replayed}; the report has the details.`, report);
  } else if (cutOff) {
    const { name, acknowledged, found } = cutOff;
    const all = found === acknowledged;
    const text = `The import of ${name} was cut off after ${number(acknowledged)} acknowledged rows. ${number(found)} of ` +
      `them are there${all ? ": nothing is lost" : ""}. ${replayed}.`;
    const again = { label: "Load it again", action: () => importing.names() };
    notice(all ? "good" : "error", "Recovered", text, report, name === "the Unicode names" ? again : undefined);
  } else if (report.operations_replayed > 0) {
    notice("good", "Recovered", `${replayed}.`, report);
  }
}

function answerKeys(browser, importing) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input:not([type=checkbox]), textarea");
    if (event.key === "Escape") return browser.escape();
    if (typing) return;
    const answer = {
      "/": () => browser.search(),
      n: () => browser.edit("", ""),
      t: toggleTheme,
      u: () => importing.names(),
      "?": () => element("shortcuts").showModal(),
    }[event.key];
    if (!answer) return;
    event.preventDefault();
    answer();
  });
}
