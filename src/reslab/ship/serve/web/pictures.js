// One shown image: its thumbnail and what the model answers, now and intact.
import { bar, el, name, percent } from "./parts.js";

const SHOWN = 5; // classes of an image

/** The file's card. `remove()` is called by its button. */
export function card(file, remove) {
  const url = URL.createObjectURL(file);
  const image = el("img", { src: url, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth <= 96));
  image.addEventListener("error", () => image.replaceWith(el("span", { class: "unread" }, "no preview")), { once: true });
  const says = el("div", { class: "says" });
  const node = el("li", { class: "picture" }, image,
    el("div", { class: "told" }, el("p", { class: "file", title: file.name }, name(file.name)), says),
    el("button", { type: "button", class: "remove", "aria-label": `Remove ${file.name}`, onclick: remove }, "×"));
  return { node, says, free: () => URL.revokeObjectURL(url) };
}

/** What is kept of an answer: the first classes, the labels, and (`whole`) the probability of every class that came. */
export function kept(prediction, whole) {
  const probabilities = new Map(prediction.classes.map((one) => [one.name, one.probability]));
  return { top: prediction.classes.slice(0, SHOWN), labels: prediction.labels ?? [], probabilities: whole ? probabilities : null,
    of: (wanted) => probabilities.get(wanted) };
}

function said(answer, several) {
  if (!several) return [name(answer.top[0].name)];
  if (!answer.labels.length) return ["no label"];
  return answer.labels.flatMap((label, place) => (place ? [", ", name(label)] : [name(label)]));
}

/** How the answer differs from the intact one, in a sentence. */
function difference(now, intact, several) {
  const [before, after] = [intact, now].map((one) => (several ? [...one.labels].sort().join("\n") : one.top[0].name));
  const first = intact.top[0];
  const text = ["intact: ", ...said(intact, several), ...(several ? [] : [` ${percent(first.probability)}`])];
  return el("p", { class: before === after ? "was" : "was changed" }, before === after ? "same answer; " : "answer changed; ", ...text);
}

/** Draw an item: waiting, broken, or answered; `now` is compared with `intact` if they are not the same. */
export function draw(item, { now, intact, several }) {
  item.node.classList.toggle("broken", Boolean(item.broken));
  item.node.classList.toggle("waiting", !item.broken && !now);
  if (item.broken) return item.says.replaceChildren(el("p", { class: "reason" }, item.broken));
  if (!now) {
    if (!item.says.childElementCount) item.says.replaceChildren(el("p", { class: "was" }, "waiting …"));
    return undefined;
  }
  if (now.failed) return item.says.replaceChildren(el("p", { class: "reason" }, now.failed));
  const compared = intact && intact !== now;
  const rows = now.top.map((one, place) => bar(name(one.name), one.probability,
    { best: several ? now.labels.includes(one.name) : place === 0, before: compared ? (intact.probabilities.get(one.name) ?? null) : null }));
  item.says.replaceChildren(el("p", { class: "class" }, ...said(now, several)), ...(compared ? [difference(now, intact, several)] : []),
    el("ol", { class: compared ? "bars compared" : "bars" }, ...rows));
  return undefined;
}
