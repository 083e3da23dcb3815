// A question over pasted text: the answers are listed by probability and marked where they stand.
import { at, call } from "./calls.js";
import { bar, busy, byId, el, name, notes, percent, say } from "./parts.js";

const TOP = 5;
const LONG = 60; // characters from which an answer is set smaller

let model = null;
let page = null; // fail, works, renew
let asking = null;

export function show(details, around) {
  if (details.name !== model?.name) byId("answer").hidden = true;
  [model, page] = [details, around];
}

/** The paragraphs of a text, which blank lines separate. */
const paragraphs = (text) => text.split(/\n[^\S\n]*\n/).map((one) => one.trim()).filter(Boolean);

/** A paragraph cut where answers begin and end: [text, places of the answers that cover it]. Python counts code points. */
function pieces(text, answers, document) {
  const characters = Array.from(text);
  const here = answers.map((answer, place) => ({ ...answer, place })).filter((answer) => answer.document === document && answer.text !== "");
  const cuts = [...new Set([0, characters.length, ...here.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  return cuts.slice(1).map((to, k) => [characters.slice(cuts[k], to).join(""),
    here.filter(({ start, end }) => start <= cuts[k] && to <= end).map(({ place }) => place)]);
}

/** A paragraph as elements: what answers cover is marked, the best one strongest; one within another is underlined. */
function marked(text, answers, document, first) {
  return el("p", { dir: "auto" }, ...pieces(text, answers, document).map(([part, places]) => {
    if (!places.length) return part;
    const look = [places.includes(first) ? "best" : "", places.length > 1 ? "several" : ""].filter(Boolean).join(" ");
    const title = places.map((place) => `answer ${place + 1}: ${percent(answers[place].probability)}`).join(", ");
    return el("mark", { class: look || null, "data-answers": places.join(" "), title }, part);
  }));
}

/** Outline an answer in the text and scroll to it. */
function find(place) {
  const all = [...byId("read").querySelectorAll("mark")];
  for (const one of all) one.classList.toggle("found", one.dataset.answers.split(" ").includes(String(place)));
  byId("read").querySelector(".found")?.scrollIntoView({ block: "center" });
}

function told(read, texts) {
  const { answers } = read;
  const [top] = answers;
  const first = answers.findIndex((one) => one.text !== "");
  const silent = !top || top.text === "";
  byId("answer-text").classList.toggle("none", silent);
  byId("answer-text").classList.toggle("long", (top?.text.length ?? 0) > LONG);
  byId("answer-text").replaceChildren(silent ? "No answer in the text" : name(top.text), ...(top ? [" ", el("span", { class: "sure" }, percent(top.probability))] : []));
  byId("answers").replaceChildren(...answers.map((one, place) => bar(
    one.text === "" ? "no answer" : el("button", { type: "button", class: "link", onclick: () => find(place) }, name(one.text)),
    one.probability, { best: place === 0 })));
  byId("read").replaceChildren(...texts.map((text, document) => marked(text, answers, document, silent ? -1 : first)));
  notes(byId("answer-notes"), read.notes);
  byId("answer").hidden = false;
  say(silent ? "No answer in the text." : `Answer: ${top.text}, ${percent(top.probability)}.`, { heard: true });
}

async function ask(event) {
  event?.preventDefault();
  const question = byId("question").value.trim();
  const texts = paragraphs(byId("context").value);
  const missing = question === "" ? byId("question") : texts.length === 0 ? byId("context") : null;
  for (const field of [byId("question"), byId("context")]) field.setAttribute("aria-invalid", String(field === missing));
  if (missing) {
    say(missing.id === "question" ? "Enter a question." : "Paste the text to read.");
    return missing.focus();
  }
  asking?.abort();
  const mine = asking = new AbortController();
  byId("answer").classList.add("old");
  say("Reading …");
  try {
    const read = await call(at(model.name, "ask"), { json: { question, contexts: texts, top: TOP }, signal: mine.signal, waiting: busy });
    page.works();
    told(read, texts);
    byId("answer").focus({ preventScroll: true });
    byId("answer").scrollIntoView({ block: "nearest" });
  } catch (error) {
    page.fail(error, ask);
  } finally {
    if (mine === asking) byId("answer").classList.remove("old");
  }
  return undefined;
}

byId("ask").addEventListener("submit", ask);
byId("context").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
});
