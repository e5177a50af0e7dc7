// A panel that plays from stored states: presets, controls left, pictures right, one status line below.
(() => {
  "use strict";
  const fqlab = (window.fqlab = window.fqlab || {});
  const { states, inputs } = fqlab;
  const { element } = inputs;
  const BINDER = "https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/";
  const WIDTH = 960, HEIGHT = 560, EDGES = 16, WIDE = 720, EDGE = 20;
  const FITS = 500; // a picture that a finger can drag shrinks to a phone, a wider one is scrolled

  class Player {
    constructor(section, about, shelf) {
      this.section = section;
      this.about = about;
      this.shelf = shelf;
      this.all = states.stored(about);
      this.asked = 0;
      this.painted = 0;
      this.rest = null;
      this.now = null;
      this.build();
      this.fit();
      new ResizeObserver(() => this.fit()).observe(section.parentElement);
    }

    build() {
      const { box, inputs: made } = inputs.column(this.about, (control, at, done) => this.move(control, at, done));
      this.inputs = made;
      made.forEach((each, control) => {
        const ready = () => this.expect(control);
        for (const kind of ["focus", "pointerenter", "pointerdown"]) each.field.addEventListener(kind, ready);
      });
      box.append(this.tools());
      this.presets = this.about.presets.map((name, k) => this.preset(name, k + 1));
      this.images = this.about.rows.map((row) => row.map((kind) => frame(kind, (sides) => this.hand(sides))));
      const rows = this.images.map((row) => element("div", { class: "fq-row" }, ...row.map((image) => image.box)));
      this.status = element("p", { class: "fq-status", role: "status", "aria-live": "polite" });
      this.toml = element("span", { class: "fq-text", tabindex: "0", role: "note", "aria-label": "Experiment as TOML", hidden: "" });
      const bar = element("div", { class: "fq-bar" }, this.status, this.toml);
      const body = element("div", { class: "fq-body" }, box, element("div", { class: "fq-gallery" }, ...rows));
      this.stage = element("div", { class: "fq-stage" }, element("div", { class: "fq-presets" }, ...this.presets), body, bar);
      this.section.replaceChildren(this.stage);
    }

    preset(name, base) {
      const button = element("button", { type: "button", "aria-pressed": "false", "data-words": name }, name);
      button.addEventListener("click", () => this.go(this.about.bases[base]));
      return button;
    }

    // Ticket, reset, and the whole window for a projector.
    tools() {
      const id = `fq-ticket-${this.about.name}`;
      this.field = element("input", { id, type: "text", spellcheck: "false", autocomplete: "off", title: "Copy it; paste one, or a link, and press Enter" });
      this.field.addEventListener("change", () => this.paste(this.field.value));
      const reset = element("button", { type: "button" }, "Reset");
      reset.addEventListener("click", () => this.go(this.about.bases[0]));
      const large = element("button", { type: "button", "aria-pressed": "false", title: "As large as the window, for a projector" }, "Large");
      large.addEventListener("click", () => this.enlarge(large));
      this.section.addEventListener("keydown", (event) => {
        if (event.key === "Escape" && this.section.classList.contains("fq-large")) this.enlarge(large);
      });
      const row = element("div", { class: "fq-buttons" }, reset, large);
      return element("div", { class: "fq-tools" }, element("div", { class: "fq-choice" }, element("label", { for: id }, "Ticket"), this.field), row);
    }

    // A hand moved one control; what it held before is the grey shadow until it lets go.
    move(control, at, done) {
      const wanted = (this.now ? this.now.entry.place : this.about.bases[0]).with(control, at);
      if (done && this.now && String(this.now.entry.place) === String(wanted)) {
        this.rest = this.now;
        return;
      }
      this.show(wanted, { held: control, rest: done });
    }

    // Straight to a state with a name, or of a ticket.
    go(place) {
      return this.show(place, { rest: true });
    }

    // What a hand on a picture does: a click sets controls as if by hand, a drag moves one of two.
    hand(sides) {
      return {
        click: (_, [, , , changes]) => {
          const place = changes.reduce((sum, [control, at]) => sum.with(control, at), this.now.entry.place);
          this.show(place, { held: changes[0][0] });
        },
        drag: (turn, x, y, done) => this.pull(sides, turn, x, y, done),
      };
    }

    // Stored states differ from one with a name in one control: a drag moves that of the side along which it went further.
    pull([across, down], turn, x, y, done) {
      if (turn !== this.turn) Object.assign(this, { turn, start: this.now.entry.place });
      const [side, way] = across && (!down || Math.abs(x) >= Math.abs(y)) ? [across, x] : [down, y];
      const [control, rate, wraps] = side;
      if (this.now.off.has(control)) return;
      const { count, stops } = this.about.controls[control];
      const wanted = this.start[control] + rate * way;
      const away = (stop) => (wraps ? Math.abs(((((stop - wanted) % count) + 1.5 * count) % count) - count / 2) : Math.abs(stop - wanted));
      const at = stops.reduce((best, stop) => (away(stop) < away(best) ? stop : best));
      const place = this.start.with(control, at);
      if (done || String(place) !== String(this.pulled)) this.show((this.pulled = place), { held: control, rest: done });
      this.expect(control);
    }

    paste(text) {
      if (!text.trim()) return void (this.field.value = this.now.ticket);
      const place = states.place(this.about, text);
      if (place) return this.go(place);
      this.say(`⚠ The ticket is mistyped, or belongs to another panel; one of this panel looks like ${this.now.ticket}.`);
    }

    // Shows the stored state nearest to the wanted one. A wish that a newer one has overtaken is still drawn, if nothing newer
    // was, but moves no control: the hand is ahead.
    async show(wanted, { held = -1, rest = true } = {}) {
      const turn = ++this.asked;
      const entry = states.nearest(this.about, this.all, wanted, held);
      let next, paints;
      try {
        next = await this.shelf.state(entry, this.about);
        const before = this.rest;
        paints = await Promise.all(this.images.flat().map((image, k) => image.ready(next.pictures[k], before && before.pictures[k])));
      } catch (wrong) {
        return turn === this.asked && this.say(`⚠ A file of stored states is missing: ${wrong.message}.`);
      }
      if (turn < this.painted) return;
      this.painted = turn;
      paints.forEach((paint) => paint());
      if (turn < this.asked) return;
      this.now = next;
      this.arrange(next);
      this.explain(next, wanted);
      if (rest) this.rest = next;
      const detail = { panel: this.about.name, ticket: next.ticket, settings: this.settings(next.entry.place) };
      document.dispatchEvent(new CustomEvent("fqlab:state", { detail }));
    }

    // Moves every control, the ticket and the pressed preset to where the state is.
    arrange(next) {
      this.inputs.forEach(({ show, field }, k) => {
        show(next.entry.place[k]);
        field.disabled = next.off.has(k);
      });
      this.field.value = next.ticket;
      const at = this.about.bases.findLastIndex((place) => String(place) === String(next.entry.place));
      this.presets.forEach((button, k) => button.setAttribute("aria-pressed", String(k + 1 === at)));
    }

    // The status line: what is shown; and where it is not what was wanted, what differs and how to see that.
    explain(next, wanted) {
      const stale = next.pictures.some((picture) => picture.stale) ? " The pale pictures were not computed for this setting: they show where it started." : "";
      this.say(next.message + stale);
      this.toml.textContent = next.toml.trimEnd();
      this.toml.hidden = !next.toml;
      if (String(next.entry.place) === String(wanted)) return;
      const { controls } = this.about;
      const differs = controls.map((control, k) => [control, wanted[k], next.entry.place[k]]).filter(([, want, have], k) => want !== have && !next.off.has(k));
      if (!differs.length) return; // only in what does not act here
      const list = differs.map(([control, want, have]) => `${control.label}: ${states.words(control, have)}, not ${states.words(control, want)}`);
      const exact = element("code", {}, states.ticket(this.about, wanted));
      const link = element("a", { href: BINDER + `${this.section.dataset.lesson}.ipynb`, rel: "noopener" }, "Binder");
      const note = element("span", { class: "fq-snap" }, `Nearest stored state (${list.join("; ")}). The exact one: ticket `, exact, " in ", link, ".");
      this.status.prepend(note, " ");
    }

    say(text) {
      this.status.replaceChildren(text);
    }

    settings(place) {
      return Object.fromEntries(this.about.controls.map((control, k) => [control.name, control.words ? control.words[place[k]] : states.number(control, place[k])]));
    }

    // The hand is near a control: load what moving it from here will need.
    expect(control) {
      if (!this.now) return;
      const { place } = this.now.entry;
      const files = new Set(this.about.controls[control].stops.map((stop) => this.all.get(String(place.with(control, stop)))?.file));
      for (const file of files) if (file !== undefined) this.shelf.file(file).catch(() => null);
    }

    enlarge(button) {
      const on = this.section.classList.toggle("fq-large");
      button.setAttribute("aria-pressed", String(on));
      document.documentElement.classList.toggle("fq-covered", on);
      this.fit();
    }

    // Beside each other and whole where the place is wide enough, else pictures above the controls. To the right of the text
    // a panel may use what the window has.
    fit() {
      const large = this.section.classList.contains("fq-large");
      const most = large ? Math.min((innerWidth - EDGES) / WIDTH, (innerHeight - EDGES) / HEIGHT) : Number(getComputedStyle(this.section).getPropertyValue("--fq-zoom")) || 1;
      const { left, width } = this.section.parentElement.getBoundingClientRect();
      const room = Math.min(most * WIDTH, Math.max(width, document.documentElement.clientWidth - left - EDGE));
      this.section.style.width = large ? "" : `${room}px`;
      this.section.classList.toggle("fq-narrow", room < WIDE);
      this.stage.style.zoom = room < WIDE ? "" : (large ? most : room / WIDTH).toFixed(4);
    }
  }

  async function loaded(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  }

  // One picture, laid together in its own resolution: the state that it starts from, over it what differs, and in what is
  // still light the grey shadow of the state before.
  function frame([name, width, height, sides], hand) {
    const sheet = element("canvas");
    const box = element("div", { class: `fq-picture fq-p-${name.toLowerCase()}`, style: `--w:${width}; --h:${height}`, role: "img" }, sheet);
    if (sides && width <= FITS) box.classList.add("fq-turns");
    const pointer = new fqlab.Pointer(box, hand(sides));
    async function ready(picture, before) {
      const other = before && before.ghost && before.greyAxes === picture.axes && !picture.stale;
      const grey = other && (before.whole !== picture.whole || before.part !== picture.part) ? before.ghost : null;
      const [whole, part, ghost] = await Promise.all([picture.whole, picture.part, grey].map((address) => address && loaded(address)));
      return () => {
        [sheet.width, sheet.height] = [whole.naturalWidth, whole.naturalHeight];
        const pen = sheet.getContext("2d");
        for (const layer of [whole, part]) if (layer) pen.drawImage(layer, 0, 0);
        pen.globalCompositeOperation = "darken";
        if (ghost) pen.drawImage(ghost, 0, 0);
        box.setAttribute("aria-label", picture.alt);
        box.classList.toggle("fq-before", Boolean(ghost));
        box.classList.toggle("fq-stale", picture.stale);
        pointer.show([width, height, sides, picture.spots]);
      };
    }
    return { box, ready };
  }

  const players = [];

  async function start(section) {
    const shelf = new fqlab.Shelf(section.dataset.panel, section.dataset.folder);
    try {
      const { about } = await shelf.file(0);
      const player = new Player(section, about, shelf);
      players.push(player);
      await player.go(linked(about) || states.place(about, section.dataset.start || "") || about.bases[0]);
      performance.mark("fqlab:first");
      if (linked(about)) section.scrollIntoView();
    } catch (wrong) {
      console.warn(wrong.message); // the still picture stays
    }
  }

  const linked = (about) => states.place(about, location.hash);

  function follow() {
    for (const player of players) {
      const place = linked(player.about);
      if (!place) continue;
      player.go(place);
      player.section.scrollIntoView();
    }
  }

  // A link that was followed before changes no hash.
  function again(event) {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) follow();
  }

  addEventListener("hashchange", follow);
  addEventListener("click", again);
  addEventListener("resize", () => players.forEach((player) => player.fit()));
  addEventListener("DOMContentLoaded", () => document.querySelectorAll("section.fq-panel").forEach(start));
  fqlab.players = players;
})();
