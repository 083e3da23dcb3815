"use strict";
// The network's table: sort it by any column, open a block to see all that is known of it.
(() => {
  const data = JSON.parse(document.getElementById("blocks").textContent);
  const frame = document.querySelector(".network"), table = frame.querySelector("table"), body = table.tBodies[0];
  const ordered = [...body.rows]; // with the stages' headings
  const blocks = ordered.filter((row) => row.classList.contains("block"));
  const heads = [...table.tHead.rows[0].cells].filter((cell) => cell.querySelector("button"));

  function make(tag, text, parent, name) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    parent.append(element);
    return element;
  }

  // What is not known comes last, whichever way the rest is sorted.
  function sort(column, down) {
    blocks.forEach(close);
    table.classList.toggle("sorted", column >= 0 || down);
    if (column < 0) return body.append(...(down ? [...blocks].reverse() : ordered));
    const values = data.values[column];
    const places = blocks.map((_, i) => i).sort((i, j) => {
      const [a, b] = [values[i], values[j]];
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      return (down ? b - a : a - b) || i - j;
    });
    ordered.forEach((row) => row.remove());
    body.append(...places.map((i) => blocks[i]));
  }

  for (const head of heads) {
    head.querySelector("button").addEventListener("click", (event) => {
      const column = Number(event.currentTarget.dataset.column), now = head.getAttribute("aria-sort");
      const down = column < 0 ? now === "ascending" : now !== "descending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(column, down);
    });
  }

  function facts(i) {
    const list = document.createElement("dl");
    list.className = "facts";
    data.labels.forEach((label, j) => {
      const text = data.facts[i][j];
      if (text === "" || text === "–") return;
      const pair = make("div", undefined, list, text.length > 48 ? "long" : text.length > 22 ? "wide" : "");
      make("dt", label, pair);
      make("dd", text, pair);
    });
    return list;
  }

  function layers(i) {
    const rows = data.layers.rows?.[i] ?? [];
    if (!rows.length) return [];
    const box = document.createElement("div"), inner = make("table", undefined, box);
    box.className = "scroll";
    make("caption", "The layers of its branch", inner);
    const top = make("tr", undefined, make("thead", undefined, inner)), lines = make("tbody", undefined, inner);
    data.layers.head.forEach((name, j) => (make("th", name, top, j > 3 ? "n" : "").scope = "col"));
    for (const row of rows) {
      const line = make("tr", undefined, lines);
      row.forEach((text, j) => make("td", text, line, j > 3 ? "n" : ""));
    }
    return [box];
  }

  function open(row) {
    const i = blocks.indexOf(row), button = row.querySelector(".open");
    if (button.getAttribute("aria-expanded") === "true") return;
    button.setAttribute("aria-expanded", "true");
    const more = document.createElement("tr"), box = make("div", undefined, make("td", undefined, more), "inside");
    more.className = "more";
    more.firstChild.colSpan = row.cells.length;
    make("h3", button.title || button.innerText, box);
    box.append(facts(i), ...layers(i));
    row.after(more);
    const over = more.getBoundingClientRect().bottom - frame.getBoundingClientRect().bottom;
    const room = row.getBoundingClientRect().top - table.tHead.getBoundingClientRect().bottom;
    if (over > 0 && room > 0) frame.scrollTop += Math.min(over, room);
  }

  function close(row) {
    const button = row.querySelector(".open");
    if (button.getAttribute("aria-expanded") !== "true") return;
    button.setAttribute("aria-expanded", "false");
    row.nextElementSibling.remove();
  }

  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr.block");
    if (!row || String(getSelection())) return;
    row.querySelector(".open").getAttribute("aria-expanded") === "true" ? close(row) : open(row);
  });

  // A number's meaning, when the mouse rests on it.
  body.addEventListener("mouseover", (event) => {
    const cell = event.target.closest("tr.block td.n");
    if (!cell || cell.title) return;
    const row = cell.parentElement;
    const name = [...row.querySelectorAll(".at, .module")].map((part) => part.textContent).join(" ");
    cell.title = `${name}: ${cell.textContent}, ${data.columns[cell.cellIndex - 2]}`;
  });

  function follow() {
    const row = document.querySelector("tr.block:target");
    if (row) open(row), row.querySelector(".open").focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);
  follow();
})();
