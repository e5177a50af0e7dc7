// Questions that answer with feedback and keep the first answer; hints that unfold one by one.
(() => {
  "use strict";
  const { learn } = window.fqlab, { make, progress } = learn;

  learn.parts("quiz", (section, item) => {
    const said = make("p", { class: "learn-said", role: "status" });
    const buttons = item.options.map((option) =>
      make("button", { type: "button", "aria-pressed": "false", onclick: (event) => pick(option, event.currentTarget) }, option.text));
    let first = null;

    function pick(option, button) {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      button.classList.add(option.right ? "learn-right" : "learn-wrong");
      const again = (first || item.id in progress.read().answers) && first !== option;
      first = first || option;
      progress.record("answers", item.id, option.right, { first: true });
      said.textContent = `${option.right ? "✓" : "✗"} ${option.feedback}${again ? " Your first answer counts." : ""}`;
    }

    section.querySelector(".learn-options").replaceChildren(...buttons);
    section.append(said);
    const before = progress.read().answers[item.id];
    if (before !== undefined) said.textContent = before ? "✓ Answered right before." : "✗ Answered before; another option is right.";
  });

  learn.parts("exercise", (section, item) => {
    const hints = [...section.querySelectorAll(".learn-hints details")];
    hints.forEach((hint, n) => {
      hint.hidden = n > 0;
      hint.addEventListener("toggle", () => { if (hint.open && hints[n + 1]) hints[n + 1].hidden = false; });
    });
    const solved = make("p", { class: "learn-right" }, "✓ Solved.");
    section.append(solved);
    if ("value" in item) section.querySelector(".learn-hints").before(...onPaper(item));
    progress.follow(() => { solved.hidden = !progress.read().solved[item.id]; });
  });

  // An exercise on paper: its answer is one number, or a fraction such as 1/6.
  function onPaper(item) {
    const field = make("input", { type: "text", size: 10, autocomplete: "off", "aria-label": "Your answer" });
    const said = make("p", { class: "learn-said", role: "status" });
    const form = make("form", { class: "learn-guess" }, field, make("button", { type: "submit" }, "Check"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const answer = read(field.value), near = (value) => Math.abs(answer - value) <= item.tolerance + 1e-6 * Math.abs(value);
      const mistake = item.mistakes.find(([value]) => near(value));
      if (Number.isNaN(answer)) said.textContent = "An answer is one number, or a fraction such as 1/6.";
      else if (!near(item.value)) said.textContent = `✗ ${mistake ? mistake[1] : `${learn.short(answer)} is not it.`}`;
      else {
        said.textContent = `✓ Right. ${item.then}`;
        progress.record("solved", item.id, true);
      }
    });
    return [form, said];
  }

  function read(text) {
    const parts = text.trim().replaceAll("−", "-").replaceAll(",", ".").split("/");
    const [above, below = 1] = parts.map((part) => (part.trim() ? Number(part) : NaN));
    return parts.length <= 2 && Number.isFinite(above / below) ? above / below : NaN;
  }
})();
