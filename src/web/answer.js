// One answer of the model on the page: reasoning, text, coloured tokens, calls, read-out, error.
//
// The view is brought up to date from the whole message again and again while it grows; parts that
// did not change are left alone, so that a long answer stays cheap.

import { byId, copyText, el, formatPercent, formatRate, formatSeconds } from "./dom.js";

/* Text to paragraphs and fenced code: [{code, text}]. An open fence at the end is code too. */
export function blocksOf(text) {
  const blocks = [];
  let lines = [];
  let fence = null;
  const end = (code) => {
    if (code || lines.some((l) => l.trim() !== "")) blocks.push({ code, text: lines.join("\n") });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line);
    if (mark && fence === null) {
      end(false);
      fence = mark[1];
    } else if (mark && mark[1].startsWith(fence) && line.trim() === mark[1]) {
      end(true);
      fence = null;
    } else if (fence === null && line.trim() === "") {
      end(false);
    } else {
      lines.push(line);
    }
  }
  if (fence !== null || lines.length) end(fence !== null);
  return blocks;
}

/* A paragraph with `code` and **strong**; everything else is shown as it stands. */
function paragraph(text) {
  const p = el("p");
  let at = 0;
  for (const m of text.matchAll(/`([^`\n]+)`|\*\*([^*\n]+)\*\*/g)) {
    p.append(text.slice(at, m.index));
    p.append(m[1] !== undefined ? el("code", {}, m[1]) : el("strong", {}, m[2]));
    at = m.index + m[0].length;
  }
  p.append(text.slice(at));
  return p;
}

function codeBlock(text) {
  const button = el("button.quiet", { type: "button", onclick: () => copyText(text, button) },
                    "Copy");
  return el("div.fence", {}, el("pre", { tabindex: 0 }, el("code", {}, text)), button);
}

/* Shows text as blocks in `box`, making anew only those that changed. */
function showBlocks(box, text) {
  const blocks = blocksOf(text);
  blocks.forEach((b, i) => {
    const id = `${b.code ? "c" : "p"}${b.text}`;
    const old = box.children[i];
    if (old && old.blockId === id) return;
    const fresh = b.code ? codeBlock(b.text) : paragraph(b.text);
    fresh.blockId = id;
    if (old) old.replaceWith(fresh);
    else box.append(fresh);
  });
  while (box.children.length > blocks.length) box.lastChild.remove();
}

/* --- tokens -------------------------------------------------------------------------------- */

const BOUNDS = [0.1, 0.4, 0.7, 0.95];

function visible(token) {
  return token.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/ /g, "␣") || "(half of a character)";
}

function fillTip(tip, token) {
  const rows = token.top.map(([text, logprob]) => {
    const share = Math.exp(logprob);
    const bar = el("span.bar");
    bar.style.width = `${Math.max(1, share * 100)}%`;
    return el("li", {}, el("code", {}, visible(text)), el("span.share", {}, formatPercent(share)),
              el("span.track", {}, bar));
  });
  tip.replaceChildren(
    el("p", {}, el("code", {}, visible(token.text)), " ",
       `${formatPercent(Math.exp(token.logprob))}, logprob ${token.logprob.toFixed(3)}`),
    rows.length ? el("ol", {}, rows) : "");
}

function showTip(span) {
  const tip = byId("tip");
  fillTip(tip, span.token);
  tip.hidden = false;
  const at = span.getClientRects()[0] || span.getBoundingClientRect();
  const left = Math.min(at.left, innerWidth - tip.offsetWidth - 8);
  const below = at.bottom + 6;
  const fits = below + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, fits ? below : at.top - tip.offsetHeight - 6)}px`;
  span.setAttribute("aria-describedby", "tip");
}

export function hideTip() {
  byId("tip").hidden = true;
}

