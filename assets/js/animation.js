/*
 * Cells of the class `animation` show one figure after another (see course/figures/tensors.py).
 *
 * At first the first frame stands still. Once the figure is in view it plays through once, one
 * frame every STEP milliseconds, and stops at the last. Buttons play, pause and step. Readers who
 * prefer reduced motion see the first frame until they press a button. On paper, and in a deck
 * opened for printing (?print-pdf), all frames stand side by side.
 *
 * A classic script, so that it also runs in a page opened from disk.
 */
(() => {
  "use strict";
  const STEP = 1200; // ms a frame
  const printing = /print-pdf|view=print/i.test(window.location.search);
  const reduced = window.matchMedia("(prefers-reduced-motion: reduce)");

  function button(label, text, action) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", action);
    return made;
  }

  function animate(cell) {
    if (cell.classList.contains("is-animated") || cell.classList.contains("is-strip")) return;
    const frames = [...cell.querySelectorAll(".cell-output-display")].filter((each) =>
      each.querySelector("img, svg"));
    if (frames.length < 2) return;
    if (printing) {
      cell.classList.add("is-strip");
      return;
    }
    let current = 0;
    let timer = null;
    let seen = false;
    const place = document.createElement("span");
    place.className = "animation-place";
    place.setAttribute("role", "status");

    function show(frame) {
      current = (frame + frames.length) % frames.length;
      frames.forEach((each, index) => each.classList.toggle("is-current", index === current));
      place.textContent = `${current + 1} of ${frames.length}`;
    }
    function stop() {
      window.clearInterval(timer);
      timer = null;
      const ended = current === frames.length - 1;
      play.textContent = ended ? "↻ Again" : "▶ Play";
      play.setAttribute("aria-label", ended ? "Play again" : "Play");
    }
    function start() {
      if (timer !== null) return;
      if (current === frames.length - 1) show(0);
      play.textContent = "❚❚ Pause";
      play.setAttribute("aria-label", "Pause");
      timer = window.setInterval(() => {
        if (!cell.isConnected || document.hidden) return;
        show(current + 1);
        if (current === frames.length - 1) stop();
      }, STEP);
    }
    function step(by) {
      stop();
      show(current + by);
      stop();
    }

    const controls = document.createElement("div");
    controls.className = "animation-controls";
    controls.setAttribute("role", "group");
    controls.setAttribute("aria-label", "Animation");
    const play = button("Play", "▶ Play", () => (timer === null ? start() : stop()));
    controls.append(
      button("Previous frame", "◀", () => step(-1)), play,
      button("Next frame", "▶", () => step(1)), place);
    // In slides these keys would turn the page.
    controls.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) step(by);
      if (by) event.preventDefault();
      if (by || event.key === " " || event.key === "Enter") event.stopPropagation();
    });
    frames[frames.length - 1].after(controls);
    cell.classList.add("is-animated");
    show(0);
    stop();

    // It plays once, when it first comes into view; out of view it rests. A slide beside the one
    // that is shown lies at the same place, but is hidden.
    let inside = false;
    function look() {
      const visible = inside &&
        cell.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      if (visible && !seen && !reduced.matches) start();
      if (visible) seen = true;
      if (!visible && timer !== null) stop();
    }
    new IntersectionObserver((entries) => {
      inside = entries[entries.length - 1].isIntersecting;
      look();
    }, { threshold: 0.6 }).observe(controls);
    for (const name of ["ready", "slidechanged"]) {
      document.addEventListener(name, () => window.requestAnimationFrame(look));
    }
  }

  const begin = () => document.querySelectorAll(".cell.animation").forEach(animate);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
