// What a learner typed as a guess, as a number: 50, 60 %, 93,5 (the rules of lessons/number.py).
(() => {
  "use strict";
  const { learn } = window.fqlab;
  const LONGEST = 40;
  const THOUSANDS = /^-?\d{1,3}(,\d{3})+(\.\d*)?$/, NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/;

  // A number within the question's range; an error that says what is allowed.
  learn.understood = (item, typed) => {
    const unit = item.unit.toLowerCase();
    let text = typed.trim().replaceAll("−", "-").toLowerCase();
    for (const ending of [unit, unit.replace(/s$/, ""), unit === "×" ? "x" : unit]) {
      if (ending && text.endsWith(ending)) text = text.slice(0, -ending.length).trim();
    }
    text = THOUSANDS.test(text) ? text.replaceAll(",", "") : text.replaceAll(",", ".");
    const range = `from ${learn.short(item.low)} to ${learn.short(item.high)}`, number = Number(text);
    if (typed.length > LONGEST || !NUMBER.test(text) || !Number.isFinite(number)) {
      throw new Error(`A guess is one number ${range}.`);
    }
    if (item.unit === "%" && number > 0 && number < 1 && !typed.includes("%")) {
      throw new Error(`Do you mean ${learn.short(100 * number)} %? Then write ${learn.short(100 * number)}.`);
    }
    if (number < item.low || number > item.high) throw new Error(`Your guess is ${learn.short(number)}, but must be ${range}.`);
    return number;
  };
})();
