// Images: sent a few at a time, asked again when a block is switched, the broken ones reported beside the good ones.
import { at, call } from "./calls.js";
import * as blocks from "./blocks.js";
import { accept } from "./drop.js";
import { busy, byId, notes, plural, say } from "./parts.js";
import { card, draw, kept } from "./pictures.js";

const FILES = 8; // in one request, so that a bounded queue does not refuse them
const BYTES = 8e6; // in one request, unless a single file has more
const MOST = 500; // images that the page shows
const ALL = 1000; // classes whose probabilities are asked for, to show changes
const INTACT = "";

let model = null;
let page = null; // fail, works, renew
let items = []; // { file, node, says, free, answers: setting -> answer, broken, alone, drawn }
let sending = null; // { setting, abort } of the request in flight
let said = new Set(); // notes of the server

const setting = () => blocks.disabled().join("\n");
const open = () => model !== null && !byId("images").hidden;
const left = (key) => items.filter((item) => !item.broken && !item.answers.has(key));

export function show(details, around) {
  leave();
  [model, page] = [details, around];
  for (const item of items) {
    item.answers.clear();
    item.broken = null;
    item.drawn = null;
    item.says.replaceChildren();
  }
  said = new Set();
  blocks.show(details, () => {
    if (sending && sending.setting !== INTACT && sending.setting !== setting()) sending.abort.abort();
    redraw();
    work();
  });
  redraw();
  work();
}

/** Another model is shown: what is in flight is of no use any more. */
export function leave() {
  sending?.abort.abort();
  model = null;
}

function add(files) {
  const taken = files.slice(0, Math.max(0, MOST - items.length));
  if (taken.length < files.length) said.add(`The page shows at most ${MOST} images; ${plural(files.length - taken.length, "image")} left out.`);
  for (const file of taken) {
    const item = { file, answers: new Map(), broken: null, alone: false, drawn: null };
    Object.assign(item, card(file, () => remove(item)));
    items.push(item);
    byId("pictures").append(item.node);
  }
  redraw();
  work();
}

function remove(item) {
  const next = item.node.nextElementSibling ?? item.node.previousElementSibling;
  items = items.filter((one) => one !== item);
  item.node.remove();
  item.free();
  (next?.querySelector("button") ?? byId("choose")).focus();
  redraw();
}

function redraw() {
  const key = setting();
  const several = model?.several ?? items.some((item) => [...item.answers.values()].some((one) => one.labels && one.labels.length !== 1));
  for (const item of items) {
    const [now, intact] = [item.answers.get(key), item.answers.get(INTACT)];
    if (item.drawn && item.drawn.now === now && item.drawn.broken === item.broken && item.drawn.several === several) continue;
    item.drawn = { now, several, broken: item.broken };
    draw(item, { now, intact, several });
  }
  const broken = items.filter((item) => item.broken).length;
  byId("pictures-head").hidden = items.length === 0;
  byId("pictures-count").textContent = plural(items.length, "image") + (broken ? `, ${broken} of them not readable` : "");
  notes(byId("images-notes"), said);
  const waiting = left(key).length;
  byId("progress").hidden = !sending || waiting === 0;
  byId("progress-bar").max = items.length;
  byId("progress-bar").value = items.length - waiting;
  byId("progress-text").textContent = `${items.length - waiting} of ${plural(items.length, "image")}`;
}

/** The next images to send and for which setting: the intact answers come first. */
function next() {
  for (const key of [INTACT, setting()]) {
    const [first, ...others] = left(key);
    if (!first) continue;
    const batch = [first];
    const names = new Set([clean(first.file.name)]);
    let bytes = first.file.size;
    for (const item of first.alone ? [] : others) {
      bytes += item.file.size;
      if (batch.length === FILES || bytes > BYTES) break;
      if (item.alone || names.has(clean(item.file.name))) continue; // answers are told apart by the name
      names.add(clean(item.file.name));
      batch.push(item);
    }
    return { key, batch };
  }
  return null;
}

