// The page: which model is shown, what went wrong, and the token; the views do the rest.
import { at, call, hasToken, Refused, useToken } from "./calls.js";
import * as images from "./images.js";
import { byId, el, figure, plural, say } from "./parts.js";
import * as questions from "./questions.js";
import * as tables from "./tables.js";

const VIEWS = { images, questions, tables };
const POLL = 1000; // milliseconds between two looks at a model that is still loading
let repeat = null; // what "Try again" and a new token do
let turn = 0; // of the model that is shown: an answer for an earlier one is too late

/** Show one sentence about what failed. `again`: what a click, or the token, repeats. Aborted requests are no failure. */
export function fail(error, again = null) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof Refused)) console.error(error);
  const text = error instanceof Refused ? error.message : `The page failed: ${error?.message ?? error}`;
  repeat = again;
  byId("token").hidden = error.status !== 401;
  byId("problem-text").textContent = error.status === 401 && hasToken() ? `The token was not accepted. ${text}` : text;
  byId("again").hidden = !again || error.status === 401;
  byId("problem").hidden = false;
  say("");
  if (error.status === 401) byId("token-value").focus();
}

/** Take the sentence away when something works again. */
export function works() {
  byId("problem").hidden = true;
  byId("token").hidden = true;
}

function chosen(models) {
  let wanted = "";
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch {
    // not one of ours
  }
  return models.find((one) => one.name === wanted) ?? models[0];
}

function facts(model) {
  const [, height, width] = model.shape ?? [];
  const rows = [["kind", model.kind], ["classes", model.classes?.length], ["columns", model.fields?.length],
    ["input size", width && `${height} × ${width}`], ["engine", model.engine], ["precision", model.precision], ["version", model.version]];
  byId("facts").replaceChildren(...rows.filter(([, value]) => value).map(([key, value]) => el("div", {}, el("dt", {}, key),
    el("dd", { title: key === "version" ? value : null }, key === "version" ? value.slice(0, 12) : figure(value)))));
  byId("calibration").textContent = model.calibration ? `The probabilities are ${model.calibration}.` : "";
  byId("calibration").hidden = !model.calibration;
}

function title(text) {
  byId("title").replaceChildren(el("bdi", {}, text));
  document.title = `${text} – reslab serve`;
}

/** Show one model; a view that hears of a new version calls this again. */
async function show(model) {
  const mine = ++turn;
  title(model.name);
  for (const kind of Object.keys(VIEWS)) byId(kind).hidden = true;
  images.leave();
  try {
    let details = await call(at(model.name));
    while (details.ready === false && mine === turn) {
      say("The model is being loaded …");
      await new Promise((done) => setTimeout(done, POLL));
      details = await call(at(model.name));
    }
    if (mine !== turn) return;
    works();
    say("");
    facts(details);
    if (!(details.kind in VIEWS)) throw new Refused(`This page does not know models of kind ${details.kind}.`);
    byId(details.kind).hidden = false;
    VIEWS[details.kind].show(details, { fail, works, renew: () => show(model) });
  } catch (error) {
    if (mine === turn) fail(error, () => show(model));
  }
}

async function start() {
  try {
    const models = await call("api/models");
    works();
    if (!models.length) throw new Refused("The server serves no model.");
    byId("chooser").hidden = models.length === 1;
    byId("model").replaceChildren(...models.map((one) => el("option", { value: one.name }, `${one.name} (${[one.kind, one.engine, one.precision].filter(Boolean).join(", ")})`)));
    const model = chosen(models);
    byId("model").value = model.name;
    byId("model").onchange = () => {
      history.replaceState(null, "", `#${encodeURIComponent(byId("model").value)}`);
      show(models.find((one) => one.name === byId("model").value));
    };
    if (models.length > 1) say(`The server has ${plural(models.length, "model")}.`);
    await show(model);
  } catch (error) {
    title("reslab serve");
    fail(error, start);
  }
}

byId("again").addEventListener("click", () => {
  byId("problem").hidden = true;
  repeat?.();
});
byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token-value").value);
  byId("token-value").value = "";
  works();
  (repeat ?? start)();
});
window.addEventListener("hashchange", start);
start();
