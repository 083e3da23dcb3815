"use strict";
(() => {
  // The cells of the confusion matrix open the images behind them, by a click or by the keyboard.
  const root = document.documentElement, store = document.querySelector("details.behind"), panel = document.getElementById("behind");
  const place = document.querySelector("#figure-confusion .plots"), plot = place && place.querySelector(".plot");
  if (!store || !panel || !place) return;
  const pool = Number(store.dataset.pool), sections = [...store.querySelectorAll(".cell")];
  const at = (section) => [section.dataset.true, section.dataset.predicted].map((k) => Math.floor(Number(k) / pool));

  function open(row, column) {
    const found = sections.filter((section) => at(section)[0] === row && at(section)[1] === column);
    const shown = found.map((section) => {
      const copy = section.cloneNode(true);
      copy.removeAttribute("id");
      return copy;
    });
    if (!shown.length) {
      const none = document.createElement("p");
      const { z, customdata } = plot.data[0], [a, b, n] = customdata[row][column];
      none.textContent = z[row][column] === 0 ? `No image of ${a} was predicted as ${b}.`
        : `${n} image${n === 1 ? "" : "s"} of ${a} predicted as ${b}; none of them is stored on this page.`;
      none.textContent = none.textContent.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
      shown.push(none);
    }
    panel.replaceChildren(...shown);
  }

  // Buttons over the drawn cells, for the keyboard alone: Tab reaches one of them, arrows go on to the next.
  const group = document.createElement("div"), known = new Map();
  group.className = "over";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Cells of the confusion matrix with images");
  for (const section of sections) {
    const [row, column] = at(section), key = `${row} ${column}`;
    if (known.has(key)) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = known.size ? -1 : 0;
    button.setAttribute("aria-label", section.querySelector("h4").textContent);
    button.addEventListener("click", () => open(row, column));
    known.set(key, { button, row, column });
  }
  const inOrder = [...known.values()].sort((a, b) => a.row - b.row || a.column - b.column);
  group.append(...inOrder.map((one) => one.button));
  inOrder.forEach((one, k) => { one.button.tabIndex = k ? -1 : 0; });
  group.addEventListener("keydown", (event) => {
    const here = inOrder.findIndex((one) => one.button === document.activeElement), last = inOrder.length - 1;
    const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: last }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    const next = inOrder[Math.max(0, Math.min(last, to))].button;
    inOrder[here].button.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  function lay() {
    const { xaxis, yaxis } = plot._fullLayout;
    const size = (axis) => Math.abs(axis.l2p(1) - axis.l2p(0));
    for (const { button, row, column } of inOrder) {
      const [w, h] = [size(xaxis), size(yaxis)];
      Object.assign(button.style, { left: `${plot.offsetLeft + xaxis._offset + xaxis.l2p(column) - w / 2}px`,
        top: `${plot.offsetTop + yaxis._offset + yaxis.l2p(row) - h / 2}px`, width: `${w}px`, height: `${h}px` });
    }
  }

  function start() {
    if (typeof Plotly === "undefined") return;
    place.parentElement.classList.add("covered");
    place.after(group);
    plot.on("plotly_click", ({ points: [{ pointIndex }] }) => open(...pointIndex));
    plot.on("plotly_afterplot", lay);
    lay();
  }

  // Links to a cell (in the list of mistakes) open it here, too.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#cell-"]');
    const section = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!section || typeof Plotly === "undefined") return;
    event.preventDefault();
    open(...at(section));
    panel.scrollIntoView({ block: "nearest" });
  });

  if (root.classList.contains("ready")) start();
  else addEventListener("drawn", start, { once: true });
})();
