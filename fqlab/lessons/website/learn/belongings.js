// What is done so far on the course's page, and files to take it along, to a notebook or to another browser.
(() => {
  "use strict";
  const { learn } = window.fqlab, { make, progress } = learn;

  learn.parts("progress", (section, { predictions }) => {
    const summary = make("p", { role: "status" }), trouble = make("p", { class: "learn-wrong", role: "alert" });
    const file = make("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-label": "Progress file" });
    file.addEventListener("change", async () => {
      trouble.textContent = "";
      try {
        progress.take(await file.files[0].text());
      } catch (wrong) {
        trouble.textContent = wrong.message;
      }
      file.value = "";
    });
    const button = (words, onclick) => make("button", { type: "button", onclick }, words);
    const row = make("p", { class: "learn-row" }, button("Export to a file", save), button("Import a file", () => file.click()),
      button("Forget everything", () => { if (confirm("Forget all guesses and answers in this browser?")) progress.forget(); }));
    section.replaceChildren(summary, row, file, trouble);
    progress.follow(() => { summary.textContent = told(predictions, progress.read()); });
  });

  function save() {
    const address = URL.createObjectURL(new Blob([progress.file()], { type: "application/json" }));
    make("a", { href: address, download: "fqlab-progress.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  // The sentences that progress() says in a notebook.
  function told(predictions, { guesses, results, solved, answers }) {
    const right = Object.values(answers).filter(Boolean).length;
    const lines = [`Solved ${learn.counted(Object.keys(solved).length, "exercise")}, answered ${right} of ` +
      `${learn.counted(Object.keys(answers).length, "question")} right.`];
    const known = predictions.filter(({ id }) => id in guesses && id in results);
    if (known.length) {
      const off = ({ id }) => Math.abs(guesses[id] - results[id]);
      const near = known.filter((p) => off(p) <= p.close).length;
      const spread = known.reduce((sum, p) => sum + off(p) / (p.high - p.low), 0) / known.length;
      lines.push(`Of ${learn.counted(known.length, "guess")} ${near} ${near === 1 ? "was" : "were"} close; ` +
        `on average ${Math.round(100 * spread)} % of the scale away.`);
    }
    return lines.join(" ");
  }
})();
