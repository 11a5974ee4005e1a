"use strict";
// Improves the form that works without it: a file may be dropped on the frame, and progress is said aloud.
(() => {
  const form = document.getElementById("verifier-form");
  const input = form.querySelector('input[type="file"]');
  const live = form.querySelector(".live");
  const button = form.querySelector("button");
  form.querySelector(".drop-words").hidden = false;

  const tell = () => {
    live.textContent = input.files.length ? form.dataset.chosen + input.files[0].name : "";
  };
  input.addEventListener("change", tell);
  tell();

  for (const name of ["dragenter", "dragover"]) {
    form.addEventListener(name, (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    form.addEventListener(name, () => form.classList.remove("over"));
  }
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) {
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      input.files = one.files;
      tell();
      button.focus();
    }
  });
  // A file that misses the frame must not replace the page.
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => event.preventDefault());
  }
  form.addEventListener("submit", () => {
    live.textContent = form.dataset.running;
    button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", () => button.removeAttribute("aria-disabled"));
})();
