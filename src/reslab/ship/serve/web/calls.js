// Every request of the page goes through `call`: to this server, with its token, patient while the server is busy.

const PATIENCE = 90; // seconds after which a server that is still busy (503) is not asked again
const KEY = "reslab-token";
const SENTENCES = {
  401: "This server needs a token.", 403: "The server refuses this.", 404: "The server does not have this model any more.",
  408: "The server waited too long for the request.", 413: "This is too large for the server.",
  415: "The server does not read files of this kind.", 422: "The server cannot use this input.",
  429: "The server is busy.", 503: "The server is busy.", 504: "The server took too long.",
};

/** A request that did not succeed: one sentence for people; status 0: there was no answer; `broken`: the files at fault, if the server names them. */
export class Refused extends Error {
  constructor(sentence, status = 0, broken = []) {
    super(sentence);
    [this.status, this.broken] = [status, broken];
  }
}

let token = sessionStorage.getItem(KEY) ?? "";

export function useToken(value) {
  token = value.trim();
  sessionStorage.setItem(KEY, token);
}

export const hasToken = () => token !== "";

/** The path of a model in the API. */
export const at = (name, verb = "") => `api/models/${encodeURIComponent(name)}${verb && `/${verb}`}`;

const pause = (seconds, signal) => new Promise((done, fail) => {
  const timer = setTimeout(done, 1000 * seconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); fail(signal.reason); }, { once: true });
});

/** Seconds of a Retry-After header, which holds seconds or a date. */
function delay(header) {
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(header ?? "") ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Math.min(30, Math.max(0.2, Number.isFinite(seconds) ? seconds : 1));
}

async function refused(response) {
  const read = await response.json().catch(() => null);
  const told = typeof read?.error === "string" ? read.error.trim() : "";
  return new Refused(told || SENTENCES[response.status] || `The server failed with status ${response.status}.`, response.status, read?.broken ?? []);
}

/** Whether the server answers anything at all. */
const alive = () => fetch("api/models", { headers: headers() }).then(() => true, () => false);

const headers = () => (hasToken() ? { Authorization: `Bearer ${token}` } : {});

async function once(path, options) {
  try {
    return await fetch(path, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (options.body instanceof FormData && (await alive()))
      throw new Refused("It could not be sent: it is too large for the server, or it was changed or deleted meanwhile.", 413);
    throw new Refused("The server does not answer. Is it still running?");
  }
}

/**
 * The JSON that the server answers. `form` (multipart) or `json` is posted, otherwise it is a GET.
 * While the server is busy it is asked again after the time it names; `waiting(seconds)` hears of it.
 * Throws Refused, or an AbortError after `signal`.
 */
export async function call(path, { form = null, json = null, signal = null, waiting = () => {} } = {}) {
  const options = { headers: headers(), signal };
  if (form || json) options.method = "POST";
  if (form) options.body = form;
  if (json) Object.assign(options, { body: JSON.stringify(json), headers: { ...options.headers, "Content-Type": "application/json" } });
  const start = performance.now();
  for (;;) {
    const response = await once(path, options);
    if (response.ok) return response.json().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Refused("The server's answer was cut off or is not JSON.");
    });
    const seconds = delay(response.headers.get("Retry-After"));
    if (![429, 503].includes(response.status) || (performance.now() - start) / 1000 + seconds > PATIENCE)
      throw await refused(response);
    waiting(seconds);
    await pause(seconds, signal);
  }
}
