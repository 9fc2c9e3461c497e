// The rows: search by prefix as one types, both directions, put and delete.
//
// One page of rows is shown. A search that is overtaken by the next one is dropped.

import { duration, notice, noticeOfError, number } from "./notices.js";

const PAGE = 200;

const element = (id) => document.getElementById(id);

export class Browser {
  #db;
  #rows = element("rows");
  #input = element("search");
  /** The number of the latest search. */
  #latest = 0;
  /** The sequence number that the shown rows were read at, or after. */
  #seen = -1;
  #refreshing = false;
  #limit = PAGE;

  constructor(db) {
    this.#db = db;
    this.#input.addEventListener("input", () => this.#start());
    this.#input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        this.#rows.focus();
        this.#select(0);
      }
    });
    element("reverse").addEventListener("change", () => this.#start());
    this.#rows.addEventListener("keydown", (event) => this.#key(event));
    this.#rows.addEventListener("click", (event) => {
      const more = event.target.closest("[data-more]");
      const row = event.target.closest("[role=option]");
      if (more) this.#more();
      else if (row) this.#select(this.#options().indexOf(row));
      if (row) this.edit(row.dataset.key, row.dataset.value, false);
    });
    element("edit").addEventListener("submit", (event) => this.#put(event));
    element("delete").addEventListener("click", () => this.#delete(element("key").value));
  }

  /** Reads the shown range again. */
  async refresh() {
    const turn = ++this.#latest;
    const prefix = this.#input.value;
    const reverse = element("reverse").checked;
    const began = performance.now();
    try {
      const rows = await this.#db.scan({ prefix, reverse, limit: this.#limit + 1, text: true }).toArray();
      if (turn === this.#latest) this.#show(rows, prefix, performance.now() - began);
    } catch (error) {
      if (turn === this.#latest) noticeOfError("The rows cannot be read", error);
    }
  }

  /** Reads again if something was written since: here, in another tab, or by an import. */
  async follow(stats) {
    const entries = stats.levels.reduce((sum, level) => sum + level.entries, stats.memory.memtable_entries);
    element("count").textContent = `${entries ? "about " : ""}${number(entries)} rows`;
    if (stats.last_sequence === this.#seen || this.#refreshing) return;
    this.#refreshing = true;
    this.#seen = stats.last_sequence;
    await this.refresh();
    this.#refreshing = false;
  }

  search() {
    this.#input.focus();
    this.#input.select();
  }

  /** Puts a row into the form, and the cursor with it. */
  edit(key, value, focus = true) {
    element("key").value = key;
    element("value").value = value;
    if (focus) element(key ? "value" : "key").focus();
  }

  /** Clears the search, or leaves the field. */
  escape() {
    if (document.activeElement === this.#input && this.#input.value) {
      this.#input.value = "";
      this.#start();
    } else if (document.activeElement !== this.#rows) {
      this.#rows.focus();
    }
  }

  #start() {
    this.#limit = PAGE;
    this.#rows.scrollTop = 0;
    this.refresh();
  }

  #more() {
    this.#limit += PAGE;
    this.refresh();
  }

  #show(rows, prefix, millis) {
    const selected = this.#selected()?.dataset.key;
    const more = rows.length > this.#limit;
    const shown = more ? rows.slice(0, this.#limit) : rows;
    const items = shown.map(([key, value], at) => item(key, value, prefix, at));
    if (more) items.push(message(`Show ${PAGE} more`, "more"));
    if (!items.length) items.push(message(prefix ? `No key begins with “${prefix}”.` : "Nothing here yet. Load the Unicode names, or put a row."));
    this.#rows.replaceChildren(...items);
    element("found").textContent = rows.length
      ? `${more ? "the first " : ""}${number(shown.length)} rows in ${duration(millis)}`
      : "";
    const again = this.#options().findIndex((row) => row.dataset.key === selected);
    if (selected !== undefined && again >= 0) this.#mark(this.#options()[again]);
  }

  #options() {
    return [...this.#rows.querySelectorAll("[role=option]")];
  }

  #selected() {
    return this.#rows.querySelector("[aria-selected=true]");
  }

  #select(at) {
    const options = this.#options();
    const row = options[Math.max(0, Math.min(at, options.length - 1))];
    if (!row) return;
    this.#mark(row);
    row.scrollIntoView({ block: "nearest" });
  }

  #mark(row) {
    this.#selected()?.setAttribute("aria-selected", "false");
    row.setAttribute("aria-selected", "true");
    this.#rows.setAttribute("aria-activedescendant", row.id);
  }

  #key(event) {
    const options = this.#options();
    const at = options.indexOf(this.#selected());
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[event.key];
    const row = options[at];
    if (event.key === "ArrowUp" && at <= 0) this.search();
    else if (step) this.#select(at + step);
    else if (event.key === "Enter" && row) this.edit(row.dataset.key, row.dataset.value);
    else if (event.key === "Delete" && row) this.#delete(row.dataset.key);
    else return;
    event.preventDefault();
  }

  async #put(event) {
    event.preventDefault();
    const key = element("key").value;
    try {
      await this.#db.put(key, element("value").value, { durability: "synced" });
      this.#find(key);
      await this.refresh();
      this.#select(this.#options().findIndex((row) => row.dataset.key === key));
    } catch (error) {
      noticeOfError("The row was not put", error);
    }
  }

  /** Widens the search if `key` would not be found by it. */
  #find(key) {
    if (!key.startsWith(this.#input.value)) this.#input.value = key;
  }

  async #delete(key) {
    if (!key) return;
    try {
      const old = await this.#db.get(key, { text: true });
      if (old === undefined) {
        notice("warn", "Nothing to delete", `There is no row “${key}”.`);
        return;
      }
      const at = this.#options().findIndex((row) => row.dataset.key === key);
      await this.#db.delete(key, { durability: "synced" });
      await this.refresh();
      if (at >= 0) this.#select(at);
      const undo = async () => {
        await this.#db.put(key, old, { durability: "synced" });
        await this.refresh();
      };
      notice("good", "Deleted", `“${key}” is gone.`, undefined, { label: "Undo", action: undo });
    } catch (error) {
      noticeOfError("The row was not deleted", error);
    }
  }
}

function item(key, value, prefix, at) {
  const row = document.createElement("li");
  row.id = `row-${at}`;
  row.role = "option";
  row.ariaSelected = "false";
  row.dataset.key = key;
  row.dataset.value = value;
  const name = row.appendChild(document.createElement("span"));
  name.title = key;
  if (prefix && key.startsWith(prefix)) name.appendChild(document.createElement("mark")).textContent = prefix;
  name.append(key.slice(prefix && key.startsWith(prefix) ? prefix.length : 0));
  const content = row.appendChild(document.createElement("span"));
  content.textContent = value.length > 200 ? `${value.slice(0, 200)}…` : value;
  content.title = content.textContent;
  return row;
}

function message(text, more) {
  const row = document.createElement("li");
  row.className = "empty";
  row.role = "presentation";
  if (more) {
    const button = row.appendChild(document.createElement("button"));
    button.type = "button";
    button.dataset.more = "true";
    button.textContent = text;
  } else {
    row.textContent = text;
  }
  return row;
}
