
"use strict";
const MILLISECONDS = 120;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

for (const film of document.querySelectorAll(".film")) {
  const frames = film.querySelectorAll("img");
  let timer = null;

  const show = (number) => {
    const frame = (number + frames.length) % frames.length;
    film.dataset.frame = frame;
    frames.forEach((image, i) => (image.style.display = i === frame ? "block" : "none"));
  };
  const step = (by) => show(Number(film.dataset.frame) + by);
  const stop = () => {
    clearInterval(timer);
    timer = null;
    film.setAttribute("aria-pressed", "false");
  };
  const play = () => {
    timer ??= setInterval(step, MILLISECONDS, 1);
    film.setAttribute("aria-pressed", "true");
  };

  // With reduced motion it plays only after a click, a tap or a key.
  film.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "touch" && !calm.matches) play();
  });
  film.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") stop();
  });
  film.addEventListener("focus", () => {
    if (film.matches(":focus-visible") && !calm.matches) play();
  });
  film.addEventListener("blur", stop);
  // Enter, Space and a tap are clicks too.
  film.addEventListener("click", () => (timer === null ? play() : stop()));
  film.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    stop();
    step(by);
  });
  show(0);
}
