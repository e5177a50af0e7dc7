// For instructors: the histogram of all guesses whose codes stand in a pasted text (as lessons/classroom.py).
(() => {
  "use strict";
  const { learn } = window.fqlab, { make } = learn;
  const BINS = 20, WIDE = 24, NAMED = 3, LONG = 20, MOST = 1000;

  // The guesses in a text, and a sentence about the codes that were not counted.
  function gather(item, predictions, pasted) {
    const guesses = [], bad = [], codes = learn.codes.find(pasted, MOST + 1);
    let others = 0;
    for (const code of codes.slice(0, MOST)) {
      const guess = learn.codes.read(item.id, code);
      const another = () => predictions.some(({ id }) => id !== item.id && learn.codes.read(id, code) !== null);
      if (guess !== null && item.low <= guess && guess <= item.high) guesses.push(guess);
      else if (another()) others += 1;
      else bad.push(code.length > LONG ? `${code.slice(0, LONG)}…` : code);
    }
    const more = bad.length > NAMED ? ` and ${bad.length - NAMED} more` : "";
    const parts = bad.length ? [`${bad.length} mistyped (${bad.slice(0, NAMED).join(", ")}${more})`] : [];
    if (others) parts.push(`${others} for another question`);
    if (codes.length > MOST) parts.push(`what follows the first ${MOST.toLocaleString("en")} codes`);
    return { guesses, leftOut: parts.length ? `Not counted: ${parts.join(", ")}.` : "" };
  }

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), middle = sorted.length / 2;
    return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // One bar for each whole number of a short scale of whole numbers, else twenty.
  function bins({ low, high }, guesses) {
    const whole = [...guesses, low, high].every(Number.isInteger) && high - low <= WIDE;
    const count = whole ? high - low + 1 : BINS, start = whole ? low - 0.5 : low, width = whole ? 1 : (high - low) / BINS;
    const heights = Array(count).fill(0);
    for (const guess of guesses) heights[Math.min(count - 1, Math.floor((guess - start) / width + 1e-9))] += 1;
    return { start, width, heights };
  }

  function headline(item, guesses, truth) {
    if (!guesses.length) return "No guess could be read yet";
    const said = `${learn.counted(guesses.length, "guess")}, median ${learn.withUnit(item, median(guesses), 4)}`;
    const near = guesses.filter((guess) => Math.abs(guess - truth) <= item.close).length;
    return truth === null ? said : `${said}; it is ${learn.withUnit(item, truth, 4)}, ${near} came close`;
  }

  function picture(item, guesses, truth) {
    const { start, width, heights } = bins(item, guesses), top = Math.max(3, ...heights);
    const x = (value) => 40 + (600 * (value - start)) / (width * heights.length), y = (count) => 230 - (160 * count) / top;
    const bars = heights.map((count, n) => make("rect", { class: "learn-bar", x: x(start + n * width) + 1, y: y(count),
      width: 600 / heights.length - 2, height: 230 - y(count) }));
    const label = (at, height, words, anchor, kind = "") => make("text", { x: at, y: height, "text-anchor": anchor, class: kind }, words);
    const mark = (value, height, words, kind) => {
      const right = x(value) < 400;
      return make("g", { class: kind }, make("line", { x1: x(value), x2: x(value), y1: height, y2: 230 }),
        label(x(value) + (right ? 6 : -6), height + 10, words, right ? "start" : "end"));
    };
    const marks = guesses.length ? [mark(median(guesses), 44, `class ${learn.short(median(guesses), 4)}`, "learn-median")] : [];
    if (guesses.length) marks.push(label(34, y(top) + 4, String(top), "end"));  // an empty picture has no scale
    if (truth !== null) marks.push(mark(truth, 14, `it is ${learn.short(truth, 4)}`, "learn-truth"));
    const ends = [item.low, item.high].map((value) => label(x(value), 248, learn.short(value), "middle"));
    return make("svg", { class: "learn-histogram", role: "img", viewBox: "0 0 680 256",
      "aria-label": `Histogram of guesses from ${item.low} to ${item.high}. ${headline(item, guesses, truth)}.` },
      ...bars, make("line", { x1: 40, x2: 640, y1: 230, y2: 230 }), ...marks, ...ends,
      label(340, 248, item.unit ? `guess (${item.unit})` : "guess", "middle"));
  }

  learn.parts("classroom", (section, { predictions }) => {
    const select = make("select", { "aria-label": "Question" },
      ...predictions.map((p) => make("option", { value: p.id }, `${p.id}: ${p.question}`)));
    const pasted = make("textarea", { rows: 6, "aria-label": "The chat, with codes", placeholder: "Paste the chat here: 10:41 FQ03-J0-5056 …" });
    const shown = make("input", { type: "checkbox" });
    const box = make("div", { class: "learn-poll" });
    function draw() {
      const item = predictions.find((p) => p.id === select.value), truth = shown.checked ? item.truth : null;
      const { guesses, leftOut } = gather(item, predictions, pasted.value);
      box.replaceChildren(make("p", { role: "status" }, `${headline(item, guesses, truth)}.`), picture(item, guesses, truth),
        make("p", { class: "learn-plain" }, leftOut));
    }
    for (const part of [select, pasted, shown]) part.addEventListener("input", draw);
    section.replaceChildren(make("p", {}, select), pasted, make("p", {}, make("label", {}, shown, " Show the true value")), box);
    draw();
  });

  Object.assign(learn, { gather, bins });
})();
