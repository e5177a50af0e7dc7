// Codes of guesses for the class, FQ03-J0-5056: the same as lessons/code.py writes and reads.
(() => {
  "use strict";
  const { learn } = window.fqlab;
  const { crc32, spell } = window.fqlab.base32;
  const LOWEST = -32, EXPONENTS = 64, DIGITS = 6, CHECK = 4, LONGEST = 40;
  const LOOKS = /(?<![\p{L}\p{N}_])FQ\p{Nd}\p{Nd}-[\p{L}\p{N}_]+(?:-[\p{L}\p{N}_]*)?/giu;

  const value = (text) => {
    const number = window.fqlab.base32.value(text);
    return number === null ? null : Number(number);
  };

  // Six significant digits, half to even like Python: 0.04375 -> [4375, -5].
  function decimal(size) {
    if (size < 1e-20) return [0, 0];
    const [written, power] = size.toExponential(100).split("e");
    const digits = written.replace(".", ""), rest = digits.slice(DIGITS), half = "5".padEnd(rest.length, "0");
    let mantissa = Number(digits.slice(0, DIGITS)), exponent = Number(power) - DIGITS + 1;
    if (rest > half || (rest === half && mantissa % 2)) mantissa += 1;
    for (; mantissa % 10 === 0; mantissa /= 10) exponent += 1;
    return [mantissa, exponent];
  }

  const seal = (identity, number) => spell(crc32(`${identity}|${number}`) >>> 12, CHECK);

  function write(identity, guess) {
    const [mantissa, exponent] = decimal(Math.abs(guess));
    const number = (mantissa * EXPONENTS + exponent - LOWEST) * 2 + (mantissa && guess < 0 ? 1 : 0);
    return `FQ${identity.slice(0, 2)}-${spell(number)}-${seal(identity, number)}`;
  }

  // The guess that a code holds; null if it is mistyped or belongs to another question.
  function read(identity, code) {
    const [head, body = "", ...more] = code.trim().split("-"), check = more.join("-"), number = value(body);
    const fits = head.toUpperCase() === `FQ${identity.slice(0, 2)}` && number !== null && check.length === CHECK;
    if (!fits || code.length > LONGEST || value(check) !== value(seal(identity, number))) return null;
    const sign = number % 2 ? "-" : "", whole = Math.floor(number / 2), mantissa = Math.floor(whole / EXPONENTS);
    return mantissa < 10 ** DIGITS ? Number(`${sign}${mantissa}e${(whole % EXPONENTS) + LOWEST}`) : null;
  }

  // What may be a code in a text, the first ``most`` of them.
  function find(text, most) {
    const found = [];
    for (const [code] of text.matchAll(LOOKS)) if (found.push(code) === most) break;
    return found;
  }

  learn.codes = { write, read, find };
})();
