// Reading the Prometheus text format, and what histograms say.

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:\\.|[^"\\])*)"/g;

/* Text to a map: family name → [{labels, value}]. */
export function parseMetrics(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const m = LINE.exec(line);
    if (!m) continue;
    const labels = {};
    for (const [, name, value] of (m[2] || "").matchAll(LABEL))
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    const value = m[3] === "+Inf" ? Infinity : m[3] === "-Inf" ? -Infinity : Number(m[3]);
    if (!families.has(m[1])) families.set(m[1], []);
    families.get(m[1]).push({ labels, value });
  }
  return families;
}

/* Sum of the series of a family that carry the given labels; 0 if there are none. */
export function sumOf(families, name, labels = {}) {
  let sum = 0;
  for (const series of families.get(name) || [])
    if (Object.entries(labels).every(([k, v]) => series.labels[k] === v)) sum += series.value;
  return sum;
}

/* A histogram as {bounds, counts, sum, count}: counts[i] lies between bounds[i-1] and bounds[i]. */
export function histogramOf(families, name) {
  const total = new Map();
  for (const series of families.get(`${name}_bucket`) || []) {
    const bound = series.labels.le === "+Inf" ? Infinity : Number(series.labels.le);
    total.set(bound, (total.get(bound) || 0) + series.value);
  }
  const bounds = [...total.keys()].sort((a, b) => a - b);
  const counts = bounds.map((b, i) => total.get(b) - (i ? total.get(bounds[i - 1]) : 0));
  return { bounds, counts, sum: sumOf(families, `${name}_sum`),
           count: sumOf(families, `${name}_count`) };
}

/* What was counted between two readings of a histogram. */
export function histogramSince(now, then) {
  if (!then || then.bounds.length !== now.bounds.length || then.count > now.count) return now;
  return { bounds: now.bounds, counts: now.counts.map((c, i) => c - then.counts[i]),
           sum: now.sum - then.sum, count: now.count - then.count };
}

/* The q-quantile, straight between the bounds of its bucket; NaN without data. */
export function quantileOf(h, q) {
  const total = h.counts.reduce((a, b) => a + b, 0);
  if (total === 0) return NaN;
  let below = 0;
  for (let i = 0; i < h.counts.length; i++) {
    if (h.counts[i] > 0 && below + h.counts[i] >= q * total) {
      const from = i ? h.bounds[i - 1] : 0;
      if (h.bounds[i] === Infinity) return from;
      return from + (h.bounds[i] - from) * ((q * total - below) / h.counts[i]);
    }
    below += h.counts[i];
  }
  return NaN;
}
