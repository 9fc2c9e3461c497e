// The benchmark's page: measures one store after the other, round by round, and shows the medians.
//
// `?run` starts at once; `rounds`, `seconds` (for each workload) and `only` (a part of a store's name) change what is done. When all is done,
// `window.esker_bench` has the results.

import { WORKLOADS, measure } from "./measure.js";
import { SUBJECTS } from "./subjects.js";

const parameters = new URLSearchParams(location.search);
const ROUNDS = Number(parameters.get("rounds") ?? 1);
const SECONDS = Number(parameters.get("seconds") ?? 1.5);
const ONLY = parameters.get("only") ?? "";

const element = (id) => document.getElementById(id);

element("run").addEventListener("click", run);
element("save").addEventListener("click", save);
if (parameters.has("run")) run();

async function run() {
  element("run").disabled = true;
  const measured = new Map(SUBJECTS.filter(({ name }) => name.includes(ONLY)).map((subject) => [subject.name, []]));
  const failures = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const subject of SUBJECTS.filter(({ name }) => measured.has(name))) {
      const say = (workload) => {
        element("progress").textContent = `Round ${round} of ${ROUNDS}: ${subject.name}, ${workload}…`;
      };
      try {
        const results = subject.where === "page" ? await measure(subject.make(), SECONDS, say) : await inWorker(subject, say);
        measured.get(subject.name).push(results);
      } catch (error) {
        failures.push(`${subject.name}: ${error.message ?? error}`);
      }
    }
  }
  const results = SUBJECTS.flatMap(({ name, about, where, weak }) => {
    const rounds = measured.get(name) ?? [];
    return rounds.length ? [{ name, durability: about, where, weak: Boolean(weak), ...medians(rounds) }] : [];
  });
  window.esker_bench = { date: new Date().toISOString(), browser: navigator.userAgent, rounds: ROUNDS, seconds: SECONDS, failures, results };
  show(window.esker_bench);
}

/** Measures in a worker of its own, which takes what it has opened with it when it ends. */
function inWorker({ name }, say) {
  const worker = new Worker("worker.js", { type: "module" });
  return new Promise((done, failed) => {
    worker.onmessage = ({ data }) => {
      if (data.workload) say(data.workload);
      else if (data.results) done(data.results);
      else failed(new Error(data.error));
    };
    worker.onerror = (event) => failed(new Error(event.message));
    worker.postMessage({ name, seconds: SECONDS });
  }).finally(() => worker.terminate());
}

function medians(rounds) {
  const names = Object.keys(rounds[0]);
  return Object.fromEntries(names.map((name) => {
    const sorted = rounds.map((round) => round[name]).sort((a, b) => a - b);
    return [name, sorted[Math.floor(sorted.length / 2)]];
  }));
}

function show({ results, failures, date, browser, rounds, seconds }) {
  element("progress").textContent = failures.length ? `Not measured: ${failures.join("; ")}` : "Done.";
  element("charts").replaceChildren(...WORKLOADS.map((workload) => chart(workload, results)));
  element("results").hidden = false;
  element("table").innerHTML = table(results);
  element("about").textContent = `${date}; ${browser}; ${seconds} s for each workload, ${rounds} ${rounds === 1 ? "round" : "rounds"}, medians. ` +
    "“open” is the time from closed to the first get of a store of 100,000 rows, the program itself being loaded.";
  element("run").disabled = false;
  element("save").hidden = false;
}

function chart({ name, title, unit }, results) {
  const card = document.createElement("div");
  card.className = "card";
  const shown = results.filter((result) => result[name]);
  const most = Math.max(...shown.map((result) => result[name]));
  const bars = shown.map((result) => {
    const kinds = ["bar", result.name.startsWith("Esker") && "esker", result.weak && "weak"].filter(Boolean).join(" ");
    return `<div class="${kinds}" title="${result.durability}"><span>${result.name}</span><span class="track">` +
      `<span class="fill" style="width: ${(68 * result[name]) / most}%"></span><span>${figure(result[name])}</span></span></div>`;
  });
  card.innerHTML = `<h2>${title} <span class="muted small">${unit} a second</span></h2>${bars.join("")}`;
  return card;
}

function table(results) {
  const head = ["store", "durability", ...WORKLOADS.map(({ name }) => name), "open ms"];
  const line = (result) => `<tr class="${result.name.startsWith("Esker") ? "esker" : ""}"><td>${result.name}</td><td>${result.durability}</td>` +
    `${WORKLOADS.map(({ name }) => `<td>${result[name] ? figure(result[name]) : ""}</td>`).join("")}<td>${result.open?.toFixed(0) ?? ""}</td></tr>`;
  return `<thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead><tbody>${results.map(line).join("")}</tbody>`;
}

const figure = (value) => Math.round(value).toLocaleString("en");

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(window.esker_bench, null, 2)], { type: "application/json" }));
  link.download = "esker-bench.json";
  link.click();
}
