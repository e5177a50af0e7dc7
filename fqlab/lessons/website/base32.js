// Numbers in base 32 (Crockford's alphabet) and their checksum: what tickets and codes are made of, as in panels/ticket.py.
(() => {
  "use strict";
  const fqlab = (window.fqlab = window.fqlab || {});
  const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

  // The CRC-32 of a text; ``before`` is that of what stands in front of it.
  function crc32(text, before = 0) {
    let crc = ~before;
    for (const byte of new TextEncoder().encode(text)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
  }

  // A whole number, 0 or more, with ``least`` digits or more.
  function spell(number, least = 1) {
    let text = "";
    for (let rest = BigInt(number); rest || text.length < least; rest /= 32n) text = ALPHABET[Number(rest % 32n)] + text;
    return text;
  }

  // The BigInt that a text spells, with I, L, O read as 1, 1, 0; null if it spells none.
  function value(text) {
    const digits = [...text.toUpperCase().replace(/[IL]/g, "1").replace(/O/g, "0")].map((digit) => ALPHABET.indexOf(digit));
    return digits.length && !digits.includes(-1) ? digits.reduce((number, digit) => 32n * number + BigInt(digit), 0n) : null;
  }

  fqlab.base32 = { crc32, spell, value };
})();
