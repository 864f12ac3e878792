// The playground: the conversation, its requests, and what the keyboard does.
//
// A message is {role, content} for the user, {role: "tool", callId, content} for a tool's result and
// for the model {role, content, reasoning, calls, tokens, stats, finish, stopped, error}. The list is
// the truth and is kept for the tab; the page is drawn from it.

import { answerView, hideTip } from "./answer.js";
import { ApiError, curlOf, getResponse, readHealth, setKey, streamChat } from "./client.js";
import { byId, copyText, el, load, save } from "./dom.js";
import * as form from "./form.js";

const STORE = "pagoda.chat";
const STARTERS = ["What is the capital of France?", "What is 17 + 25?", "Tell me a short story."];
const NARROW = matchMedia("(max-width: 860px)");
const TOUCH = matchMedia("(pointer: coarse)");

let messages = load(STORE, []);
let running = null; /* AbortController of the answer under way */
let listed = false; /* the server's models are in the form */

function keepMessages() {
  /* tokens with their alternatives are the bulk; without them it should fit */
  if (save(STORE, messages)) return;
  save(STORE, messages.map((m) => (m.tokens ? { ...m, tokens: [] } : m)));
}

/* --- drawing -------------------------------------------------------------------------------- */

function atBottom() {
  const s = byId("scroll");
  return s.scrollHeight - s.scrollTop - s.clientHeight < 60;
}

function toBottom() {
  const s = byId("scroll");
  s.scrollTop = s.scrollHeight;
}

function button(label, onclick, more) {
  const b = el("button.quiet", { type: "button", onclick: () => onclick(b), ...more }, label);
  return b;
}

function fieldShower(param) {
  const id = form.fieldOfParam(param || "");
  return id ? () => { openSettings(true); form.showFieldError(id, "The server refused this.", true); }
            : null;
}

/* Places for the results of the calls that the last answer made. */
function resultForm(calls) {
  const boxes = calls.map((call, i) =>
    el("textarea.code", { id: `result-${i}`, rows: 2, spellcheck: "false", placeholder: '{"…": …}' }));
  const rows = calls.map((call, i) =>
    [el("label", { for: `result-${i}` }, "Result of ", el("code", {}, call.name)), boxes[i]]);
  const send = (event) => {
    event.preventDefault();
    calls.forEach((call, i) =>
      messages.push({ role: "tool", callId: call.id, name: call.name, content: boxes[i].value }));
    run();
  };
  return el("form.results", { onsubmit: send }, rows,
            el("button", { type: "submit" }, calls.length > 1 ? "Send results" : "Send result"));
}

function drawAnswer(m, isLast) {
  const view = answerView(fieldShower);
  view.update(m, false);
  const actions = el("div.actions", {},
                     m.content ? button("Copy", (b) => copyText(m.content, b)) : "");
  if (isLast) actions.append(button(m.error ? "Try again" : "Regenerate", regenerate));
  const turn = el("article.turn.assistant", { "aria-label": "Answer" }, el("h2", {}, "Model"),
                  view.root, actions);
  if (isLast && m.calls.length && !m.stopped) turn.append(resultForm(m.calls));
  return turn;
}

function drawAsked(m, isLast) {
  const name = m.role === "tool" ? `Result of ${m.name}` : "You";
  return el(`article.turn.${m.role}`, { "aria-label": name }, el("h2", {}, name),
            el("div.text", {}, el("p", {}, m.content)),
            isLast && m.role === "user" ? el("div.actions", {}, button("Edit", editLast)) : "");
}

function draw() {
  hideTip();
  const lastUser = messages.findLastIndex((m) => m.role === "user");
  byId("log").replaceChildren(...messages.map((m, i) =>
    m.role === "assistant" ? drawAnswer(m, i === messages.length - 1) : drawAsked(m, i === lastUser)));
  byId("empty").hidden = messages.length > 0;
  drawControls();
}

function drawControls() {
  const send = byId("send");
  send.textContent = running ? "Stop" : "Send";
  send.classList.toggle("stop", Boolean(running));
  byId("clear").disabled = messages.length === 0;
  for (const b of document.querySelectorAll(".actions button, .results button"))
    b.disabled = Boolean(running);
}

/* --- reading aloud -------------------------------------------------------------------------- */

/* Whole sentences, at most one announcement a second: a live region that changed with every token
   would stutter. */
function announcer() {
  let spoken = 0;
  let last = 0;
  return (text, end) => {
    const rest = text.slice(spoken);
    const cut = end ? rest.length : rest.search(/[.!?:;\n](?=\s)[^]*$/) + 1;
    const now = performance.now();
    if (cut <= 0 || (!end && now - last < 1000)) return;
    byId("announce").textContent = rest.slice(0, cut);
    spoken += cut;
    last = now;
  };
}

/* --- one answer ----------------------------------------------------------------------------- */

