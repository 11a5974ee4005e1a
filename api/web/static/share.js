"use strict";
// Improves the form that works without it: takes the code from behind the # of a printed address, and notices slips of
// the keyboard. The part behind # never leaves the browser by itself.
(() => {
  const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const same = { O: "0", I: "1", L: "1", U: "V" };
  const input = document.getElementById("code");
  const mistyped = document.getElementById("code-mistyped");

  const plain = (text) =>
    text.normalize("NFKC").toUpperCase().replace(/[\s\-‐-―_./]/g, "").replace(/[OILU]/g, (each) => same[each]);

  // The same sum over GF(32) as in vault/share_codes.py.
  const fits = (code) => {
    if (code.length !== 20 || [...code].some((each) => !alphabet.includes(each))) {
      return false;
    }
    let total = 0;
    for (const each of [...code].slice(0, 19).reverse()) {
      total = (total ^ alphabet.indexOf(each)) << 1;
      total = total & 32 ? total ^ 37 : total;
    }
    return alphabet[total] === code[19];
  };

  const look = () => {
    const code = plain(input.value);
    mistyped.hidden = code === "" || fits(code);
  };
  input.addEventListener("change", look);
  input.addEventListener("input", () => {
    if (!mistyped.hidden) {
      look();
    }
  });

  const behind = plain(decodeURIComponent(location.hash.slice(1).replace(/%(?![0-9A-Fa-f]{2})/g, "")).slice(0, 64));
  if (fits(behind)) {
    input.value = behind.match(/.{4}/g).join("-");
    history.replaceState(null, "", location.pathname + location.search);
    document.getElementById("secret").focus();
  }
})();
