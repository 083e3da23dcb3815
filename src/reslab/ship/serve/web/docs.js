// openapi.json as a page: every route with its parameters, its body, its answers, and a curl command.
import { byId, el } from "./parts.js";

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];

let whole = {};

/** What a "$ref" within the document stands for. */
function resolve(value) {
  for (let hops = 0; value && typeof value.$ref === "string" && hops < 20; hops++)
    value = value.$ref.replace(/^#\//, "").split("/").reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], whole);
  return value ?? {};
}

const isFile = (schema) => schema.format === "binary" || schema.contentMediaType !== undefined;

function type(schema, deep = 0) {
  const one = resolve(schema);
  if (one.const !== undefined) return JSON.stringify(one.const);
  if (one.enum) return one.enum.map((value) => JSON.stringify(value)).join(" | ");
  const either = one.anyOf ?? one.oneOf;
  if (either) return either.map((part) => type(part, deep)).join(" or ");
  if (one.type === "array" && deep <= 3 && type(one.items, deep + 1) === "file") return "files";
  if (one.type === "array") return `array of ${deep > 3 ? "values" : type(one.items, deep + 1)}`;
  if (isFile(one)) return "file";
  return [].concat(one.type ?? (one.properties ? "object" : "any")).join(" or ");
}

/** A value of the schema's kind: its own example or default, or one made up. */
function sample(schema, deep = 0) {
  const one = resolve(schema);
  for (const given of [one.example, one.examples?.[0], one.default, one.const, one.enum?.[0]]) if (given !== undefined && given !== null) return given;
  if (deep > 5) return null;
  const either = (one.anyOf ?? one.oneOf)?.[0];
  if (either) return sample(either, deep + 1);
  const kind = [].concat(one.type ?? (one.properties ? "object" : "string"))[0];
  if (kind === "object") return Object.fromEntries(Object.entries(one.properties ?? {}).map(([key, part]) => [key, sample(part, deep + 1)]));
  if (kind === "array") return one.items ? [sample(one.items, deep + 1)] : [];
  return { integer: 1, number: 1.5, boolean: true, null: null }[kind] ?? "text";
}

function example(media) {
  const named = Object.values(media?.examples ?? {})[0];
  return media?.example ?? resolve(named)?.value ?? sample(media?.schema);
}

/** A shell word. */
const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", `'\\''`)}'`);

function curl(method, path, parameters, body) {
  const lines = [];
  const queries = parameters.filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=${encodeURIComponent(one.example ?? sample(one.schema))}`);
  const filled = path.replace(/\{([^}]+)\}/g, (all, key) => {
    const one = parameters.find((each) => each.in === "path" && each.name === key) ?? {};
    const value = one.example ?? resolve(one.schema).example ?? resolve(one.schema).enum?.[0];
    return value === undefined ? all : encodeURIComponent(value);
  });
  const url = new URL(".", location.href).href.replace(/\/$/, "") + filled + (queries.length ? `?${queries.join("&")}` : "");
  if (whole.security?.length || whole.components?.securitySchemes) lines.push('-H "Authorization: Bearer $TOKEN"');
  const [media, content] = Object.entries(body?.content ?? {})[0] ?? [];
  if (media?.startsWith("multipart/")) {
    for (const [key, part] of Object.entries(resolve(content.schema).properties ?? {})) {
      const one = resolve(part);
      const many = one.type === "array" ? resolve(one.items) : one;
      if (isFile(many)) lines.push(`-F ${quote(`${key}=@${key === "files" ? "photo.jpg" : "FILE"}`)}`);
      else if ((resolve(content.schema).required ?? []).includes(key)) lines.push(`-F ${quote(`${key}=${sample(many)}`)}`);
    }
  } else if (media) lines.push(`-H ${quote(`Content-Type: ${media}`)}`, `-d ${quote(media.includes("json") ? JSON.stringify(example(content)) : "@FILE")}`);
  const verb = method === (media ? "post" : "get") ? "" : `-X ${method.toUpperCase()} `; // which is curl's own choice
  return [`curl ${verb}${quote(url)}`, ...lines].join(" \\\n  ");
}

function table(caption, heads, rows) {
  return rows.length ? el("div", { class: "scroll" }, el("table", { "aria-label": caption },
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell, place) => el("td", {}, place ? cell : el("code", {}, cell)))))))) : "";
}

function fields(schema) {
  const one = resolve(schema);
  return Object.entries(one.properties ?? {}).map(([key, part]) => [key, type(part), (one.required ?? []).includes(key) ? "required" : "optional", resolve(part).description ?? ""]);
}

function operation(method, path, facts, shared) {
  const parameters = [...shared, ...(facts.parameters ?? [])].map(resolve);
  const body = resolve(facts.requestBody);
  const parts = parameters.map((one) => [one.name, type(one.schema), `${one.required ? "required" : "optional"}, in the ${one.in}`, one.description ?? ""]);
  for (const content of Object.values(body.content ?? {})) parts.push(...fields(content.schema));
  const answers = Object.entries(facts.responses ?? {}).map(([status, given]) => [status, resolve(given).description ?? ""]);
  const good = Object.entries(facts.responses ?? {}).find(([status]) => status.startsWith("2"));
  const json = resolve(good?.[1])?.content?.["application/json"];
  return el("section", { class: "operation", "aria-label": `${method.toUpperCase()} ${path}` },
    el("h3", {}, `${method.toUpperCase()} ${path}`),
    ...[facts.summary, facts.description].filter(Boolean).map((text) => el("p", {}, text)),
    table("Parameters", ["name", "type", "", "what it is"], parts),
    el("pre", {}, curl(method, path, parameters, body)),
    el("details", {}, el("summary", {}, "Answers"), table("Answers", ["status", "when"], answers),
      json ? el("pre", {}, JSON.stringify(example(json), null, 2)) : ""));
}

async function start() {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  whole = await response.json();
  byId("title").textContent = whole.info?.title ?? "JSON API";
  byId("about").textContent = whole.info?.description ?? "";
  byId("paths").replaceChildren(...Object.entries(whole.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => operation(method, path, item[method], item.parameters ?? []))));
}

start().catch((error) => {
  byId("problem").textContent = `The description of the API could not be read: ${error.message}.`;
  byId("problem").hidden = false;
});
