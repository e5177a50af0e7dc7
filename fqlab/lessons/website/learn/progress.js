// What a learner did, in the browser's own store: the same four tables as the notebooks' progress file (lessons/store.py).
(() => {
  "use strict";
  const { learn } = window.fqlab;
  const KEY = "fqlab.progress", LONGEST = 100, LARGEST = 1_000_000;
  const KINDS = { guesses: "number", results: "number", solved: "boolean", answers: "boolean" };
  const empty = () => Object.fromEntries(Object.keys(KINDS).map((table) => [table, {}]));
  let kept = empty(); // where the browser stores nothing

  // The known tables of a decoded file; an error if one is missing or holds anything but facts.
  function checked(stored) {
    const plain = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
    if (!plain(stored)) throw new Error("no tables");
    const good = (kind) => ([name, value]) =>
      name.length <= LONGEST && typeof value === kind && (kind === "boolean" || Math.abs(value) < 1e300);
    for (const [table, kind] of Object.entries(KINDS)) {
      if (!plain(stored[table]) || !Object.entries(stored[table]).every(good(kind))) throw new Error(table);
    }
    return Object.fromEntries(Object.keys(KINDS).map((table) => [table, { ...stored[table] }]));
  }

  function read() {
    try {
      return checked(JSON.parse(localStorage.getItem(KEY)));
    } catch {
      return kept;
    }
  }

  function write(progress) {
    kept = progress;
    try {
      localStorage.setItem(KEY, JSON.stringify(progress));
    } catch { /* private windows: kept for this page */ }
    document.dispatchEvent(new CustomEvent("fqlab:progress"));
  }

  // Stores one fact; with `first` only if there is none of that name.
  function record(table, name, value, { first = false } = {}) {
    const progress = read();
    if (first && name in progress[table]) return;
    progress[table][name] = value;
    write(progress);
  }

  // Takes over a progress file; what is already here stays. An error says in one sentence why not.
  function take(text) {
    let found;
    try {
      if (text.length > LARGEST) throw new Error("too large");
      found = checked(JSON.parse(text.replace(/^\ufeff/, "")));
    } catch {
      throw new Error("This is no progress file: choose one that export_progress or this page has written.");
    }
    const here = read();
    write(Object.fromEntries(Object.keys(KINDS).map((table) => [table, { ...found[table], ...here[table] }])));
  }

  learn.progress = {
    read, record, take,
    file: () => JSON.stringify(read(), null, 1),
    forget: () => write(empty()),
    follow: (f) => { f(); document.addEventListener("fqlab:progress", f); },
  };
  addEventListener("storage", (event) => { if (event.key === KEY) document.dispatchEvent(new CustomEvent("fqlab:progress")); });
})();
