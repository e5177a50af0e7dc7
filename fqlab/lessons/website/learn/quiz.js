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
    const solved = make("p", { class: "learn-right" }, "✓ Solved in the notebook.");
    section.append(solved);
    progress.follow(() => { solved.hidden = !progress.read().solved[item.id]; });
  });
})();
