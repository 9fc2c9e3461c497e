// The tree, drawn from the store's statistics as they change.
//
//   memtable   ▓▓▓▓▓▓▓░░░░░   fills, is sealed, and is flushed to a table in level 0
//   level 0    ▪▪▪
//   level 1    ▬▬▬▬▬          tables are merged into the level below; a level's bar grows with the root of its bytes
//   rows/s     ╱╲╱──          the last minute
//
// The statistics count tables and bytes of each level; a flush or a merge shows as their change from one picture to the
// next, and its arrow is lit for a moment.

import { bytes, number, duration } from "./notices.js";

const SVG = "http://www.w3.org/2000/svg";
/** A narrow window gets a narrow picture, not small print. */
const NARROW = matchMedia("(max-width: 560px)").matches;
const WIDTH = NARROW ? 380 : 720;
/** Where bars begin and how wide the widest is. Left of them are labels, right of them sizes. */
const LEFT = NARROW ? 96 : 112;
const BAR = NARROW ? 190 : 468;
const MEMORY_TOP = 10;
const LEVEL_TOP = 116;
const LANE = 42;
const LEVELS = 7;
/** Level 0 and the deepest ones are always shown: the store fills its levels from the deepest. The others when in use. */
const DEEP = 5;
/** Milliseconds that an arrow stays lit. */
const LIT = 1100;
const SPARK_SECONDS = 60;
const SPARK_HEIGHT = 54;
/** Rects in a lane at most; a lane of more tables shows this many. */
const TABLES_DRAWN = 80;

export class Picture {
  #svg;
  #figures;
  #now;
  #lanes = [];
  #last;
  #rates = new Rates();
  #lit = [];

  constructor(place, figures, now) {
    this.#figures = figures;
    this.#now = now;
    this.#svg = place.appendChild(make("svg", { role: "img" }));
    this.#drawMemory();
    for (let level = 0; level < LEVELS; level += 1) this.#drawLane(level);
    this.#drawSpark();
    this.#place(this.#lanes.map(() => ({ tables: 0 })));
    // Statistics come only when they change: time goes on without them.
    setInterval(() => this.#tick(), 500);
  }

  show(stats) {
    this.#place(stats.levels);
    this.#showMemory(stats);
    const widest = Math.max(1, ...stats.levels.map((level) => level.bytes));
    this.#lanes.forEach((lane, at) => showLane(lane, stats.levels[at], widest));
    if (this.#last) this.#lightChanges(this.#last, stats);
    this.#last = stats;
    this.#rates.add(stats);
    this.#showFigures(stats);
    this.#svg.setAttribute("aria-label", inWords(stats));
  }

  #drawMemory() {
    const svg = this.#svg;
    svg.append(text("Memtable", 0, MEMORY_TOP + 21, "label"), text("in memory", 0, MEMORY_TOP + 37, "faint"));
    svg.append(rect(LEFT, MEMORY_TOP, BAR, 44, 8, "memory-bed"));
    this.memory = svg.appendChild(rect(LEFT, MEMORY_TOP, 0, 44, 8, "memory"));
    this.sealed = svg.appendChild(make("g"));
    this.memorySize = svg.appendChild(text("", WIDTH, MEMORY_TOP + 20, "label", "end"));
    this.memoryEntries = svg.appendChild(text("", WIDTH, MEMORY_TOP + 37, "faint", "end"));
    svg.append(text("Log", 0, MEMORY_TOP + 70, "label"));
    svg.append(rect(LEFT, MEMORY_TOP + 60, BAR, 12, 6, "lane"));
    this.log = svg.appendChild(rect(LEFT, MEMORY_TOP + 60, 0, 12, 6, "memory"));
    this.logSize = svg.appendChild(text("", WIDTH, MEMORY_TOP + 70, "faint", "end"));
    svg.append(make("line", { x1: 0, x2: WIDTH, y1: LEVEL_TOP - 16, y2: LEVEL_TOP - 16, class: "divide" }));
  }

  #drawLane(level) {
    const colour = `var(--level-${level})`;
    const lane = this.#svg.appendChild(make("g"));
    lane.append(text(`Level ${level}`, 0, 20, "label"), rect(LEFT, 0, BAR, 30, 8, "lane"));
    const tables = lane.appendChild(make("g", { style: `fill: ${colour}` }));
    const size = lane.appendChild(text("", WIDTH, 14, "label", "end"));
    const count = lane.appendChild(text("", WIDTH, 29, "faint", "end"));
    const flow = this.#svg.appendChild(make("path", { class: "flow", style: `stroke: ${colour}` }));
    this.#lanes.push({ lane, tables, size, count, flow, y: 0 });
  }

