// Each block of a net in torch as a switch; off is disabled.
import { byId, el, name, plural } from "./parts.js";

let changed = () => {};
let shown = ""; // the model's name

const switches = () => [...byId("groups").querySelectorAll("input")];

/** The names of the blocks that are disabled, in the net's order. */
export const disabled = () => switches().filter((one) => !one.checked).map((one) => one.value);

function count() {
  const off = disabled().length;
  byId("blocks-count").textContent = off ? `${off} of ${plural(switches().length, "block")} disabled` : "All blocks are on.";
  byId("all-on").disabled = off === 0;
}

function one(block, group) {
  const text = group && block.name.startsWith(`${group}.`) ? block.name.slice(group.length + 1) : block.name;
  const box = el("input", { type: "checkbox", role: "switch", value: block.name, "aria-label": `block ${block.name}` });
  const kept = block.removable === false ? " (it can be disabled, but not removed permanently)" : "";
  return el("label", { class: kept ? "switch kept" : "switch", title: `${block.module ?? ""}${kept}` }, box, el("span", {}, name(text)));
}

/** Show a model's blocks, grouped by the module that holds them; `then` is called at each switch. A new version of the same model keeps its switches. */
export function show(model, then) {
  const blocks = model.blocks ?? [];
  const off = new Set(model.name === shown ? disabled() : []);
  [changed, shown] = [then, model.name];
  const groups = new Map();
  for (const block of blocks) {
    const path = block.module ?? block.name;
    const group = path.slice(0, Math.max(0, path.lastIndexOf(".")));
    groups.set(group, [...(groups.get(group) ?? []), block]);
  }
  byId("groups").replaceChildren(...[...groups].map(([group, members]) =>
    el("div", { class: "group", role: "group", "aria-label": group || "blocks" },
      el("p", { class: "where" }, group ? name(group) : ""), el("div", { class: "switches" }, ...members.map((block) => one(block, group))))));
  for (const box of switches()) box.checked = !off.has(box.value);
  byId("blocks-kept").hidden = blocks.every((block) => block.removable !== false);
  byId("blocks").hidden = blocks.length === 0;
  count();
}

byId("groups").addEventListener("change", () => {
  count();
  changed();
});
byId("all-on").addEventListener("click", () => {
  for (const box of switches()) box.checked = true;
  count();
  byId("groups").querySelector("input")?.focus(); // the button has just been disabled
  changed();
});
