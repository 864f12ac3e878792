// The settings: fields to request body, mistakes shown beside their field, values kept for the tab.
//
// An empty field is left out of the request, so that the model's own defaults apply.

import { byId, load, save } from "./dom.js";

export class FieldError extends Error {
  constructor(id, message) {
    super(message);
    this.id = id;
  }
}

const NUMBERS = ["temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty",
                 "repetition_penalty"];
const INTEGERS = ["top_k", "max_tokens", "seed"];
const KEPT = [...NUMBERS, ...INTEGERS, "system", "stop", "schema", "tools", "tool_choice",
              "top_logprobs", "reasoning_effort"];
const STORE = "pagoda.settings";

/* Where the server's `param` has another name than the field. */
const FIELD_OF_PARAM = { response_format: "schema", max_completion_tokens: "max_tokens" };

function numberOf(id) {
  const text = byId(id).value.trim();
  if (text === "") return undefined;
  const n = Number(text);
  if (!Number.isFinite(n)) throw new FieldError(id, `“${text}” is not a number.`);
  return n;
}

function integerOf(id) {
  const n = numberOf(id);
  if (n === undefined) return undefined;
  if (!Number.isInteger(n)) throw new FieldError(id, "A whole number is expected.");
  if (!Number.isSafeInteger(n)) throw new FieldError(id, "Browsers lose digits beyond 2⁵³.");
  return n;
}

function jsonOf(id) {
  const text = byId(id).value.trim();
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new FieldError(id, `This is no JSON: ${e.message}`);
  }
}

function isObject(v) {
  return v !== null && typeof v === "object" && !Array.isArray(v);
}

/* A bare schema, or a whole response_format. */
function responseFormat() {
  const schema = jsonOf("schema");
  if (schema === undefined) return undefined;
  if (!isObject(schema) && typeof schema !== "boolean")
    throw new FieldError("schema", "A JSON schema is an object.");
  if (["json_schema", "json_object", "text"].includes(schema.type)) return schema;
  return { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
}

/* A list of tools, or of bare functions, or one of either. */
function toolList() {
  const json = jsonOf("tools");
  if (json === undefined) return undefined;
  const list = Array.isArray(json) ? json : [json];
  if (!list.every(isObject)) throw new FieldError("tools", "Each tool is an object.");
  return list.map((t) => (t.function || !t.name ? t : { type: "function", function: t }));
}

/* Stop strings, one a line; \n and \t in them mean those characters. */
function stopStrings() {
  const lines = byId("stop").value.split("\n").filter((line) => line !== "");
  if (!lines.length) return undefined;
  return lines.map((s) => s.replace(/\\([nt\\])/g, (_, c) => ({ n: "\n", t: "\t" })[c] || c));
}

function toolChoice(tools) {
  const choice = byId("tool_choice").value;
  return tools && choice !== "auto" ? choice : undefined;
}

/* The request for these messages (without the system prompt, which comes from its field). Throws
   FieldError. */
export function requestOf(messages) {
  const system = byId("system").value.trim();
  const body = {
    model: byId("model").value || undefined,
    messages: system ? [{ role: "system", content: system }, ...messages] : messages,
    stream: true,
    stream_options: { include_usage: true },
  };
  for (const id of NUMBERS) body[id] = numberOf(id);
  for (const id of INTEGERS) body[id] = integerOf(id);
  body.stop = stopStrings();
  body.reasoning_effort = byId("reasoning_effort").value || undefined;
  if (byId("logprobs").checked) {
    body.logprobs = true;
    body.top_logprobs = integerOf("top_logprobs") ?? 5;
  }
  body.response_format = responseFormat();
  body.tools = toolList();
  body.tool_choice = toolChoice(body.tools);
  return body;
}

/* Show a mistake beside its field, and bring the field into view. */
export function showFieldError(id, message, focus) {
  const input = byId(id);
  const note = byId(`${id}-error`) || byId("settings-error");
  note.textContent = message;
  note.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", note.id);
  for (let e = input; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  if (focus) input.focus();
}

export function clearFieldErrors() {
  for (const input of document.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  for (const note of document.querySelectorAll(".field-error")) {
    note.hidden = true;
    note.textContent = "";
  }
}

/* The field that a server error's `param` speaks of ("response_format.json_schema.schema"), or
   null. */
export function fieldOfParam(param) {
  const first = param.split(/[.[]/)[0];
  const id = FIELD_OF_PARAM[first] || first;
  return KEPT.includes(id) || id === "logprobs" ? id : null;
}

export function keepSettings() {
  const settings = { logprobs: byId("logprobs").checked };
  for (const id of KEPT) settings[id] = byId(id).value;
  save(STORE, settings);
}

export function restoreSettings() {
  const settings = load(STORE, {});
  byId("logprobs").checked = settings.logprobs === true;
  for (const id of KEPT)
    if (typeof settings[id] === "string") byId(id).value = settings[id];
  for (const details of document.querySelectorAll("#settings details")) {
    const used = [...details.querySelectorAll("textarea")].some((t) => t.value !== "");
    if (used) details.open = true;
  }
}

export function resetSettings() {
  byId("settings").reset();
  clearFieldErrors();
  keepSettings();
}

const EXAMPLE_SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};
const EXAMPLE_TOOLS = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "Current weather in a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    },
  },
}];

export function insertExample(id) {
  byId(id).value = JSON.stringify(id === "schema" ? EXAMPLE_SCHEMA : EXAMPLE_TOOLS, null, 2);
  keepSettings();
  byId(id).focus();
}
