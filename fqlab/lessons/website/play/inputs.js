// The controls of a panel as native inputs, with the labels, groups and marks of the live one.
(() => {
  "use strict";
  const fqlab = (window.fqlab = window.fqlab || {});
  const { words, number } = fqlab.states;
  let count = 0;

  function element(tag, attributes = {}, ...inside) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  }

  // One control: ``show(at)`` moves it, ``moved(at, done)`` is called when a hand does; ``done`` at the end of a drag.
  function input(control, moved) {
    const kind = control.words ? choice : control.box ? box : slider;
    const id = `fq-c-${control.name}-${count++}`;
    const made = kind(control, id, moved);
    if (control.help) made.row.title = control.help;
    made.row.dataset.control = control.name;
    return made;
  }

  function choice(control, id, moved) {
    const options = control.words.map((text, at) => element("option", { value: at }, text));
    const field = element("select", { id }, ...options);
    field.addEventListener("change", () => moved(Number(field.value), true));
    const row = element("div", { class: "fq-choice" }, element("label", { for: id }, control.title), field);
    return { row, field, show: (at) => { field.value = at; } };
  }

  function box(control, id, moved) {
    const bounds = { min: control.low, max: number(control, control.count - 1), step: control.step };
    const field = element("input", { id, type: "number", ...bounds });
    field.addEventListener("change", () => {
      const at = Math.round((Number(field.value) - control.low) / control.step);
      moved(Math.min(Math.max(at, 0), control.count - 1), true);
    });
    const row = element("div", { class: "fq-choice" }, element("label", { for: id }, control.title), field);
    return { row, field, show: (at) => { field.value = number(control, at).toFixed(control.decimals); } };
  }

  // A slider goes from stop to stop; the stops lie where the live slider's values lie, as closely as they can.
  function slider(control, id, moved) {
    const last = control.stops.length - 1;
    const field = element("input", { id, type: "range", min: 0, max: last, step: 1, list: "" });
    const value = element("output", { for: id });
    const track = element("div", { class: "fq-track" }, field);
    if (control.mark !== undefined) track.append(mark(control, last));
    const row = element("div", { class: "fq-slider" }, element("label", { for: id }, control.title), value, track);
    const say = (at) => {
      value.textContent = number(control, at).toFixed(control.decimals);
      field.setAttribute("aria-valuetext", words(control, at));
    };
    const at = () => control.stops[Number(field.value)];
    field.addEventListener("input", () => { say(at()); moved(at(), false); });
    field.addEventListener("change", () => moved(at(), true));
    const show = (to) => {
      const stop = control.stops.reduce((best, each, k) => (Math.abs(each - to) < Math.abs(control.stops[best] - to) ? k : best), 0);
      field.value = stop;
      say(to);
    };
    return { row, field, show };
  }

  function mark(control, last) {
    const at = control.stops.indexOf(control.mark) / last;
    const tip = `${control.by}: ${words(control, control.mark)}`;
    return element("span", { class: "fq-mark", style: `--at:${at.toFixed(4)}`, title: tip, "aria-hidden": "true" });
  }

  // All controls in one column, under the headings of their groups.
  function column(about, moved) {
    const made = about.controls.map((control, k) => input(control, (at, done) => moved(k, at, done)));
    const box = element("div", { class: "fq-column" });
    let heading = "";
    about.controls.forEach((control, k) => {
      if (control.group && control.group !== heading) box.append(element("h4", {}, (heading = control.group)));
      const last = box.lastElementChild;
      const open = control.half && last && last.classList.contains("fq-pair") && last.children.length < 2;
      const place = !control.half ? box : open ? last : box.appendChild(element("div", { class: "fq-pair" }));
      place.append(made[k].row);
    });
    return { box, inputs: made };
  }

  fqlab.inputs = { column, element };
})();
