// A prediction: a field and a button, then guess against truth. Once the answer is out, a guess does not count.
(() => {
  "use strict";
  const { learn } = window.fqlab, { make, progress } = learn;

  learn.parts("predict", (section, item) => {
    const label = `Your guess${item.unit ? ` (${item.unit})` : ""}`;
    const field = make("input", { type: "text", inputmode: "decimal", autocomplete: "off", size: "8", "aria-label": label,
      placeholder: `${learn.short(item.low)} … ${learn.short(item.high)}` });
    const slider = make("input", { type: "range", min: item.low, max: item.high, step: item.step, value: item.low,
      "aria-label": `${label}, slider` });
    const button = make("button", { type: "submit", disabled: true }, "This is my guess");
    const said = make("div", { class: "learn-said", role: "status" });
    const form = make("form", { class: "learn-guess" }, slider, make("span", { class: "learn-field" }, field, item.unit), button);
    field.addEventListener("input", () => { button.disabled = !field.value.trim(); });
    slider.addEventListener("input", () => { field.value = learn.short(Number(slider.value)); button.disabled = false; });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        progress.record("guesses", item.id, learn.understood(item, field.value));
      } catch (wrong) {
        said.replaceChildren(make("p", { class: "learn-wrong" }, wrong.message));
      }
    });
    section.querySelector(".learn-plain").replaceWith(form, said);
    progress.follow(() => {
      const { guesses, results } = progress.read(), guess = guesses[item.id], out = item.id in results;
      if (guess !== undefined) {
        field.value = learn.short(guess);
        slider.value = guess;
      }
      for (const part of [field, slider]) part.disabled = out;
      button.disabled = out || !field.value.trim();
      said.replaceChildren(...noted(item, guess, out));
    });
  });

  function noted(item, guess, out) {
    const yours = guess === undefined ? "" : ` Your guess was ${learn.withUnit(item, guess)}.`;
    if (out) return [make("p", {}, `The answer is out: a guess does not count now.${yours}`)];
    if (guess === undefined) return [];
    const code = learn.codes.write(item.id, guess);
    return [make("p", {}, `Noted: ${learn.withUnit(item, guess)}. Code for the class: `, make("code", {}, code))];
  }

  learn.parts("reveal", (section, item) => {
    const box = make("div", { class: "learn-answer", role: "status" });
    const button = make("button", { type: "button", onclick: () => progress.record("results", item.id, item.truth) }, "Show the answer");
    const first = make("p", { class: "learn-plain" }, "First your guess, then the answer shows.");
    section.replaceChildren(first, button, box);
    progress.follow(() => {
      const { guesses, results } = progress.read(), out = item.id in results;
      button.hidden = out;
      button.disabled = !(item.id in guesses);
      first.hidden = out || item.id in guesses;
      box.replaceChildren(...(out ? answer(item, guesses[item.id], results[item.id]) : []));
    });
  });

  function answer(item, guess, truth) {
    const is = `it is ${learn.withUnit(item, truth, 4)}`;
    const because = make("p", {}, item.because[0].toUpperCase() + item.because.slice(1));
    if (guess === undefined) return [make("p", {}, `I${is.slice(1)}.`), because];
    const off = Math.abs(guess - truth), near = off <= item.close;
    const words = near ? "close enough" : `off by ${learn.withUnit(item, off, 3)}`;
    const verdict = make("p", { class: near ? "learn-right" : "learn-off" },
      `You said ${learn.withUnit(item, guess)}, ${is}: ${words}.`);
    return [verdict, ruler(item, guess, truth), because];
  }

  // Guess and result on one scale.
  function ruler(item, guess, truth) {
    const place = (value) => 20 + (400 * (Math.min(Math.max(value, item.low), item.high) - item.low)) / (item.high - item.low);
    const mark = (value, y, words) => make("text", { x: place(value), y, "text-anchor": "middle" }, words);
    const label = `Guess ${learn.short(guess)}, result ${learn.short(truth, 4)}, on a scale from ${item.low} to ${item.high}`;
    return make("svg", { class: "learn-ruler", role: "img", "aria-label": label, viewBox: "0 0 440 54" },
      make("line", { x1: 20, x2: 420, y1: 30, y2: 30 }),
      make("circle", { cx: place(guess), cy: 30, r: 6 }), mark(guess, 16, "you"),
      make("rect", { x: place(truth) - 5, y: 25, width: 10, height: 10 }), mark(truth, 50, "it is"));
  }
})();
