// The status page: /metrics once a second while the page is visible, drawn as numbers and bars.
//
// Rates are differences between two readings. The map shows shares of the pool, not the addresses of
// pages: the server counts pages by state and does not list them.

import { ApiError, getResponse, readHealth, setKey } from "./client.js";
import { byId, el, formatAge, formatCount, formatPercent, formatRate, formatSeconds } from "./dom.js";
import { histogramOf, histogramSince, parseMetrics, quantileOf, sumOf } from "./metrics.js";

const PERIOD_MS = 1000;
const HISTORY = 60; /* readings that the small curves and "last minute" look back on */
const MAX_CELLS = 512;
const STATES = ["used", "cached", "retiring", "free"];
const HISTOGRAMS = [
  ["Time to first token", "pagoda_time_to_first_token_seconds"],
  ["Between tokens", "pagoda_inter_token_latency_seconds"],
  ["Whole request", "pagoda_e2e_request_latency_seconds"],
];

const history = []; /* {at, families}, oldest first */
const series = {}; /* id → the last values */
let version = "";

function setText(id, text) {
  const e = byId(id);
  if (e.textContent !== text) e.textContent = text;
}

function svg(tag, attributes) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

/* A number with its curve of the last minute. */
function showCurve(id, value, text) {
  const values = (series[id] ||= []);
  values.push(value);
  if (values.length > HISTORY) values.shift();
  setText(id, text);
  const top = Math.max(...values, 1e-9);
  const at = (v, i) => `${HISTORY - values.length + i},${(29 - (v / top) * 27).toFixed(2)}`;
  const line = values.map(at).join("L");
  const box = byId(`${id}-spark`);
  box.setAttribute("viewBox", `0 0 ${HISTORY - 1} 30`);
  box.setAttribute("preserveAspectRatio", "none");
  box.replaceChildren(
    svg("path", { class: "area", d: `M${HISTORY - values.length},30L${line}L${HISTORY - 1},30Z` }),
    svg("path", { d: `M${line}` }));
}

/* Difference per second of a counter between the last reading and the one `back` before it. */
function rateOf(name, back) {
  const last = history.at(-1);
  const then = history.at(-1 - Math.min(back, history.length - 1));
  const seconds = (last.at - then.at) / 1000;
  return seconds > 0 ? Math.max(0, sumOf(last.families, name) - sumOf(then.families, name)) / seconds : 0;
}

function showCounts(f) {
  const running = sumOf(f, "pagoda_num_requests_running");
  const waiting = sumOf(f, "pagoda_num_requests_waiting");
  const out = rateOf("pagoda_generation_tokens_total", 2);
  const into = rateOf("pagoda_prompt_tokens_total", 2);
  showCurve("running", running, formatCount(running));
  showCurve("waiting", waiting, formatCount(waiting));
  showCurve("out-rate", out, formatRate(out));
  showCurve("in-rate", into, formatRate(into));
  const asked = sumOf(f, "pagoda_prefix_cache_queries_total");
  const hits = sumOf(f, "pagoda_prefix_cache_hits_total");
  setText("hits", asked ? formatPercent(hits / asked) : "–");
  const recent = rateOf("pagoda_prefix_cache_queries_total", HISTORY);
  const share = recent ? rateOf("pagoda_prefix_cache_hits_total", HISTORY) / recent : NaN;
  setText("hits-note", `of prompt tokens; last minute ${formatPercent(share)}`);
}

/* --- KV blocks ------------------------------------------------------------------------------ */

/* What each of the cells holds, the states one after the other: a state's index, or for the cells in
   which states meet a list of [index, end of its share]. */
export function cellsOf(blocks, cells) {
  const total = blocks.reduce((a, b) => a + b, 0);
  const ends = blocks.map((_, i) => (blocks.slice(0, i + 1).reduce((a, b) => a + b) / total) * cells);
  return Array.from({ length: cells }, (_, c) => {
    const parts = ends.flatMap((end, i) =>
      (blocks[i] && end > c && (i ? ends[i - 1] : 0) < c + 1 ? [[i, Math.min(1, end - c)]] : []));
    return parts.length === 1 ? parts[0][0] : parts;
  });
}

