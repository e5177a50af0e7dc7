// States as lists of positions, one for each control: their tickets, which of them are stored, and the nearest that is.
(() => {
  "use strict";
  const fqlab = (window.fqlab = window.fqlab || {});
  const { crc32, spell, value } = fqlab.base32;
  const CHECK = 4;

  const seal = (about, number) => spell(crc32(String(number), about.seal) >>> 12, CHECK);

  function ticket(about, place) {
    const number = place.reduce((sum, at, k) => sum * BigInt(about.controls[k].count) + BigInt(at), 0n);
    return `${about.name}-${spell(number)}-${seal(about, number)}`;
  }

  // The state of a ticket or of a link that ends in one; null if it is mistyped or belongs to another panel.
  function place(about, text) {
    const bare = text.slice(text.lastIndexOf("#") + 1).replace(/\s/g, ""), dash = bare.indexOf("-");
    const code = bare.slice(dash + 1).replaceAll("-", ""), check = value(code.slice(-CHECK));
    let number = value(code.slice(0, -CHECK));
    if (bare.slice(0, dash).toLowerCase() !== about.name || number === null || check === null) return null;
    if (check !== value(seal(about, number))) return null;
    const found = [...about.controls].reverse().map((control) => {
      const at = Number(number % BigInt(control.count));
      number /= BigInt(control.count);
      return at;
    });
    return number ? null : found.reverse();
  }

  // A map from a state to the file that holds it, its number in there, and the state with a name that it starts from.
  function stored(about) {
    const all = new Map();
    const add = (found, file, number, base) => all.has(String(found)) || all.set(String(found), { place: found, file, number, base });
    about.bases.forEach((found, k) => add(found, k ? 1 : 0, k ? k - 1 : 0, k));
    about.sweeps.forEach((sweep, k) => sweep.stops.forEach((stop, number) => {
      add(about.bases[sweep.base].with(sweep.control, stop), k + 2, number, sweep.base);
    }));
    const after = 2 + about.sweeps.length;
    about.clicks.forEach(({ base, places }, k) => places.forEach((found, number) => add(found, after + k, number, base)));
    return all;
  }

  // How far a state is from another: one for each choice that differs, a part of one for a number.
  function distance(about, one, other) {
    return about.controls.reduce((sum, control, k) => {
      if (one[k] === other[k]) return sum;
      return sum + (control.words ? 1 : 0.25 + Math.abs(one[k] - other[k]) / (control.count - 1));
    }, 0);
  }

  // The stored state nearest to the wanted one; what a hand has just moved counts before everything else.
  function nearest(about, all, wanted, held = -1) {
    const exact = all.get(String(wanted));
    if (exact) return exact;
    const away = (entry) => (held < 0 ? 0 : 1000 * Math.abs(entry.place[held] - wanted[held])) + distance(about, entry.place, wanted);
    return [...all.values()].reduce((best, entry) => (away(entry) < away(best) ? entry : best));
  }

  const number = (control, at) => control.low + at * control.step;

  // A position in words, with its unit: "4 bit", "mid-rise", "1.3 × the rule's".
  function words(control, at) {
    if (control.words) return control.words[at];
    return `${number(control, at).toFixed(control.decimals)}${control.unit === "×" ? "" : " "}${control.unit}`.trim();
  }

  fqlab.states = { ticket, place, stored, nearest, words, number };
})();
