// Arrow keys, Page Up/Down, space, Home and End go from slide to slide; what is too tall is drawn smaller.
const slides = [...document.querySelectorAll(".slide")];
const here = () => slides.reduce((best, s, i) =>
  Math.abs(s.getBoundingClientRect().top) < Math.abs(slides[best].getBoundingClientRect().top) ? i : best, 0);
const go = (i) => slides[Math.max(0, Math.min(slides.length - 1, i))].scrollIntoView();
const steps = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("summary, input, select, textarea, button, a, .fq-panel")) return;
  const ends = { Home: 0, End: slides.length - 1 };
  if (event.key in ends) go(ends[event.key]);
  else if (event.key in steps) go(here() + (event.shiftKey ? -1 : 1) * steps[event.key]);
  else return;
  event.preventDefault();
});
function fit() {
  for (const slide of slides) {
    const inner = slide.querySelector(".fit"), frame = getComputedStyle(slide);
    const room = slide.clientHeight - parseFloat(frame.paddingTop) - parseFloat(frame.paddingBottom);
    for (let size = 100; size >= 50; size -= 5) {
      inner.style.fontSize = `${size}%`;
      if (inner.scrollHeight <= room + 1) break;
    }
  }
}
addEventListener("resize", fit);
addEventListener("load", fit);
document.addEventListener("toggle", fit, true);