  #drawSpark() {
    this.spark = this.#svg.appendChild(make("g"));
    this.spark.append(text("Writes", 0, 22, "label"), text("last minute", 0, 38, "faint"), rect(LEFT, 0, BAR, SPARK_HEIGHT, 8, "lane"));
    this.sparkArea = this.spark.appendChild(make("path", { class: "spark-area" }));
    this.sparkLine = this.spark.appendChild(make("path", { class: "spark-line" }));
    this.sparkRate = this.spark.appendChild(text("", WIDTH, 22, "label", "end"));
    this.sparkPeak = this.spark.appendChild(text("", WIDTH, 38, "faint", "end"));
  }

  /** One lane below the other, those that are not shown left out; the sparkline stands below the last. */
  #place(levels) {
    let y = LEVEL_TOP;
    this.#lanes.forEach((lane, level) => {
      const shown = level === 0 || level >= DEEP || levels[level].tables > 0;
      lane.lane.style.display = shown ? "" : "none";
      lane.lane.setAttribute("transform", `translate(0 ${y})`);
      lane.y = y;
      if (shown) y += LANE;
    });
    this.spark.setAttribute("transform", `translate(0 ${y + 8})`);
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${y + SPARK_HEIGHT + 10}`);
  }

  #showMemory({ memory, log, sealed_memtables: sealed }) {
    const share = Math.min(1, memory.memtable / memory.memtable_max);
    this.memory.style.width = `${BAR * share}px`;
    this.memorySize.textContent = NARROW ? bytes(memory.memtable) : `${bytes(memory.memtable)} of ${bytes(memory.memtable_max)}`;
    this.memoryEntries.textContent = sealed ? `${sealed} sealed, ${sealed > 1 ? "wait" : "waits"}` : `${number(memory.memtable_entries)} rows`;
    const blocks = Array.from({ length: sealed }, (_, at) => rect(LEFT + BAR - 20 - at * 18, MEMORY_TOP + 8, 12, 28, 3, "memory"));
    this.sealed.replaceChildren(...blocks);
    this.log.style.width = `${BAR * Math.min(1, log.segment_bytes / 10485760)}px`;
    this.logSize.textContent = `${bytes(log.segment_bytes)}${log.segments_sealed ? `, ${log.segments_sealed} sealed` : ""}`;
  }

  /** Lights the arrow of what has happened since the last picture. */
  #lightChanges(before, after) {
    if (after.flush.jobs > before.flush.jobs) this.#light(0, MEMORY_TOP + 22, "flushing the memtable to level 0");
    if (after.compaction.jobs + after.compaction_moves <= before.compaction.jobs + before.compaction_moves) return;
    const into = after.levels.findLastIndex((level, at) => at > 0 && level.bytes !== before.levels[at].bytes);
    if (into < 0) return;
    const above = before.levels.slice(0, into);
    const from = Math.max(0, above.findLastIndex((level, at) => level.tables > after.levels[at].tables));
    this.#light(into, this.#lanes[from].y + 15, `merging level ${from} into level ${into}`);
  }

  /** Lights the arrow that ends in a level and begins at the height `from`. */
  #light(level, from, what) {
    const { flow, y } = this.#lanes[level];
    const to = y + 15;
    flow.setAttribute("d", `M ${LEFT - 6} ${from} C ${LEFT - 28} ${from}, ${LEFT - 28} ${to}, ${LEFT - 6} ${to}`);
    flow.classList.add("on");
    this.#lit.push({ level, what, until: performance.now() + LIT });
  }

  #tick() {
    const now = performance.now();
    for (const { level } of this.#lit.filter(({ until }) => until <= now)) {
      if (!this.#lit.some((lit) => lit.level === level && lit.until > now)) this.#lanes[level].flow.classList.remove("on");
    }
    this.#lit = this.#lit.filter(({ until }) => until > now);
    const stats = this.#last;
    if (!stats) return;
    const pending = stats.pending_bytes ? `compaction owes ${bytes(stats.pending_bytes)}` : "at rest";
    this.#now.textContent = this.#lit.at(-1)?.what ?? (stats.stalled ? "writes wait for maintenance" : pending);
    this.#showSpark(this.#rates.tick());
  }

  #showSpark(rates) {
    const peak = Math.max(...rates, 1);
    const step = BAR / (SPARK_SECONDS * 2 - 1);
    const offset = LEFT + BAR - (rates.length - 1) * step;
    const points = rates.map((rate, at) => `${(offset + at * step).toFixed(1)} ${(SPARK_HEIGHT - 5 - (rate / peak) * (SPARK_HEIGHT - 12)).toFixed(1)}`);
    const line = `M ${points.join(" L ")}`;
    this.sparkLine.setAttribute("d", line);
    this.sparkArea.setAttribute("d", `${line} L ${LEFT + BAR} ${SPARK_HEIGHT} L ${offset} ${SPARK_HEIGHT} Z`);
    this.sparkRate.textContent = `${number(rates.at(-1))}/s`;
    this.sparkPeak.textContent = peak > 1 ? `peak ${number(peak)}/s` : "";
  }

  #showFigures(stats) {
    const { hits, misses } = stats.cache;
    const figures = [
      ["Written by you", bytes(stats.writes.bytes)],
      ["On storage", bytes(stats.levels.reduce((sum, level) => sum + level.bytes, stats.log.segment_bytes))],
      ["Write amplification", `${stats.write_amplification.toFixed(1)} ×`],
      ["Cache hits", hits + misses ? `${Math.round((100 * hits) / (hits + misses))} %` : "none yet"],
      ["Flushes", number(stats.flush.jobs)],
      ["Compactions", number(stats.compaction.jobs + stats.compaction_moves)],
      ["Longest pause", duration(stats.pauses.micros_max / 1000)],
      ["File slots", `${stats.pool.slots - stats.pool.free} <small>of ${stats.pool.slots}</small>`],
    ];
    this.#figures.innerHTML = figures.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("");
  }
}

/** Operations a second, from the counters' changes, twice a second for the last minute. */
class Rates {
  #samples = [0];
  #operations;
  #counted;
  #at = performance.now();

  add(stats) {
    const operations = stats.writes.operations;
    // Another leader counts from zero.
    if (this.#operations === undefined || operations < this.#operations) this.#counted = operations;
    this.#operations = operations;
  }

  tick() {
    const now = performance.now();
    const written = (this.#operations ?? 0) - (this.#counted ?? 0);
    this.#counted = this.#operations;
    this.#samples.push((written * 1000) / Math.max(1, now - this.#at));
    this.#at = now;
    if (this.#samples.length > SPARK_SECONDS * 2) this.#samples.shift();
    return this.#samples;
  }
}

function showLane(lane, level, widest) {
  lane.size.textContent = level.tables ? bytes(level.bytes) : "";
  lane.count.textContent = level.tables ? `${level.tables} ${level.tables === 1 ? "table" : "tables"}` : "";
  const drawn = Math.min(level.tables, TABLES_DRAWN);
  const rects = [...lane.tables.children];
  while (rects.length > drawn) rects.pop().remove();
  while (rects.length < drawn) {
    const table = rect(LEFT + BAR, 4, 0, 22, 4, "table new");
    rects.push(lane.tables.appendChild(table));
  }
  // Root: a level has ten times the bytes of the one above, and both shall be seen.
  const all = Math.max(Math.sqrt(level.bytes / widest) * (BAR - 8), drawn * 5);
  rects.forEach((table, at) => {
    table.style.x = `${LEFT + 4 + (at * all) / drawn}px`;
    table.style.width = `${Math.max(2, all / drawn - 2)}px`;
  });
}

/** The picture for those who do not see it. */
function inWords(stats) {
  const levels = stats.levels.flatMap((level, at) => (level.tables ? [`level ${at}: ${level.tables} tables, ${bytes(level.bytes)}`] : []));
  return [`memtable: ${bytes(stats.memory.memtable)} of ${bytes(stats.memory.memtable_max)}`, ...levels].join("; ");
}

function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

function rect(x, y, width, height, rx, kind) {
  return make("rect", { x, y, width, height, rx, class: kind });
}

function text(content, x, y, kind, anchor = "start") {
  const element = make("text", { x, y, class: kind, "text-anchor": anchor });
  element.textContent = content;
  return element;
}
