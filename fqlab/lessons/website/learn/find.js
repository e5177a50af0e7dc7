// Search over all pages: MiniSearch and the text of the site come in search.js, which loads when somebody wants to search.
(() => {
  "use strict";
  const { learn } = window.fqlab, { make } = learn;
  const MOST = 8, AROUND = 70;
  const form = document.querySelector(".find");
  if (!form) return;
  const field = form.querySelector("input"), list = make("ul", { class: "find-found", hidden: true });
  const said = make("span", { class: "find-said", role: "status" });
  form.append(list, said);
  let index = null, sections = [], asked = false;

  learn.searchable = (found) => {
    sections = found;
    index = new MiniSearch({ fields: ["heading", "page", "text"], searchOptions:
      { boost: { heading: 4, page: 2 }, prefix: true, fuzzy: 0.15, combineWith: "AND" } });
    index.addAll(sections.map((section, id) => ({ id, ...section })));
    look();
  };

  function fetchOnce() {
    if (asked) return;
    asked = true;
    document.head.append(make("script", { src: `${form.dataset.root}search.js` }));
  }

  function look() {
    const query = field.value.trim();
    const hits = index && query ? index.search(query).slice(0, MOST) : [];
    list.replaceChildren(...hits.map(entry));
    list.hidden = !hits.length;
    said.textContent = index && query ? `${learn.counted(hits.length, "result")}` : "";
    said.hidden = hits.length > 0;
  }

  function entry(hit) {
    const { url, page, heading, text } = sections[hit.id], at = text.toLowerCase().search(new RegExp(hit.terms.map(escaped).join("|")));
    const from = Math.max(0, at - AROUND), piece = `${from ? "…" : ""}${text.slice(from, from + 2 * AROUND)}…`;
    return make("li", {}, make("a", { href: form.dataset.root + url }, make("b", {}, heading || page),
      make("small", {}, heading && heading !== page ? page : ""), make("span", {}, piece)));
  }

  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  field.addEventListener("focus", fetchOnce);
  field.addEventListener("input", () => { fetchOnce(); look(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); list.querySelector("a")?.click(); });
  form.addEventListener("keydown", (event) => {
    const places = [field, ...list.querySelectorAll("a")], here = places.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && places[here + step]) { places[here + step].focus(); event.preventDefault(); }
    if (event.key === "Escape") { field.value = ""; look(); field.focus(); }
  });
  document.addEventListener("click", (event) => { if (!form.contains(event.target)) list.hidden = true; });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
    field.focus();
    event.preventDefault();
  });
})();
