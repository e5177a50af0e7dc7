// The script files of a panel: loaded when first needed, kept from then on. A file calls fqlab.store(NAME, NUMBER, CONTENT).
(() => {
  "use strict";
  const fqlab = (window.fqlab = window.fqlab || {});
  const arrived = new Map();

  fqlab.store = (name, number, content) => arrived.set(`${name} ${number}`, content);

  class Shelf {
    constructor(name, folder) {
      this.name = name;
      this.folder = folder;
      this.files = new Map();
    }

    // The content of a file, as a promise; a file that did not arrive is asked for again the next time.
    file(number) {
      const key = `${this.name} ${number}`;
      if (!this.files.has(number)) {
        const loading = arrived.has(key) ? Promise.resolve(arrived.get(key)) : this.load(number).then(() => arrived.get(key));
        this.files.set(number, loading);
        loading.catch(() => this.files.delete(number));
      }
      return this.files.get(number);
    }

    load(number) {
      return new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${this.folder}${this.name}${number ? `-${number}` : ""}.js`;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`${script.src} could not be loaded`));
        document.head.append(script);
      });
    }

    // The address of a picture, from "FILE.NAME".
    async picture(place) {
      const [number, name] = place.split(".");
      const { pictures } = await this.file(Number(number));
      return `data:image/webp;base64,${btoa(fqlab.base85.decode(pictures[name]))}`;
    }

    // All that a state shows; a picture that was not computed for it comes from the state that it starts from, as stale.
    async state(entry, about) {
      const own = (await this.file(entry.file)).states[entry.number];
      const base = entry.base || entry.file ? await this.file(entry.base ? 1 : 0) : null;
      const behind = base ? base.states[entry.base ? entry.base - 1 : 0] : own;
      const pictures = own[0].map((row, k) => this.shown(row || behind[0][k], !row));
      const toml = own[3] ? await this.spots(own[3]) : "";
      return { entry, pictures: await Promise.all(pictures), message: own[1], off: new Set(own[2]), toml, ticket: fqlab.states.ticket(about, entry.place) };
    }

    // The spots of a picture, or a text, from "FILE.NAME"; no spots for 0.
    async spots(place) {
      if (!place) return [];
      const [number, name] = place.split(".");
      return (await this.file(Number(number))).spots[name];
    }

    async shown([place, under, alt, axes, answers, grey, greyAxes], stale) {
      const [whole, part, ghost] = await Promise.all([under || place, under && place, grey].map((at) => at && this.picture(at)));
      return { whole, part, alt, axes, ghost, greyAxes, stale, spots: await this.spots(answers) };
    }
  }

  fqlab.Shelf = Shelf;
})();
