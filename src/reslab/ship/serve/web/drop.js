// Files come in by the button, by dropping files or folders anywhere on the page, and by pasting.
import { byId } from "./parts.js";

/** All files of a dropped entry, those in folders included; hidden ones are left out. */
export async function within(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const files = [];
  for (let part; (part = await new Promise((done, fail) => reader.readEntries(done, fail))).length;) // about 100 at a time
    for (const one of part) if (!one.name.startsWith(".")) files.push(...(await within(one)));
  return files;
}

async function dropped(transfer) {
  const plain = [...transfer.files]; // both are emptied once this event is over
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return plain;
  const found = await Promise.all(entries.map((entry) => within(entry).catch(() => [])));
  return found.flat();
}

/** Call `add(files)` for every file that arrives while `open()` is true. */
export function accept(open, add) {
  const zone = byId("drop");
  const input = byId("files");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return false;
    event.preventDefault(); // otherwise the browser leaves the page for the file
    return open();
  };
  document.addEventListener("dragover", (event) => {
    const taken = over(event);
    if (event.dataTransfer) event.dataTransfer.dropEffect = taken ? "copy" : event.dataTransfer.dropEffect;
    zone.classList.toggle("over", taken);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? zone.classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    zone.classList.remove("over");
    if (over(event)) add(await dropped(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length && open()) add(files);
  });
}
