// Small parts of every view. Text from elsewhere (file names, class names, answers) enters the page as text nodes only.

export const byId = (id) => document.getElementById(id);

/** An element with attributes; children are elements or text. An attribute that is null or false is left out. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** A name from elsewhere: it may be written from right to left, or be blank. */
export const name = (text) => el("bdi", {}, String(text).trim() === "" ? `"${text}"` : text);

export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** 0.981 -> "98.1 %"; what is neither 0 nor 1 is never shown as 0 or 100. */
export function percent(p) {
  if (typeof p !== "number" || !Number.isFinite(p)) return "–";
  if (p > 0 && p < 0.0005) return "< 0.1\u00a0%";
  if (p < 1 && p >= 0.9995) return "> 99.9\u00a0%";
  return `${(100 * p).toFixed(1)}\u00a0%`;
}

/** A difference of two probabilities in percentage points: "+3.2", "−40.1". */
export function points(change) {
  const size = Math.abs(100 * change).toFixed(1);
  if (size === "0.0") return "±0.0";
  return (change > 0 ? "+" : "−") + size;
}

/** A number as people write it: at most six digits, but whole numbers whole. */
export function figure(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en", { useGrouping: Math.abs(value) >= 10000 });
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e9 ? String(Number(value.toPrecision(6))) : value.toExponential(4);
}

/** One row of a bar chart. `before`: the intact model's probability, marked in the bar, with the change beside. */
export function bar(label, probability, { before = null, best = false, ...attributes } = {}) {
  const width = (p) => `${100 * Math.min(1, Math.max(0, Number(p) || 0))}%`;
  const fill = el("span", { class: "fill" });
  fill.style.width = width(probability);
  const track = el("span", { class: "track", "aria-hidden": "true" }, fill);
  const row = el("li", { class: best ? "best" : null, ...attributes },
    el("span", { class: "label" }, label), el("span", { class: "value" }, percent(probability)), track);
  if (before !== null) {
    const mark = el("span", { class: "mark" });
    mark.style.left = width(before);
    track.append(mark);
    const change = probability - before;
    const direction = Math.abs(change) < 0.0005 ? "same" : change > 0 ? "more" : "less";
    row.append(el("span", { class: `change ${direction}` }, points(change)));
  }
  return row;
}

/** Fill a list of notes, which is hidden when there are none; each is shown once. */
export function notes(list, sentences) {
  const all = [...new Set([...(sentences ?? [])].map(String))];
  list.replaceChildren(...all.map((one) => el("li", {}, one)));
  list.hidden = all.length === 0;
}

/** Show that a request waits for a busy server. */
export const busy = (seconds) => say(`The server is busy; trying again in ${seconds < 1 ? seconds.toFixed(1) : Math.ceil(seconds)} s.`);

/** Show what happens and announce it to screen readers; `heard`: announce only, as what happened is shown elsewhere. */
export function say(sentence, { heard = false } = {}) {
  byId("status").classList.toggle("heard", heard);
  byId("status").textContent = sentence;
}
