// A row of a table: filled field by field, predicted with probabilities or as a number.
import { at, call } from "./calls.js";
import { field, hint, typical, value } from "./fields.js";
import { bar, busy, byId, figure, name, notes, percent, say } from "./parts.js";

const BARS = 10;

let model = null;
let page = null; // fail, works, renew
let asking = null;

const control = (place) => byId(`field-${place}`);

export function show(details, around) {
  const same = details.name === model?.name && JSON.stringify(details.fields) === JSON.stringify(model?.fields);
  [model, page] = [details, around];
  if (same) return; // what was entered stays
  byId("predicted").hidden = true;
  byId("fields").replaceChildren(...details.fields.map(field));
}

/** Show below a field what is wrong with it, or its hint again. */
function judge(place, fault) {
  const note = byId(`field-${place}-hint`);
  note.textContent = fault || hint(model.fields[place]);
  note.classList.toggle("fault", fault !== "");
  control(place).setAttribute("aria-invalid", String(fault !== ""));
}

/** The row as entered, typed. Null, with the fault shown, if a field cannot be read. */
function row() {
  const read = [];
  let first = null;
  for (const [place, one] of model.fields.entries()) {
    try {
      read.push([one.name, value(one, control(place).value)]);
      judge(place, "");
    } catch (fault) {
      if (!(fault instanceof RangeError)) throw fault;
      judge(place, fault.message);
      first ??= { place, said: `${one.name}: ${fault.message}` };
    }
  }
  if (!first) return Object.fromEntries(read);
  control(first.place).focus();
  say(first.said);
  return null;
}

/** What is predicted, as text; of several labels perhaps none. */
const words = (value) => (Array.isArray(value) ? value.map(words).join(", ") || "no label" : value === null ? "–" : figure(value));

/** The labels of the chart that are predicted. A class that is no text is written otherwise there: then it is the most probable one. */
function predicted(first, sorted) {
  const said = [].concat(first.predicted).map(String);
  const own = sorted.map(([label]) => label).filter((label) => said.includes(label));
  return own.length || Array.isArray(first.predicted) ? own : sorted.slice(0, 1).map(([label]) => label);
}

function told(read) {
  const [first] = read.predictions;
  const sorted = Object.entries(first.probabilities ?? {}).sort(([, a], [, b]) => b - a);
  const labels = predicted(first, sorted);
  const text = labels.join(", ") || words(first.predicted);
  byId("predicted-text").replaceChildren(name(text));
  byId("probabilities").replaceChildren(...sorted.slice(0, BARS).map(([label, p]) => bar(name(label), p, { best: labels.includes(label) })));
  byId("probabilities").hidden = sorted.length === 0;
  notes(byId("row-notes"), read.notes);
  byId("predicted").hidden = false;
  const sure = sorted.find(([label]) => label === labels[0]);
  say(`Prediction: ${text}${sure ? `, ${percent(sure[1])}` : ""}.`, { heard: true });
}

async function predict(event) {
  event?.preventDefault();
  const entered = row();
  if (!entered) return;
  asking?.abort();
  const mine = asking = new AbortController();
  byId("predicted").classList.add("old");
  say("Predicting …");
  try {
    const read = await call(at(model.name, "rows"), { json: { rows: [entered] }, signal: mine.signal, waiting: busy });
    page.works();
    told(read);
    byId("predicted").scrollIntoView({ block: "nearest" });
  } catch (error) {
    page.fail(error, predict);
  } finally {
    if (mine === asking) byId("predicted").classList.remove("old");
  }
}

function fill(text) {
  for (const [place, one] of model.fields.entries()) {
    control(place).value = text(one);
    judge(place, "");
  }
}

byId("row").addEventListener("submit", predict);
byId("example").addEventListener("click", () => {
  fill((one) => typical(one, model.example));
  say("Filled with an example.");
});
byId("empty").addEventListener("click", () => {
  fill(() => "");
  byId("predicted").hidden = true;
  say("All fields are empty.");
});