function paintCell(cell, holds) {
  const pure = typeof holds === "number";
  const name = pure ? STATES[holds] : "";
  if (cell.className !== name) cell.className = name;
  const stops = pure ? [] : holds.map(([s, end], i) =>
    `var(--${STATES[s]}) ${i ? holds[i - 1][1] * 100 : 0}% ${end * 100}%`);
  cell.style.background = stops.length ? `linear-gradient(90deg, ${stops.join(", ")})` : "";
}

function showBlocks(f) {
  const state = (name) => sumOf(f, "pagoda_kv_blocks", { state: name });
  const blocks = [state("active"), state("cached"), state("retiring"), state("free")];
  const total = blocks.reduce((a, b) => a + b, 0);
  STATES.forEach((name, i) => setText(`kv-${name}`, formatCount(blocks[i])));
  const info = (f.get("pagoda_cache_config_info") || [])[0];
  const size = info ? info.labels.block_size : "?";
  const cells = Math.min(total, MAX_CELLS);
  const each = total / Math.max(1, cells);
  setText("kv-note", total ? `${formatCount(total)} blocks of ${size} tokens; a square is ` +
    (each > 1 ? `about ${formatCount(each)} blocks` : "one block") : "none yet");
  const map = byId("map");
  while (map.children.length > cells) map.lastChild.remove();
  while (map.children.length < cells) map.append(el("span"));
  cellsOf(blocks, cells).forEach((holds, i) => paintCell(map.children[i], holds));
  map.setAttribute("aria-label", "KV blocks: " +
    STATES.map((name, s) => `${formatCount(blocks[s])} ${name}`).join(", "));
}

/* --- histograms ----------------------------------------------------------------------------- */

function histogramPanels() {
  byId("histograms").replaceChildren(...HISTOGRAMS.map(([title, name]) =>
    el("div.panel", {}, el("div.head", {}, el("h2", {}, title), el("span.note", { id: `${name}-n` })),
       el("div.bars", { id: `${name}-bars`, role: "img" }),
       el("div.ends", {}, el("span", { id: `${name}-from` }), el("span", { id: `${name}-to` })),
       el("dl.quantiles", { id: `${name}-q` }))));
}

function range(h, i) {
  const from = formatSeconds(i ? h.bounds[i - 1] : 0);
  return h.bounds[i] === Infinity ? `over ${from}` : `${from} to ${formatSeconds(h.bounds[i])}`;
}

function showHistogram(title, name) {
  const now = histogramOf(history.at(-1).families, name);
  const window = byId("window").value;
  const h = window === "all" ? now : histogramSince(now, histogramOf(history[0].families, name));
  const filled = h.counts.flatMap((c, i) => (c > 0 ? [i] : []));
  const first = Math.max(0, (filled[0] ?? 0) - 1);
  const last = Math.min(h.counts.length - 1, (filled.at(-1) ?? 0) + 1);
  const top = Math.max(...h.counts, 1);
  const shown = filled.length ? h.counts.slice(first, last + 1) : [];
  byId(`${name}-bars`).replaceChildren(...shown.map((c, i) => {
    const bar = el(c ? "span" : "span.none", { title: `${range(h, first + i)}: ${formatCount(c)}` });
    bar.style.height = `${(c / top) * 100}%`;
    return bar;
  }));
  setText(`${name}-from`, shown.length ? formatSeconds(first ? h.bounds[first - 1] : 0) : "");
  setText(`${name}-to`, !shown.length ? "" : h.bounds[last] === Infinity ? "∞" : formatSeconds(h.bounds[last]));
  setText(`${name}-n`, `${formatCount(h.count)} measured`);
  const facts = [["p50", quantileOf(h, 0.5)], ["p90", quantileOf(h, 0.9)], ["p99", quantileOf(h, 0.99)],
                 ["mean", h.count ? h.sum / h.count : NaN]].map(([q, v]) => [q, formatSeconds(v)]);
  byId(`${name}-q`).replaceChildren(...facts.map(([q, v]) =>
    el("div", {}, el("dt", {}, q), el("dd", {}, v))));
  byId(`${name}-bars`).setAttribute("aria-label",
    `${title}: ${facts.map((pair) => pair.join(" ")).join(", ")}`);
}

