"use strict";
(() => {
  // Filter and search: a claim shows where its verdict, its paper and every word of the search fit.
  const claims = [...document.querySelectorAll(".claim")], bar = document.querySelector(".filter");
  if (!bar) return;
  const [text, paper, reset, status] = ["text", "paper", "reset", "status"].map((id) => document.getElementById(`filter-${id}`));
  const buttons = [...bar.querySelectorAll("button[data-verdict]")], nothing = document.getElementById("nothing");
  const rows = new Map([...document.querySelectorAll("li.row")].map((row) => [row.dataset.claim, row]));

  function fits(claim, words, verdicts) {
    return (!verdicts.length || verdicts.includes(claim.dataset.verdict)) &&
      (!paper.value || claim.parentElement.id === paper.value) &&
      words.every((word) => claim.dataset.search.includes(word));
  }

  function apply() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = buttons.filter((one) => one.getAttribute("aria-pressed") === "true").map((one) => one.dataset.verdict);
    let shown = 0;
    for (const claim of claims) {
      const on = fits(claim, words, verdicts);
      claim.hidden = rows.get(claim.id).hidden = !on;
      shown += on;
    }
    for (const group of document.querySelectorAll(".of-paper, .paper"))
      group.hidden = !group.querySelector("li.row:not([hidden]), .claim:not([hidden])");
    nothing.hidden = shown > 0;
    reset.hidden = shown === claims.length;
    status.textContent = shown === claims.length ? `${shown} claims` : `${shown} of ${claims.length} claims`;
  }

  function clear() {
    text.value = paper.value = "";
    buttons.forEach((one) => one.setAttribute("aria-pressed", "false"));
    apply();
  }

  // A link to a claim that the filter hides takes the filter off.
  function follow() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const hidden = target && target.closest("[hidden]");
    if (!hidden) return;
    clear();
    target.scrollIntoView();
    status.textContent += "; the filter was taken off to show the linked one";
  }

  for (const one of buttons) one.addEventListener("click", () => {
    one.setAttribute("aria-pressed", String(one.getAttribute("aria-pressed") !== "true"));
    apply();
  });
  text.addEventListener("input", apply);
  paper.addEventListener("change", apply);
  reset.addEventListener("click", () => { clear(); text.focus(); });
  addEventListener("hashchange", follow);
  bar.hidden = false;
  apply();
  follow();

  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      const done = await navigator.clipboard?.writeText(code.textContent).then(() => true, () => false);
      if (!done) getSelection().selectAllChildren(code); // a browser that forbids copying: the text is marked
      button.textContent = done ? "Copied" : "Marked";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // On paper everything is open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open], .numbers)")];
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
})();
