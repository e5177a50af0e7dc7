// Words of the glossary: what a word means, beside it, on hover and on focus; Escape closes it.
(() => {
  "use strict";
  const { learn } = window.fqlab;
  const box = learn.make("div", { class: "learn-meaning", hidden: true });
  document.body.append(box);
  let leaving = 0;

  function show(word) {
    clearTimeout(leaving);
    const place = word.getBoundingClientRect();
    box.innerHTML = document.getElementById(word.getAttribute("aria-describedby")).innerHTML;
    box.hidden = false;
    const left = Math.max(8, Math.min(place.left, document.documentElement.clientWidth - box.offsetWidth - 8));
    const below = place.bottom + 6 + box.offsetHeight < innerHeight;
    box.style.left = `${left}px`;
    box.style.top = `${below ? place.bottom + 6 : place.top - box.offsetHeight - 6}px`;
  }

  const hide = () => { box.hidden = true; };
  const soon = () => { leaving = setTimeout(hide, 200); }; // time to move into the box, to read or to copy

  for (const word of document.querySelectorAll("a.learn-word")) {
    for (const event of ["mouseenter", "focus"]) word.addEventListener(event, () => show(word));
    for (const event of ["mouseleave", "blur"]) word.addEventListener(event, soon);
  }
  box.addEventListener("mouseenter", () => clearTimeout(leaving));
  box.addEventListener("mouseleave", soon);
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });
})();