/** The name under which a file is sent: what would be escaped in the request's header is replaced. */
const clean = (text) => text.replace(/[\u0000-\u001f"\\]/g, "_") || "image";

/** Send until nothing is left; one request at a time. */
async function work() {
  if (sending || !open()) return;
  const mine = model;
  for (let job; model === mine && (job = next());) {
    sending = { setting: job.key, abort: new AbortController() };
    redraw();
    try {
      await send(job);
      page.works();
    } catch (error) {
      if (error.name === "AbortError") {
        if (sending.stopped) break;
        continue;
      }
      if (![400, 408, 413, 415, 422].includes(error.status)) {
        page.fail(error, work);
        break;
      }
      if (error.broken.length === job.batch.length) take(job.key, job.batch, { broken: error.broken, predictions: [] });
      else refused(job, error.message);
    } finally {
      sending = null;
    }
    redraw();
  }
  redraw();
  if (model !== mine) work(); // the other model waited for this request
  else if (items.length && !left(setting()).length) done();
}

function done() {
  const broken = items.filter((item) => item.broken).length;
  const off = blocks.disabled().length;
  say(`${plural(items.length - broken, "image")} answered${off ? ` with ${plural(off, "block")} disabled` : ""}${broken ? `; ${broken} not readable` : ""}.`);
}

/** Of several images that were refused together each is sent alone, so that only the one at fault is reported. */
function refused({ key, batch }, sentence) {
  if (batch.length > 1) for (const item of batch) item.alone = true;
  else if (key === INTACT) batch[0].broken = sentence;
  else batch[0].answers.set(key, { failed: sentence, top: [], labels: [] });
}

async function send({ key, batch }) {
  const form = new FormData();
  for (const item of batch) form.append("files", item.file, clean(item.file.name));
  const whole = key !== INTACT || (model.blocks ?? []).length > 0;
  form.append("top", String(whole ? Math.min(ALL, model.classes?.length ?? 5) : 5));
  for (const name of key ? key.split("\n") : []) form.append("disable", name);
  const mine = model;
  const read = await call(at(mine.name, "images"), { form, signal: sending.abort.signal, waiting: busy });
  if (model !== mine) return;
  if (mine.version && read.version && read.version !== mine.version) {
    page.renew(); // other weights: answers of both must not stand side by side
    return;
  }
  for (const note of read.notes ?? []) said.add(note);
  take(key, batch, read);
}

/** Give each image its answer by the file's name; where a name came back altered, each image is sent alone. */
function take(key, batch, read) {
  const waiting = new Map(batch.map((item) => [clean(item.file.name), item]));
  const found = (file) => (batch.length === 1 ? batch[0] : waiting.get(file));
  for (const one of read.broken ?? []) {
    const item = found(one.file);
    if (item) item.broken = one.reason || "The image cannot be read.";
  }
  for (const one of read.predictions) found(one.file)?.answers.set(key, kept(one, key === INTACT));
  for (const item of batch) {
    if (item.broken || item.answers.has(key)) continue;
    if (batch.length === 1) item.broken = "The server gave no answer for this image.";
    item.alone = true;
  }
}

byId("stop").addEventListener("click", () => {
  if (!sending) return;
  sending.stopped = true;
  sending.abort.abort();
  const key = setting();
  const waiting = left(key);
  for (const item of waiting) refused({ key: item.answers.has(INTACT) ? key : INTACT, batch: [item] }, "Not sent: stopped.");
  say(`Stopped; ${plural(waiting.length, "image")} not sent.`);
});
byId("clear").addEventListener("click", () => {
  sending?.abort.abort();
  for (const item of items) item.free();
  items = [];
  said = new Set();
  byId("pictures").replaceChildren();
  redraw();
  say("All images removed.");
  byId("choose").focus();
});
accept(open, add);
