// Tables of claims: a click on a head sorts, the buttons above show one verdict only.
(() => {
  "use strict";
  const { learn } = window.fqlab, { make } = learn;
  const ORDER = ["holds", "weaker", "not seen", "opposite", "not comparable", "not run"];

  const verdict = (row) => row.dataset.verdict || "";

  // What a cell sorts by: its place among the verdicts, its first number, or its text.
  function key(row, column, name) {
    if (name === "verdict") return ORDER.indexOf(verdict(row));
    const text = row.cells[column].textContent.trim(), number = parseFloat(text.replace("−", "-"));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  }

  function compare(a, b) {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1; // numbers before words
  }

  function sortable(table, head, column) {
    const name = head.textContent.trim();
    const button = make("button", { type: "button", title: `Sort by ${name}` }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row, column, name), row]);
      rows.sort(([a], [b]) => (up ? 1 : -1) * compare(a, b));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  }

  function filterable(table) {
    const rows = [...table.tBodies[0].rows];
    const found = ORDER.filter((name) => rows.some((row) => verdict(row) === name));
    if (found.length < 2) return;
    const count = (name) => rows.filter((row) => !name || verdict(row) === name).length;
    const buttons = ["", ...found].map((name) => make("button", { type: "button", "aria-pressed": String(!name), onclick: (event) => {
      for (const row of rows) row.hidden = Boolean(name) && verdict(row) !== name;
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === event.currentTarget));
    } }, `${name || "all"} ${count(name)}`));
    table.before(make("p", { class: "learn-filter", role: "group", "aria-label": "Show claims by verdict" }, ...buttons));
  }

  for (const table of document.querySelectorAll("table.claims")) {
    const heads = [...table.tHead.rows[0].cells], names = heads.map((head) => head.textContent.trim());
    for (const row of table.tBodies[0].rows) names.forEach((name, n) => { if (n && row.cells[n]) row.cells[n].dataset.label = name; });
    heads.forEach((head, n) => sortable(table, head, n));
    filterable(table);
  }
  // A link to a row that a filter hides shows all rows again.
  addEventListener("hashchange", () => {
    const row = document.getElementById(location.hash.slice(1));
    if (row?.hidden) row.closest("table").previousElementSibling.firstElementChild.click() // "all";
  });
})();