/* Messages as the API takes them. Answers that failed before their first word are left out. */
function wireMessages(list) {
  return list.flatMap((m) => {
    if (m.role === "user") return [{ role: "user", content: m.content }];
    if (m.role === "tool") return [{ role: "tool", tool_call_id: m.callId, content: m.content }];
    if (!m.content && !m.calls.length) return [];
    const out = { role: "assistant", content: m.content || null };
    if (m.reasoning) out.reasoning_content = m.reasoning;
    if (m.calls.length)
      out.tool_calls = m.calls.map((c) => ({
        id: c.id, type: "function", function: { name: c.name, arguments: c.arguments } }));
    return [out];
  });
}

function addCalls(m, deltas) {
  for (const d of deltas) {
    while (m.calls.length <= d.index) m.calls.push({ id: "", name: "", arguments: "" });
    const call = m.calls[d.index];
    call.id ||= d.id || "";
    call.name += d.function?.name || "";
    call.arguments += d.function?.arguments || "";
  }
}

/* Tokens may end inside of a character: bytes are decoded across them. */
function addTokens(m, entries, decoder) {
  for (const e of entries) {
    const text = e.bytes ? decoder.decode(new Uint8Array(e.bytes), { stream: true }) : e.token;
    m.tokens.push({ text, logprob: e.logprob,
                    top: (e.top_logprobs || []).map((t) => [t.token, t.logprob]) });
  }
}

function addUsage(s, usage) {
  s.prompt = usage.prompt_tokens;
  s.cached = usage.prompt_tokens_details?.cached_tokens || 0;
  s.generated = usage.completion_tokens;
  s.reasoning = usage.completion_tokens_details?.reasoning_tokens || 0;
}

/* Takes chunks into the message and keeps its clock. */
function collector(m) {
  const decoder = new TextDecoder();
  const start = performance.now();
  let first = 0;
  let chunks = 0;
  return (chunk) => {
    const s = m.stats;
    const now = performance.now();
    const choice = chunk.choices?.[0];
    const delta = choice?.delta || {};
    const reasoning = delta.reasoning_content ?? delta.reasoning ?? "";
    m.reasoning += reasoning;
    m.content += delta.content || "";
    if (delta.tool_calls) addCalls(m, delta.tool_calls);
    if (choice?.logprobs?.content) addTokens(m, choice.logprobs.content, decoder);
    if (choice?.finish_reason) m.finish = choice.finish_reason;
    if (choice) {
      first ||= now; /* the first chunk has the role alone, and comes with the first token */
      s.ttft = (first - start) / 1000;
      s.seconds = (now - start) / 1000;
    }
    if (delta.content || reasoning || delta.tool_calls) s.generated = ++chunks;
    if (chunk.usage) addUsage(s, chunk.usage);
    const decoding = first ? (s.seconds - s.ttft) : 0;
    if (decoding > 0 && s.generated > 1) s.rate = (s.generated - 1) / decoding;
  };
}

function errorOf(e) {
  if (e instanceof ApiError)
    return { message: e.message, status: e.status, type: e.type, param: e.param, code: e.code,
             requestId: e.requestId };
  return { message: e instanceof TypeError ? "The server cannot be reached." : e.message };
}

function showError(error) {
  const id = error.status === 401 ? "key" : form.fieldOfParam(error.param || "");
  if (!id) return;
  if (!NARROW.matches || id === "key") openSettings(true);
  form.showFieldError(id, error.message, id === "key");
  refreshModels();
}

/* Ask for the answer to the conversation as it stands. */
async function run() {
  let body;
  form.clearFieldErrors();
  try {
    body = form.requestOf(wireMessages(messages));
  } catch (e) {
    if (!(e instanceof form.FieldError)) throw e;
    openSettings(true);
    form.showFieldError(e.id, e.message, true);
    draw();
    return;
  }
  const m = { role: "assistant", content: "", reasoning: "", calls: [], tokens: [], stats: {},
              finish: "", stopped: false, error: null };
  messages.push(m);
  running = new AbortController();
  draw();
  const turn = byId("log").lastChild;
  const view = answerView(fieldShower);
  turn.querySelector(".answer").replaceWith(view.root);
  const speak = announcer();
  let frame = 0;
  const update = () => {
    frame = 0;
    const follow = atBottom();
    view.update(m, true);
    speak(m.content, false);
    if (follow) toBottom();
  };
  update();
  toBottom();
  const collect = collector(m);
  try {
    await streamChat(body, running.signal, (chunk) => {
      collect(chunk);
      frame ||= requestAnimationFrame(update);
    });
  } catch (e) {
    if (e.name === "AbortError") m.stopped = true;
    else m.error = errorOf(e);
  }
  cancelAnimationFrame(frame);
  running = null;
  const follow = atBottom();
  const focused = document.activeElement === byId("send") || document.activeElement === document.body;
  keepMessages();
  draw();
  speak(m.content, true);
  if (follow) toBottom();
  if (focused && !TOUCH.matches) byId("draft").focus();
  if (m.error) showError(m.error);
}

