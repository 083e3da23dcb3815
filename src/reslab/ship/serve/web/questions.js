// A question over pasted text: the answers are listed by probability and marked where they stand.
import { at, call } from "./api.js";
import { bar, byId, el, name, notes, percent, say } from "./parts.js";

const TOP = 5;

let model = null;
let page = null; // fail, works, renew
let asking = null;

export function show(details, around) {
  if (details.name !== model?.name) byId("answer").hidden = true;
  [model, page] = [details, around];
}

/** The paragraphs of a text, which blank lines separate. */
const paragraphs = (text) => text.split(/\n[^\S\n]*\n/).map((one) => one.trim()).filter(Boolean);

/** For each character (as Python counts them) the place of the best answer that covers it, or -1. */
function cover(characters, answers, document) {
  const best = new Array(characters.length).fill(-1);
  answers.forEach((answer, place) => {
    if (answer.document !== document || !answer.text) return;
    for (let i = answer.start; i < Math.min(answer.end, best.length); i++) if (best[i] === -1) best[i] = place;
  });
  return best;
}

/** A paragraph as elements: what answers cover is marked. */
function marked(text, answers, document, first) {
  const characters = Array.from(text); // code points: start and end count these
  const best = cover(characters, answers, document);
  const shown = el("p", { dir: "auto" });
  for (let from = 0, to; from < characters.length; from = to) {
    for (to = from + 1; to < characters.length && best[to] === best[from];) to++;
    const part = characters.slice(from, to).join("");
    const place = best[from];
    if (place < 0) shown.append(part);
    else shown.append(el("mark", { class: place === first ? "best" : null, "data-answer": place, title: `answer ${place + 1}: ${percent(answers[place].probability)}` }, part));
  }
  return shown;
}

/** Scroll to an answer in the text; of one that lies within a better one, to that. */
function find(answers, place) {
  const covers = (one) => {
    const other = answers[Number(one.dataset.answer)];
    return other.document === answers[place].document && other.start < answers[place].end && answers[place].start < other.end;
  };
  const all = [...byId("read").querySelectorAll("mark")];
  const mark = all.find((one) => Number(one.dataset.answer) === place) ?? all.find(covers);
  mark?.scrollIntoView({ block: "center" });
  for (const one of all) one.classList.toggle("found", one === mark);
}

function told(read, texts) {
  const { answers } = read;
  const [top] = answers;
  const first = answers.findIndex((one) => one.text !== "");
  const silent = !top || top.text === "";
  byId("answer-text").classList.toggle("none", silent);
  byId("answer-text").replaceChildren(silent ? "No answer in the text" : name(top.text), ...(top ? [" ", el("span", { class: "sure" }, percent(top.probability))] : []));
  byId("answers").replaceChildren(...answers.map((one, place) => bar(
    one.text === "" ? "no answer" : el("button", { type: "button", class: "link", onclick: () => find(answers, place) }, name(one.text)),
    one.probability, { best: place === 0 })));
  byId("read").replaceChildren(...texts.map((text, document) => marked(text, answers, document, silent ? -1 : first)));
  notes(byId("answer-notes"), read.notes);
  byId("answer").hidden = false;
  say(silent ? "No answer in the text." : `Answer: ${top.text}, ${percent(top.probability)}.`);
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
  const waiting = (seconds) => say(`The server is busy; trying again in ${Math.ceil(seconds)} s.`);
  try {
    const read = await call(at(model.name, "ask"), { json: { question, contexts: texts, top: TOP }, signal: mine.signal, waiting });
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