/* One tab stop for all tokens of an answer; arrows move inside. */
function moveInTokens(event) {
  const span = event.target.closest(".token");
  const to = { ArrowRight: span?.nextSibling, ArrowLeft: span?.previousSibling,
               Home: span?.parentNode.firstChild, End: span?.parentNode.lastChild }[event.key];
  if (event.key === "Escape") hideTip();
  if (!to) return;
  event.preventDefault();
  span.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

function tokenBox() {
  const over = (e) => { if (e.target.token) showTip(e.target); };
  return el("div.tokens", {
    role: "group",
    "aria-label": "Tokens by probability. Arrow keys move from token to token.",
    onmouseover: over, onfocusin: over, onmouseleave: hideTip, onfocusout: hideTip,
    onkeydown: moveInTokens,
  });
}

function showTokens(box, tokens) {
  for (let i = box.children.length; i < tokens.length; i++) {
    const level = BOUNDS.filter((b) => Math.exp(tokens[i].logprob) >= b).length;
    const span = el(`span.token.p${level}`, { tabindex: i === 0 ? 0 : -1 }, tokens[i].text);
    span.token = tokens[i];
    box.append(span);
  }
}

/* --- calls, read-out, errors ---------------------------------------------------------------- */

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function callCard(call) {
  return el("div.call", {}, el("p.call-name", {}, "Calls ", el("code", {}, call.name || "…")),
            el("pre", { tabindex: 0 }, el("code", {}, prettyJson(call.arguments))));
}

const ENDS = { stop: "ended by itself", length: "cut by max tokens", tool_calls: "waits for tools" };

function readOut(m) {
  const s = m.stats || {};
  const parts = [];
  const add = (name, value) => parts.push(el("span", {}, el("b", {}, value), ` ${name}`));
  if (s.ttft !== undefined) add("to first token", formatSeconds(s.ttft));
  if (s.rate) add("tokens/s", formatRate(s.rate));
  if (s.generated) add(s.reasoning ? `tokens out (${s.reasoning} reasoning)` : "tokens out", s.generated);
  if (s.prompt !== undefined) add(`tokens in (${s.cached} cached)`, s.prompt);
  if (s.seconds !== undefined) add("in all", formatSeconds(s.seconds));
  if (m.stopped) parts.push(el("span", {}, "stopped"));
  else if (m.finish) parts.push(el("span", {}, ENDS[m.finish] || m.finish));
  return parts;
}

function errorCard(error, goTo) {
  const facts = [error.status && `status ${error.status}`, error.code || error.type,
                 error.requestId && `request ${error.requestId}`].filter(Boolean).join(" · ");
  return el("div.error", { role: "alert" }, el("p", {}, error.message),
            error.param ? el("p", {}, "Field: ", el("code", {}, error.param)) : "",
            facts ? el("p.note", {}, facts) : "",
            goTo ? el("button.quiet", { type: "button", onclick: goTo }, "Go to the field") : "");
}

/* The view of one answer. goToField(param) returns a function that shows the field, or null. */
export function answerView(goToField) {
  const thought = el("div.thought");
  const reasoning = el("details.reasoning", { hidden: true }, el("summary", {}, "Reasoning"), thought);
  const text = el("div.text");
  const tokens = tokenBox();
  const raw = el("details.raw", { open: true, hidden: true },
                 el("summary", {}, "Tokens as the model wrote them"));
  const calls = el("div.calls");
  const trouble = el("div");
  const facts = el("p.facts");
  const root = el("div.answer", {}, reasoning, text, raw, calls, trouble, facts);

  /* Tokens stand for the text where they are just that; beside reasoning and calls they also hold
     markers, and get a place of their own. */
  function placeTokens(m) {
    const apart = Boolean(m.reasoning || m.calls.length);
    const place = apart ? raw : root;
    if (tokens.parentNode !== place) {
      if (apart) raw.append(tokens);
      else text.before(tokens);
    }
    raw.hidden = !apart || !m.tokens.length;
    text.hidden = !apart && m.tokens.length > 0;
    showTokens(tokens, m.tokens);
  }

  let shownCalls = "";
  let shownError = null;
  function update(m, running) {
    root.setAttribute("aria-busy", String(running));
    reasoning.hidden = !m.reasoning;
    if (m.reasoning && thought.textContent !== m.reasoning) thought.textContent = m.reasoning;
    if (m.tokens.length) placeTokens(m);
    if (!text.hidden) showBlocks(text, m.content);
    const now = JSON.stringify(m.calls);
    if (now !== shownCalls) calls.replaceChildren(...m.calls.map(callCard));
    shownCalls = now;
    if (m.error !== shownError)
      trouble.replaceChildren(m.error ? errorCard(m.error, goToField(m.error.param)) : "");
    shownError = m.error;
    root.classList.toggle("waiting", running && !m.content && !m.reasoning && !m.calls.length);
    facts.replaceChildren(...readOut(m));
  }
  return { root, update };
}