/* --- facts ---------------------------------------------------------------------------------- */

function showFacts(f) {
  const label = (f.get("pagoda_num_requests_running") || f.get("pagoda_http_connections") || [])[0];
  const ended = (reason) => sumOf(f, "pagoda_request_success_total", { finished_reason: reason });
  const started = sumOf(f, "process_start_time_seconds");
  const facts = [
    ["Model", label ? label.labels.model_name : "–"],
    ["Version", version || "–"],
    ["Up for", started ? formatAge(Date.now() / 1000 - started) : "–"],
    ["Connections", formatCount(sumOf(f, "pagoda_http_connections"))],
    ["Requests done", formatCount(ended("stop") + ended("length"))],
    ["Requests aborted", formatCount(ended("abort"))],
    ["Requests failed", formatCount(ended("error"))],
    ["Refused as invalid", formatCount(sumOf(f, "pagoda_request_rejects_total"))],
    ["Refused, no room", formatCount(sumOf(f, "pagoda_admission_rejected_total"))],
    ["Preemptions", formatCount(sumOf(f, "pagoda_num_preemptions_total"))],
    ["Blocks evicted", formatCount(sumOf(f, "pagoda_kv_evictions_total"))],
    ["Prompt tokens", formatCount(sumOf(f, "pagoda_prompt_tokens_total"))],
    ["Tokens out", formatCount(sumOf(f, "pagoda_generation_tokens_total"))],
    ["Oldest waiting", formatSeconds(sumOf(f, "pagoda_queue_oldest_seconds"))],
  ];
  const box = byId("facts");
  if (box.children.length !== facts.length)
    box.replaceChildren(...facts.map(([name]) => el("div", {}, el("dt", {}, name), el("dd"))));
  facts.forEach(([, value], i) => {
    const dd = box.children[i].lastChild;
    if (dd.textContent !== value) dd.textContent = value;
  });
}

/* --- the round ------------------------------------------------------------------------------ */

function showHealth(state, text) {
  byId("health").className = `health ${state}`;
  setText("health", text);
}

/* Once; with keys it needs one, even where /metrics does not. */
async function readVersion() {
  try {
    version = (await (await getResponse("version")).json()).version;
  } catch (e) {
    if (e.status !== 401) throw e;
    version = "needs a key";
  }
}

function drawReading() {
  const f = history.at(-1).families;
  showCounts(f);
  showBlocks(f);
  for (const [title, name] of HISTOGRAMS) showHistogram(title, name);
  showFacts(f);
  setText("updated", `read at ${new Date().toLocaleTimeString()}`);
}

async function read() {
  try {
    const [state, text] = await readHealth();
    const families = parseMetrics(await (await getResponse("metrics")).text());
    history.push({ at: performance.now(), families });
    if (history.length > HISTORY + 1) history.shift();
    showHealth(state, text);
    if (!version) await readVersion();
    byId("key-form").hidden = true;
    drawReading();
  } catch (e) {
    if (e.status === 401) byId("key-form").hidden = false;
    else showHealth("bad", e instanceof ApiError ? e.message : "The server cannot be reached.");
    if (e.status !== 401) document.querySelector("main").classList.add("stale");
    return;
  }
  document.querySelector("main").classList.remove("stale");
}

let timer = 0;
async function round() {
  timer = 0;
  await read();
  if (!document.hidden && !timer) timer = setTimeout(round, PERIOD_MS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  timer = 0;
  if (!document.hidden) round();
});
byId("window").addEventListener("change", () => history.length && drawReading());
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key").value);
  read();
});
histogramPanels();
round();
