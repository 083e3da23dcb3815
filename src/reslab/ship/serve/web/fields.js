// The fields of a row, typed as the table's encoder knows them; an empty one is a missing value.
import { el, figure, name, plural } from "./parts.js";

const MANY = 200; // values that the server lists at most
const TYPICAL = 3; // values of a column of lists that its placeholder shows

/** What a field may hold, in words. */
export function hint(field) {
  const { kind, low, high, values = [] } = field;
  if (kind === "number" && typeof low === "number" && typeof high === "number") return `${figure(low)} to ${figure(high)}`;
  if (kind === "date" && low && high) return `${low} to ${high}`;
  if (kind === "category" && values.length >= MANY) return `the ${values.length} most frequent values are listed; one that training did not have is treated as unknown`;
  if (kind === "category" && values.length) return `${plural(values.length, "known value")}; another is treated as unknown`;
  if (kind === "categories") return "several values, one on each line";
  return "";
}

/** The middle or most frequent value as it is typed; "" if none is known. The middle of whole numbers is a whole number. */
function usual({ middle, low, high, values = [] }) {
  if (typeof middle !== "number") return String(middle ?? values[0] ?? "");
  return String(Number.isInteger(low) && Number.isInteger(high) ? Math.round(middle) : Number(middle.toPrecision(6)));
}

function control(field, id) {
  const attributes = { id, name: field.name, "aria-describedby": `${id}-hint`, autocomplete: "off" };
  const placeholder = usual(field) || null;
  if (field.kind === "number") return el("input", { ...attributes, type: "text", inputmode: "decimal", placeholder });
  if (field.kind === "date") return el("input", { ...attributes, type: "text", inputmode: "numeric", placeholder: placeholder ?? "2024-01-31" });
  if (field.kind === "text") return el("textarea", { ...attributes, rows: 3 });
  if (field.kind === "categories") return el("textarea", { ...attributes, rows: 3, placeholder: (field.values ?? []).slice(0, TYPICAL).join("\n") });
  return el("input", { ...attributes, type: "text", list: `${id}-values`, placeholder });
}

/** One field: its label, control, hint, and the values to choose from. */
export function field(one, place) {
  const id = `field-${place}`;
  const values = one.kind === "category" ? [el("datalist", { id: `${id}-values` }, ...(one.values ?? []).map((value) => el("option", { value: String(value) })))] : [];
  return el("div", { class: one.kind === "text" ? "field wide" : "field" }, el("label", { for: id }, name(one.name)), control(one, id),
    el("p", { class: "note", id: `${id}-hint` }, hint(one)), ...values);
}

/** The typed value of a control; null if it is empty. Throws a sentence for a number that is none. */
export function value(one, text) {
  if (text.trim() === "") return null;
  if (one.kind === "categories") return text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (one.kind !== "number") return one.kind === "text" ? text : text.trim();
  const plain = text.trim().replace("−", "-");
  const number = Number(/^[^.,]*,\d+$/.test(plain) && !/^-?\d{1,3},\d{3}$/.test(plain) ? plain.replace(",", ".") : plain);
  if (!Number.isFinite(number)) throw new RangeError(`"${text.trim()}" is not a number.`);
  return number;
}

/** What an example writes into a control: the server's value, or the middle or most frequent one. */
export function typical(one, example) {
  const given = example && Object.hasOwn(example, one.name) ? example[one.name] : undefined;
  if (given !== undefined) return given === null ? "" : Array.isArray(given) ? given.join("\n") : String(given);
  if (one.kind === "categories") return (one.values ?? []).slice(0, 1).join("\n");
  return usual(one);
}
