// What the scripts of learning share: they hang on fqlab.learn, know no server, and change a page that reads well without them.
(() => {
  "use strict";
  const fqlab = (window.fqlab = window.fqlab || {});
  const learn = (fqlab.learn = {});

  // make("button", { type: "button", onclick: f }, "text", element): an element with attributes, listeners and children.
  learn.make = (tag, attributes = {}, ...inside) => {
    const svg = ["svg", "line", "circle", "rect", "text", "g"].includes(tag);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (typeof value === "boolean") made.toggleAttribute(name, value);
      else made.setAttribute(name, value);
    }
    made.append(...inside);
    return made;
  };

  // Runs f(section, item) for every part of a kind, as written by learn/asking.py.
  learn.parts = (kind, f) => {
    for (const section of document.querySelectorAll(`.learn-${kind}`)) f(section, JSON.parse(section.dataset.item));
  };

  // A number to so many significant digits, without idle zeros: 2.5, 99.39.
  learn.short = (value, digits = 6) => String(Number(value.toPrecision(digits)));
  learn.withUnit = (item, value, digits) => learn.short(value, digits) + (item.unit ? ` ${item.unit}` : "");
  learn.counted = (number, thing) => `${number} ${thing}${number === 1 ? "" : thing.endsWith("s") ? "es" : "s"}`;
})();
