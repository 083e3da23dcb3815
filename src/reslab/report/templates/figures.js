"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const config = { displayModeBar: false, responsive: true, doubleClick: "autosize", scrollZoom: false };
  const USER = new Set(["name", "text", "ticktext", "x", "y", "title", "names", "meta", "customdata"]); // where names of classes, nets, runs may stand

  // plotly reads <b>, <a>, <br> in any text it draws; a class may be called that.
  const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // "@plain3" is a color of style.css, "@plain3/20" the same at 20 % opacity.
  function color(token) {
    const [name, opacity] = token.slice(1).split("/");
    const hex = getComputedStyle(root).getPropertyValue("--" + name).trim();
    if (!opacity) return hex;
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${opacity / 100})`;
  }

  // A copy of a figure's part with colors looked up and user text made harmless.
  function dress(value, key) {
    if (Array.isArray(value)) return value.map((item) => dress(item, key));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, item]) => [k, dress(item, k)]));
    if (typeof value !== "string") return value;
    if (/color/i.test(key) && value.startsWith("@")) return color(value);
    return USER.has(key) ? escape(value) : value;
  }

  // Confusion counts are stored once. The color shows the root of the share of the row, so that rare mistakes are seen:
  // the same strength for the same share, right ones in blue (below zero) and wrong ones in orange.
  function matrix(trace) {
    const { counts, names, ...rest } = trace;
    if (!counts) return trace;
    const sums = counts.map((row) => row.reduce((a, b) => a + b, 0));
    const z = counts.map((row, i) => row.map((n, j) => (i === j ? -1 : 1) * Math.sqrt(sums[i] ? n / sums[i] : 0)));
    const colorscale = [[0, color("@residual1")], [0.5, color("@card")], [1, color("@plain1")]];
    const text = counts.map((row) => row.map((n) => (n ? String(n) : "")));
    const customdata = counts.map((row, i) => row.map((n, j) => [names[i], names[j], n, sums[i]]));
    const hovertemplate = "true <b>%{customdata[0]}</b><br>predicted <b>%{customdata[1]}</b><br>" +
      "%{customdata[2]} of %{customdata[3]}<extra></extra>";
    return { ...rest, z, text, customdata, hovertemplate, colorscale, zmin: -1, zmax: 1 };
  }

  function look(plot, narrow) {
    const font = (name) => getComputedStyle(root).getPropertyValue(name).trim();
    const axis = { gridcolor: color("@grid"), linecolor: color("@rule"), tickcolor: color("@rule"), zeroline: false,
      ticks: "", ticklabelstandoff: 4, automargin: true, title: { font: { size: 12, color: color("@soft") }, standoff: 8 } };
    const base = {
      font: { family: font("--sans"), size: 12, color: color("@ink") },
      paper_bgcolor: color("@paper"), plot_bgcolor: color("@paper"),
      xaxis: { ...axis, showgrid: false, showline: true, fixedrange: narrow },
      yaxis: { ...axis, nticks: 6, fixedrange: narrow },
      hoverlabel: { bgcolor: color("@card"), bordercolor: color("@rule"), font: { color: color("@ink") }, align: "left" },
      showlegend: false,
      legend: { orientation: "h", x: 0, xanchor: "left", y: -0.2, yanchor: "top" },
      title: { x: 0, xref: "container", xanchor: "left", y: 1, yref: "container", yanchor: "top",
        pad: { t: 8, l: 2 }, font: { size: 13, weight: 600 } },
    };
    return { template: { layout: base }, hovermode: "closest", dragmode: narrow ? false : "zoom" };
  }

  // A page of dozens of figures draws each as it comes near; a printer, all that are shown.
  const lazy = "lazy" in document.getElementById("figures").dataset, near = new Set();

  function draw() {
    const paper = root.classList.contains("printing");
    for (const [id, plots] of Object.entries(figures)) if (!lazy || paper || near.has(id)) drawOne(id, plots, paper);
  }

  function drawOne(id, plots, paper) {
    const narrow = matchMedia("(max-width: 46rem)").matches; // a finger scrolls the page, it does not zoom a figure
    const places = document.querySelectorAll(`#figure-${id} .plot`);
    if (lazy && !places[0].clientWidth) return; // hidden by a filter
    near.add(id);
    plots.forEach((plot, i) => {
      const layout = dress(plot.layout, "layout");
      layout.margin = { l: 34, r: 10, t: 36, b: 40, ...layout.margin };
      layout.title = { text: escape(plot.title) };
      // plotly notices a new width too late for a printer
      Object.assign(layout, paper ? { width: places[i].clientWidth, autosize: false } : { autosize: true });
      const data = plot.data.map((trace) => matrix(dress(trace, "trace")));
      Plotly.react(places[i], data, { ...look(plot, narrow), ...layout }, config);
    });
  }

  function drawNear() {
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const id = target.id.replace("figure-", "");
        if (!isIntersecting || near.has(id)) continue;
        drawOne(id, figures[id], false);
        seen.unobserve(target);
      }
    }, { rootMargin: "600px 0px" });
    for (const id of Object.keys(figures)) seen.observe(document.getElementById("figure-" + id));
  }

  // The same numbers as the figure draws, joined on the iteration (or the class).
  function rows(plot) {
    if (plot.rows) return plot.rows;
    const grid = plot.data.find((trace) => trace.counts);
    if (grid) return [[plot.key, ...grid.names], ...grid.counts.map((row, i) => [grid.names[i], ...row])];
    const head = [plot.key], found = new Map();
    for (const trace of plot.data) {
      const flat = trace.orientation === "h";
      const [keys, columns] = [flat ? trace.y : trace.x, [[trace.meta ?? trace.name, flat ? trace.x : trace.y]]];
      if (trace.error_y) columns.push([trace.name + ", ±", trace.error_y.array]);
      for (const [name, values] of columns) {
        head.push(name);
        keys.forEach((key, j) => found.set(key, found.get(key) || []) && (found.get(key)[head.length - 2] = values[j]));
      }
    }
    const lines = [...found].map(([key, values]) => [key, ...head.slice(1).map((_, j) => values[j])]);
    if (lines.every(([key]) => typeof key === "number")) lines.sort((a, b) => a[0] - b[0]);
    const names = plot.data[0].names; // bars stand at places that have names, the first at the bottom
    return [head, ...(names ? lines.map(([at, ...rest]) => [names[at], ...rest]).reverse() : lines)];
  }

  function table(plot) {
    const box = document.createElement("div"), made = document.createElement("table");
    box.className = "scroll";
    box.tabIndex = 0;
    if (plot.title) made.createCaption().textContent = plot.title;
    const [head, ...lines] = rows(plot);
    const top = made.createTHead().insertRow(), body = made.createTBody();
    head.forEach((name, at) => {
      const cell = top.appendChild(document.createElement("th"));
      cell.scope = "col";
      cell.textContent = name;
      if (lines.every((line) => line[at] == null || typeof line[at] === "number")) cell.className = "n";
    });
    for (const line of lines) {
      const row = body.insertRow();
      for (const value of line) {
        const cell = row.insertCell();
        cell.textContent = value ?? "–";
        if (typeof value === "number") cell.className = "n";
      }
    }
    box.append(made);
    requestAnimationFrame(() => sign(box));
    return box;
  }

  for (const [id, plots] of Object.entries(figures)) {
    const place = document.getElementById("figure-" + id);
    const details = place.querySelector("details");
    details.addEventListener("toggle", () => plots.forEach((plot) => details.append(table(plot))), { once: true });
    place.querySelector(".save").addEventListener("click", () =>
      place.querySelectorAll(".plot").forEach((plot, i) => {
        const { width, height } = plot.getBoundingClientRect();
        Plotly.downloadImage(plot, { format: "svg", filename: `${id}-${i + 1}`, width, height });
      }));
  }

  // A box that scrolls says so, for as long as something of it is out of sight.
  function sign(box) {
    const line = document.createElement("p");
    line.className = "more-sign";
    line.setAttribute("aria-hidden", "true");
    box.after(line);
    const update = () => {
      const below = box.scrollHeight - box.clientHeight - box.scrollTop > 4;
      const right = box.scrollWidth - box.clientWidth - box.scrollLeft > 4;
      line.textContent = [below && "↓ more rows", right && "→ more columns"].filter(Boolean).join("  ");
      line.hidden = box.scrollHeight - box.clientHeight <= 4 && box.scrollWidth - box.clientWidth <= 4;
    };
    box.addEventListener("scroll", update, { passive: true });
    new ResizeObserver(update).observe(box);
    update();
  }

  // A page that is sent alone has the library packed inside; any other has loaded it from beside itself, or lacks it.
  async function library() {
    const packed = document.getElementById("plotly");
    if (!packed) return;
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const script = document.createElement("script");
    script.textContent = await new Response(
      new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    document.head.append(script);
  }

  // Without the library the page still has every number: the tables stand in the figures' places.
  function list() {
    root.classList.add("undrawn");
    document.querySelector(".missing").hidden = !Object.keys(figures).length;
    for (const details of document.querySelectorAll("figure details")) details.open = true;
  }

  function start() {
    if (typeof Plotly === "undefined") return list();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    matchMedia("(max-width: 46rem)").addEventListener("change", draw);
    const printing = (on) => () => { root.classList.toggle("printing", on); draw(); };
    addEventListener("beforeprint", printing(true));
    addEventListener("afterprint", printing(false));
    lazy ? drawNear() : draw();
  }

  // The heads of a sortable table are buttons: the first click sorts upward, the next downward.
  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const key = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending", sign = up ? 1 : -1;
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const numbers = "n" === head.className;
        body.append(...[...body.rows].sort((a, b) => {
          const [one, other] = [key(a, at), key(b, at)];
          return sign * (numbers ? Number(one) - Number(other) : one.localeCompare(other, undefined, { numeric: true }));
        }));
      });
    });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll(".scroll, .network").forEach(sign);
  library().catch(console.error).then(start).finally(() => {
    root.classList.add("ready");
    dispatchEvent(new Event("drawn"));
  });
})();
