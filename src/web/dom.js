// Building elements from data, numbers as people read them, and storage of this tab. Text only ever
// becomes text nodes: there is no way from here to markup.

/* el("p.note", {title: "x", onclick: f}, "text", child): an element of that tag and classes. Keys
   with on… are listeners, others attributes; null, false and undefined are left out. */
export function el(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag);
  if (classes.length) e.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else e.setAttribute(key, value === true ? "" : String(value));
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

export function byId(id) {
  return document.getElementById(id);
}

export function formatCount(n) {
  return Math.round(n).toLocaleString("en-US");
}

export function formatRate(n) {
  return n >= 100 ? formatCount(n) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

export function formatSeconds(s) {
  if (!Number.isFinite(s)) return "–";
  if (s === 0) return "0 s";
  if (s < 0.0095) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
  return formatAge(s);
}

export function formatAge(s) {
  s = Math.floor(s);
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"],
                 [Math.floor(s / 60) % 60, "min"], [s % 60, "s"]];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

export function formatPercent(share) {
  if (!Number.isFinite(share)) return "–";
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return `${percent.toFixed(percent < 10 || (percent > 99 && percent < 100) ? 1 : 0)} %`;
}

/* Storage of the tab: lives through a reload, ends with the tab. May be off or full. */
export function load(key, otherwise) {
  try {
    const text = sessionStorage.getItem(key);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function save(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export async function copyText(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy failed";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}
