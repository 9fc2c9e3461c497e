// Files into the store, with progress.
//
// Rows are written in batches, a few of them under way at once, each acknowledged when a crash of the tab cannot take
// it away. What was acknowledged is noted in localStorage, so that the next visit can say whether it is there.

import { Batch } from "./esker/js/index.js";
import { noticeOfError, notice, number, duration } from "./notices.js";
import { formatOf, rows } from "./rows.js";

const BATCH_ROWS = 1000;
/** Batches under way: enough that neither the page nor the worker waits for the other. */
const UNDER_WAY = 4;
const NAMES = "the Unicode names";

const element = (id) => document.getElementById(id);

export class Importing {
  #db;
  #done;
  /** The note's key in localStorage, and the name of the lock that the tab which writes it holds. */
  #note;
  #running = false;
  #stopped = false;

  /** `done` is called when rows have come. */
  constructor(db, done) {
    this.#db = db;
    this.#done = done;
    this.#note = `esker-import-${db.name}`;
    element("load-names").addEventListener("click", () => this.names());
    element("import-stop").addEventListener("click", () => (this.#stopped = true));
    element("file").addEventListener("change", (event) => this.#files(event.target.files));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dragging");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dragging");
      this.#files(event.dataTransfer.files);
    });
  }

  /** Loads the names of all Unicode characters, which come with the page. */
  async names() {
    if (this.#running) return;
    const response = await namesFile();
    const length = Number(response.headers.get("Content-Length")) || 6_000_000;
    await this.#run(NAMES, response.body, length, "tsv");
  }

  /** What the last visit has left: an import that was cut off, and how many of its acknowledged rows are there. */
  async cutOff() {
    const note = await navigator.locks.request(this.#note, { ifAvailable: true }, (free) => {
      // Another tab that imports at this moment has the lock: its note is its own.
      const note = free && JSON.parse(localStorage.getItem(this.#note));
      if (note) localStorage.removeItem(this.#note);
      return note;
    });
    if (!note) return undefined;
    const keys = note.name === NAMES ? await firstNames(note.acknowledged) : [note.last];
    const values = await this.#db.getMany(keys);
    const found = values.filter((value) => value !== undefined).length;
    return { name: note.name, acknowledged: note.acknowledged, found: found === keys.length ? note.acknowledged : found };
  }

  async #files(files) {
    for (const file of files) await this.#run(file.name, file.stream(), file.size, formatOf(file.name));
    element("file").value = "";
  }

  async #run(name, stream, size, format) {
    if (this.#running) return notice("warn", "One at a time", "Another import is under way.");
    this.#running = true;
    this.#stopped = false;
    await navigator.locks.request(this.#note, { ifAvailable: true }, async (free) => {
      if (free) await this.#import(name, stream, size, format);
      else notice("warn", "One at a time", "Another tab has an import under way.");
    });
    this.#running = false;
  }

  /**
   * Writes a batch. If the tab that has the store goes with it, nobody knows whether it was applied: it is written
   * again, which does no harm, since its rows are the same.
   */
  async #write(batch) {
    try {
      await this.#db.write(batch, { durability: "buffered" });
    } catch (error) {
      if (error.code !== "outcome-unknown") throw error;
      await this.#write(batch);
    }
  }

  async #import(name, stream, size, format) {
    const progress = new Progress(name, size, this.#note);
    try {
      await this.#pump(progress, rows(stream, format));
      await this.#db.sync();
      progress.end(this.#stopped);
    } catch (error) {
      noticeOfError(`The import of ${name} stopped after ${number(progress.acknowledged)} rows`, error);
      progress.end(true);
    } finally {
      // An import that was cut off never comes here: its note stays for the next visit.
      localStorage.removeItem(this.#note);
      this.#done();
    }
  }

  /** Writes all rows; a batch is waited for only when too many are under way. */
  async #pump(progress, source) {
    const underWay = [];
    let batch = new Batch();
    let last;
    const send = (read) => {
      const count = batch.length;
      const key = last;
      const acknowledged = this.#write(batch).then(() => progress.add(count, key, read));
      // Its failure is met when it is waited for.
      acknowledged.catch(() => {});
      underWay.push(acknowledged);
      batch = new Batch();
    };
    for await (const piece of source) {
      for (const [key, value] of piece.rows) {
        batch.put(key, value);
        last = key;
        if (batch.length < BATCH_ROWS) continue;
        send(piece.read);
        if (underWay.length >= UNDER_WAY) await underWay.shift();
        if (this.#stopped) break;
      }
      if (this.#stopped) break;
    }
    if (batch.length) send(progress.size);
    await Promise.all(underWay);
  }
}

/** How far an import has come: on the page, and noted for the next visit. */
class Progress {
  acknowledged = 0;
  size;
  #name;
  #note;
  #began = performance.now();

  constructor(name, size, note) {
    this.#name = name;
    this.#note = note;
    this.size = size;
    element("import").hidden = false;
    element("import-name").textContent = name;
    element("import-stop").hidden = false;
    element("import-hint").hidden = false;
    element("import-progress").value = 0;
    element("load-names").disabled = true;
    element("import").dataset.state = "running";
  }

  /** `rows` more are acknowledged, `last` the last of them, `read` bytes of the file into it. */
  add(rows, last, read) {
    this.acknowledged += rows;
    localStorage.setItem(this.#note, JSON.stringify({ name: this.#name, acknowledged: this.acknowledged, last }));
    element("import-progress").value = Math.min(1, read / this.size);
    this.#show();
  }

  end(early) {
    if (!early) element("import-progress").value = 1;
    element("import-stop").hidden = true;
    element("import-hint").hidden = true;
    element("load-names").disabled = false;
    this.#show();
    const took = duration(performance.now() - this.#began);
    element("import-rows").textContent = `${number(this.acknowledged)} rows in ${took}, ${early ? "then stopped" : "all on storage"}`;
    element("import").dataset.state = early ? "stopped" : "done";
  }

  #show() {
    const seconds = (performance.now() - this.#began) / 1000;
    element("import-rate").textContent = `${number(this.acknowledged / seconds)} rows/s`;
    element("import-rows").textContent = `${number(this.acknowledged)} rows acknowledged`;
  }
}

async function namesFile() {
  const response = await fetch("names.tsv");
  if (!response.ok) throw new Error(`names.tsv: ${response.status}`);
  return response;
}

async function firstNames(count) {
  const text = await (await namesFile()).text();
  return text.split("\n", count).map((line) => line.slice(0, line.indexOf("\t")));
}