/* --- what one can do ------------------------------------------------------------------------ */

function sendDraft() {
  const draft = byId("draft");
  if (running || draft.value.trim() === "") return;
  messages.push({ role: "user", content: draft.value });
  draft.value = "";
  fitDraft();
  run();
}

function regenerate() {
  if (messages.at(-1)?.role === "assistant") messages.pop();
  run();
}

function editLast() {
  const i = messages.findLastIndex((m) => m.role === "user");
  byId("draft").value = messages[i].content;
  messages = messages.slice(0, i);
  keepMessages();
  draw();
  fitDraft();
  byId("draft").focus();
}

function clearChat() {
  running?.abort();
  messages = [];
  keepMessages();
  draw();
  byId("draft").focus();
}

/* The request that Send would make; without a draft, the one that made the last answer. */
function copyCurl(b) {
  const draft = byId("draft").value;
  const list = [...messages];
  if (draft.trim() !== "") list.push({ role: "user", content: draft });
  else if (list.at(-1)?.role === "assistant") list.pop();
  if (!list.length) list.push({ role: "user", content: STARTERS[0] });
  form.clearFieldErrors();
  try {
    copyText(curlOf(form.requestOf(wireMessages(list))), b);
  } catch (e) {
    if (!(e instanceof form.FieldError)) throw e;
    openSettings(true);
    form.showFieldError(e.id, e.message, true);
  }
}

function fitDraft() {
  const draft = byId("draft");
  draft.style.height = "auto";
  draft.style.height = `${Math.min(draft.scrollHeight + 2, innerHeight * 0.4)}px`;
}

function openSettings(open) {
  document.body.classList.toggle("settings-open", open);
  const toggle = byId("toggle-settings");
  toggle.setAttribute("aria-expanded", String(open));
  toggle.textContent = open && NARROW.matches ? "Back to chat" : "Settings";
}

/* --- models and health ---------------------------------------------------------------------- */

function showHealth(state, text) {
  const h = byId("health");
  h.className = `health ${state}`;
  if (h.textContent !== text) h.textContent = text;
}

async function listModels() {
  const list = await (await getResponse("v1/models")).json();
  const names = list.data.map((d) => d.id);
  const select = byId("model");
  const chosen = select.value;
  select.replaceChildren(...names.map((n) => el("option", {}, n)));
  if (names.includes(chosen)) select.value = chosen;
}

/* A server keeps its models while it runs, so they are asked for until it is ready once; after that
   the probe alone says how it is, also that it is about to leave. Returns whether it is ready. */
async function refresh() {
  try {
    const [state, text] = await readHealth();
    if (!listed && state !== "warn") await listModels();
    listed = state === "good";
    showHealth(state, text);
  } catch (e) {
    listed = false;
    if (e.status === 401) showHealth("warn", "needs an API key");
    else showHealth("bad", errorOf(e).message);
  }
  return listed;
}

function refreshModels() {
  listed = false;
  return refresh();
}

async function watchServer() {
  const good = document.hidden || (await refresh());
  setTimeout(watchServer, good ? 3000 : 1500);
}

/* --- start ---------------------------------------------------------------------------------- */

function onDraftKey(event) {
  if (event.key === "Escape") running?.abort();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || TOUCH.matches) return;
  event.preventDefault();
  sendDraft();
}

function listen() {
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) running.abort();
    else sendDraft();
  });
  byId("draft").addEventListener("keydown", onDraftKey);
  byId("draft").addEventListener("input", fitDraft);
  byId("clear").addEventListener("click", clearChat);
  byId("curl").addEventListener("click", (e) => copyCurl(e.currentTarget));
  byId("reset").addEventListener("click", form.resetSettings);
  byId("toggle-settings").addEventListener("click",
    () => openSettings(!document.body.classList.contains("settings-open")));
  byId("settings").addEventListener("submit", (event) => event.preventDefault());
  byId("settings").addEventListener("input", () => { form.clearFieldErrors(); form.keepSettings(); });
  byId("key").addEventListener("input", (e) => setKey(e.target.value));
  byId("key").addEventListener("change", refreshModels);
  for (const b of document.querySelectorAll("[data-example]"))
    b.addEventListener("click", () => form.insertExample(b.dataset.example));
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && e.target !== byId("draft")) running?.abort();
  });
  byId("scroll").addEventListener("scroll", hideTip, { passive: true });
  addEventListener("pagehide", () => {
    if (running) messages.at(-1).stopped = true;
    keepMessages();
  });
}

form.restoreSettings();
openSettings(!NARROW.matches);
byId("starters").append(...STARTERS.map((text) =>
  button(text, () => { byId("draft").value = text; sendDraft(); })));
listen();
draw();
toBottom();
watchServer();
if (!TOUCH.matches) byId("draft").focus();
