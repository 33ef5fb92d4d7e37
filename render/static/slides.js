// Slide behaviour that Quarto adds to reveal.js: footers, tab panels, and code shown step by step.

// Code with `code-line-numbers="1|3-4"`: the first step shows line 1, the next lines 3 and 4.
// Each further step is a copy of the code that appears over the one before, as a fragment.
window.CourseLineSteps = {
  id: "course-line-steps",
  init(deck) {
    const printing = /print-pdf|view=print/i.test(window.location.search);
    for (const holder of deck.getRevealElement().querySelectorAll("div.sourceCode[data-code-line-numbers]")) {
      const wanted = holder.getAttribute("data-code-line-numbers");
      holder.removeAttribute("data-code-line-numbers");
      if (!/^[\d|,-]+$/.test(wanted)) continue;
      if (printing && deck.getConfig().pdfSeparateFragments !== true) continue;
      const code = holder.querySelector("pre code");
      if (!code) continue;
      const steps = wanted.split("|");
      const copies = [code];
      let index = parseInt(code.getAttribute("data-fragment-index"), 10);
      steps.slice(1).forEach((step, position) => {
        const copy = code.cloneNode(true);
        copy.classList.add("fragment");
        copy.querySelectorAll("[id]").forEach((line) => { line.id += "-" + (position + 1); });
        if (!Number.isNaN(index)) copy.setAttribute("data-fragment-index", index++);
        code.parentNode.appendChild(copy);
        copies.push(copy);
      });
      code.removeAttribute("data-fragment-index");
      copies.forEach((copy, position) => highlight(copy, steps[position]));
    }

    function highlight(code, step) {
      const lines = Array.from(code.children).filter((line) => line.tagName === "SPAN");
      code.setAttribute("data-code-line-numbers", step);
      if (!step) return;
      code.classList.add("has-line-highlights");
      const start = parseInt(code.style.counterReset.replace(/\D+/g, ""), 10) || 0;
      for (const part of step.split(",")) {
        const [first, last] = part.split("-").map((text) => parseInt(text, 10));
        for (let line = first; line <= (last || first); line++) {
          const element = lines[line - 1 - start];
          if (element) element.classList.add("highlight-line");
        }
      }
    }
  },
};

window.CourseSlides = {
  id: "course-slides",
  init(deck) {
    const reveal = deck.getRevealElement();
    const usual = reveal.querySelector(".footer-default");
    if (usual) reveal.appendChild(usual);
    const logo = reveal.querySelector(".slide-logo");
    if (logo) reveal.appendChild(logo);
    reveal.classList.toggle("has-logo", Boolean(logo));

    function darkness(slide, element) {
      const background = deck.getSlideBackground(slide);
      for (const name of ["has-dark-background", "has-light-background"]) {
        element.classList.toggle(name, Boolean(background && background.classList.contains(name)));
      }
    }

    function footer(event) {
      reveal.querySelectorAll(":scope > .footer:not(.footer-default)").forEach((old) => old.remove());
      const slide = event.currentSlide;
      if (!slide || !usual) return;
      const own = slide.querySelector(".footer");
      usual.style.display = own || slide.getAttribute("data-footer") === "false" ? "none" : "block";
      darkness(slide, usual);
      if (own) {
        const copy = own.cloneNode(true);
        reveal.appendChild(copy);
        darkness(slide, copy);
      }
      const number = reveal.querySelector(".slide-number");
      if (number) darkness(slide, number);
    }

    if (!/print-pdf|view=print/i.test(window.location.search)) {
      deck.on("ready", footer);
      deck.on("slidechanged", footer);
    }
    coursePanels(reveal);
  },
};
