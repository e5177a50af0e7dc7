// Arrow keys, Page Up/Down, space, Home and End go from slide to slide; what is too large is drawn smaller.
(() => {
  "use strict";
  const TYPED = "input, select, textarea"; // parts of a slide that use keys themselves
  const PRESSED = "button, summary, a"; // these use space alone: after a click on a preset a presenter's keys turn on
  const SMALLEST = 0.6; // of the size of code; a longer line is wrapped
  const slides = [...document.querySelectorAll(".slide")];
  const here = () => slides.reduce((best, s, i) =>
    Math.abs(s.getBoundingClientRect().top) < Math.abs(slides[best].getBoundingClientRect().top) ? i : best, 0);
  const go = (i) => slides[Math.max(0, Math.min(slides.length - 1, i))].scrollIntoView();
  const steps = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
  const ends = { Home: 0, End: slides.length - 1 };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPED)) return;
    if (event.key === " " && event.target.closest(PRESSED)) return;
    if (event.key in ends) go(ends[event.key]);
    else if (event.key in steps) go(here() + (event.shiftKey ? -1 : 1) * steps[event.key]);
    else return;
    event.preventDefault();
  });

  // Makes the longest line of a listing as small as needed, and wraps what would become too small to read.
  function fitLines(code) {
    code.style.fontSize = code.style.whiteSpace = "";
    if (code.scrollWidth <= code.clientWidth) return;
    const share = Math.max(SMALLEST, (0.98 * code.clientWidth) / code.scrollWidth);
    code.style.fontSize = `${share * parseFloat(getComputedStyle(code).fontSize)}px`;
    if (code.scrollWidth > code.clientWidth) code.style.whiteSpace = "pre-wrap";
  }

  function fit(slide) {
    const inner = slide.querySelector(".fit"), frame = getComputedStyle(slide);
    const room = slide.clientHeight - parseFloat(frame.paddingTop) - parseFloat(frame.paddingBottom);
    for (let size = 100; size >= 45; size -= 5) {
      inner.style.fontSize = `${size}%`;
      inner.querySelectorAll("pre").forEach(fitLines);
      if (inner.scrollHeight <= room + 1) break;
    }
  }

  // A panel is as large as a projector allows: whole at 1280 x 720, larger on more.
  function enlarge() {
    const zoom = Math.max(0.5, Math.min(innerWidth / 1280, innerHeight / 720));
    for (const panel of document.querySelectorAll(".fq-panel")) panel.style.setProperty("--fq-zoom", zoom.toFixed(3));
    window.fqlab.players.forEach((player) => player.fit());
  }

  function fitAll() {
    enlarge();
    slides.forEach(fit);
  }

  addEventListener("resize", fitAll);
  addEventListener("load", fitAll);
  document.addEventListener("fqlab:state", ({ detail }) => fit(document.getElementById(`panel-${detail.panel}`).closest(".slide")), { once: true });
  for (const event of ["toggle", "click", "load"]) {
    document.addEventListener(event, ({ target }) => { if (target.closest?.(".slide")) fit(target.closest(".slide")); }, true);
  }
})();
