// The HTTP side: requests with the key, errors as the server tells them, and event streams.

// Addresses are relative to the page, so that it also works behind a proxy's path prefix.
const base = new URL(".", document.baseURI);
let key = "";

/* The API key is kept in this variable and nowhere else. */
export function setKey(value) {
  key = value.trim();
}

export function urlOf(path) {
  return new URL(path, base).href;
}

export class ApiError extends Error {
  constructor(status, detail, requestId, retryAfter) {
    super(detail.message || `The server answered with status ${status}.`);
    this.status = status;
    this.type = detail.type || "";
    this.param = typeof detail.param === "string" ? detail.param : "";
    this.code = detail.code === null || detail.code === undefined ? "" : String(detail.code);
    this.requestId = requestId || "";
    this.retryAfter = retryAfter || "";
  }
}

function headers(more) {
  return key ? { ...more, authorization: `Bearer ${key}` } : { ...more };
}

async function errorOf(response) {
  let detail = {};
  try {
    const body = await response.json();
    if (body && typeof body.error === "object" && body.error) detail = body.error;
  } catch {
    /* not ours: a proxy's page, perhaps */
  }
  return new ApiError(response.status, detail, response.headers.get("x-request-id"),
                      response.headers.get("retry-after"));
}

export async function getResponse(path, signal) {
  const response = await fetch(urlOf(path), { headers: headers(), signal, cache: "no-store" });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/* [state, text]: ready, or why not, in the server's own words. Probes need no key. Throws when there
   is no server. */
export async function readHealth() {
  try {
    await getResponse("readyz");
    return ["good", "ready"];
  } catch (e) {
    if (!(e instanceof ApiError)) throw e;
    if (e.code !== "model_loading") return ["bad", e.message];
  }
  try {
    await getResponse("startupz");
    return ["good", "ready"];
  } catch (e) {
    return ["warn", e.message];
  }
}

/* Payloads of a stream of server-sent events. Lines end in LF or CRLF; comments and other fields
   than data are skipped, as the standard says. */
export async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/* Post a chat request and call onChunk for each chunk. Throws ApiError for refusals and for errors
   in the stream, AbortError when the signal fires. */
export async function streamChat(body, signal, onChunk) {
  const response = await fetch(urlOf("v1/chat/completions"), {
    method: "POST",
    headers: headers({ "content-type": "application/json" }),
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  for await (const data of eventsOf(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error)
      throw new ApiError(0, chunk.error, response.headers.get("x-request-id"));
    onChunk(chunk);
  }
  throw new Error("The connection ended before the answer did.");
}

/* The same request for a POSIX shell. The key stays out: shells keep a history. */
export function curlOf(body) {
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const auth = key ? '  -H "authorization: Bearer $PAGODA_API_KEY" \\\n' : "";
  return `curl -N ${urlOf("v1/chat/completions")} \\\n` +
         `  -H 'content-type: application/json' \\\n${auth}  -d '${quoted}'\n`;
}
