/*
 * What a person would see wrong on a page, found by measuring it. Each function returns a list
 * of sentences; an empty list means that nothing was found. Run inside the page under test.
 */
(() => {
  // Measured at rest: a fragment is whole as soon as it is shown.
  const still = document.createElement("style");
  still.textContent = "*, *::before, *::after { transition: none !important; " +
    "animation: none !important; }";
  document.head.append(still);

  const TOLERANCE = 2; // px: rounding of fractional boxes
  const CHINESE = /\p{Script=Han}/u;

  const name = (element) => {
    const text = (element.getAttribute?.("alt") || element.textContent || "")
      .trim().replace(/\s+/g, " ").slice(0, 40);
    const classes = [...element.classList].slice(0, 2).map((each) => "." + each).join("");
    return `<${element.tagName.toLowerCase()}${classes}> "${text}"`;
  };

  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
    !element.closest(".visually-hidden, .screen-reader-only, aside.notes, [aria-hidden='true']");

  /* Every visible piece of text: its element, its nearest box and its rectangles. */
  const texts = (root) => {
    const found = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const element = node.parentElement;
      if (!node.data.trim() || element.closest("script, style, template, annotation")) continue;
      if (!isShown(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const rectangles = [...range.getClientRects()].filter((r) => r.width > 0 && r.height > 0);
      if (!rectangles.length) continue;
      let box = element;
      while (box !== root && getComputedStyle(box).display.startsWith("inline")) {
        box = box.parentElement;
      }
      found.push({ node, element, box, rectangles });
    }
    return found;
  };

  const union = (rectangles) => ({
    left: Math.min(...rectangles.map((r) => r.left)),
    top: Math.min(...rectangles.map((r) => r.top)),
    right: Math.max(...rectangles.map((r) => r.right)),
    bottom: Math.max(...rectangles.map((r) => r.bottom)),
  });

  /* The rectangles of all text, by the block that holds it. */
  const blocks = (roots) => {
    const found = new Map();
    for (const root of roots) {
      for (const { box, rectangles } of texts(root)) {
        const block = box.closest("pre, svg, math") || box;
        found.set(block, [...(found.get(block) || []), ...rectangles]);
      }
    }
    return found;
  };

  const PICTURES = "img, svg, video, canvas, iframe, math";
  const pictures = (root) =>
    [...root.querySelectorAll(PICTURES)].filter(
      (each) => isShown(each) && !each.parentElement.closest("svg, math"));

  const missingImages = (root) => {
    const problems = [];
    for (const image of root.querySelectorAll("img")) {
      if (!image.complete || image.naturalWidth === 0) {
        problems.push(`missing image: ${image.getAttribute("src")?.slice(0, 80)}`);
      }
      const decoration = image.getAttribute("role") === "presentation" ||
        image.closest("[aria-hidden='true']");
      if (!image.getAttribute("alt")?.trim() && !decoration) {
        problems.push(`image without alt text: ${image.getAttribute("src")?.slice(0, 80)}`);
      }
    }
    for (const drawing of root.querySelectorAll("svg")) {
      if (drawing.parentElement.closest("svg") || drawing.closest("[aria-hidden='true']")) continue;
      const named = drawing.getAttribute("aria-label") || drawing.getAttribute("aria-labelledby") ||
        drawing.querySelector(":scope > title")?.textContent.trim();
      if (!named) problems.push("drawing (svg) without aria-label or title");
    }
    return problems;
  };

  /* Content that leaves the slide, or a box whose content is wider or higher than itself. */
  const outside = (slide, frame) => {
    const problems = [];
    const beyond = (r, what) => {
      const sides = ["left", "top", "right", "bottom"].filter((side) =>
        side === "left" || side === "top"
          ? r[side] < frame[side] - TOLERANCE
          : r[side] > frame[side] + TOLERANCE);
      if (sides.length) problems.push(`outside the slide (${sides.join(", ")}): ${what}`);
    };
    for (const [box, rectangles] of blocks([slide])) beyond(union(rectangles), name(box));
    for (const each of pictures(slide)) beyond(each.getBoundingClientRect(), name(each));
    for (const each of slide.querySelectorAll("table, .callout, .columns")) {
      if (isShown(each)) beyond(each.getBoundingClientRect(), name(each));
    }
    return problems;
  };

  const clipped = (slide) => {
    const problems = [];
    for (const element of slide.querySelectorAll("*")) {
      if (!isShown(element) || element.closest("svg, math")) continue;
      const style = getComputedStyle(element);
      const clips = /auto|scroll|hidden|clip/.test(style.overflowX + style.overflowY);
      const mustFit = element.matches("pre, .column, .cell-output, .callout, td, th");
      if (!clips && !mustFit) continue;
      const wide = element.scrollWidth - element.clientWidth;
      const high = element.scrollHeight - element.clientHeight;
      if (element.clientWidth && wide > TOLERANCE) {
        problems.push(`${wide} px wider than its box: ${name(element)}`);
      } else if (clips && element.clientHeight && high > TOLERANCE + 4) {
        problems.push(`${high} px higher than its box: ${name(element)}`);
      }
    }
    for (const table of slide.querySelectorAll("table")) {
      if (!isShown(table)) continue;
      const wide = table.getBoundingClientRect().right -
        table.parentElement.getBoundingClientRect().right;
      if (wide > TOLERANCE) {
        problems.push(`table ${Math.round(wide)} px wider than its place: ${name(table)}`);
      }
    }
    return problems;
  };

  /* Text smaller than `least` px as it appears on the screen. */
  const small = (roots, least, scale) => {
    const problems = [];
    for (const root of roots) {
      for (const { element } of texts(root)) {
        const drawing = element.closest("svg");
        const factor = drawing ? Math.abs(element.getScreenCTM().d) : scale;
        const size = parseFloat(getComputedStyle(element).fontSize) * factor;
        if (size < least - 0.05) {
          problems.push(`text of ${size.toFixed(1)} px, under ${least}: ${name(element)}`);
        }
      }
    }
    return problems;
  };

  /*
   * Boxes that lie over each other. A box is the text of one block, or a picture. Two boxes
   * may share pixels if one is inside the other or both are in an r-stack. The mark of an
   * annotation lies in the box of its code, and must only keep off the code's text.
   */
  const overlaps = (slide, others) => {
    const boxes = [...blocks([slide, ...others])]
      .filter(([element]) => !element.closest("math, svg, .r-stack"))
      .map(([element, rectangles]) => ({ element, ...union(rectangles) }));
    for (const each of pictures(slide)) {
      if (each.closest(".r-stack") || each.tagName.toLowerCase() === "math") continue;
      const { left, top, right, bottom } = each.getBoundingClientRect();
      boxes.push({ element: each, left, top, right, bottom });
    }
    const problems = [];
    for (const mark of slide.querySelectorAll("pre .code-annotation-anchor")) {
      const { left, right, top, bottom } = mark.getBoundingClientRect();
      const code = texts(mark.closest("pre")).filter(
        ({ element, rectangles }) => !element.closest(".code-annotation-anchor") &&
          rectangles.some((r) => Math.min(r.right, right) - Math.max(r.left, left) > 4 &&
            Math.min(r.bottom, bottom) - Math.max(r.top, top) > 4));
      if (code.length) problems.push(`annotation ${mark.textContent} over ${name(code[0].box)}`);
    }
    boxes.forEach((one, index) => {
      for (const two of boxes.slice(index + 1)) {
        if (one.element.contains(two.element) || two.element.contains(one.element)) continue;
        const marks = [one, two].some((each) =>
          each.element.closest(".code-annotation-anchor, .code-annotation-gutter"));
        if (marks) continue;
        const width = Math.min(one.right, two.right) - Math.max(one.left, two.left);
        const height = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
        if (width > 4 && height > 4) {
          problems.push(`overlap: ${name(one.element)} and ${name(two.element)}`);
        }
      }
    });
    return problems;
  };

  /* Chinese characters that a browser draws as an empty box, or not in the course's font. */
  const drawn = new Map();
  const pixels = (character, font) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 48;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.font = font;
    context.textBaseline = "top";
    context.fillText(character, 4, 4);
    return context.getImageData(0, 0, 48, 48).data.join("");
  };
  const isDrawn = (character, families) => {
    const key = character + families;
    if (!drawn.has(key)) {
      const font = `36px ${families}`;
      const picture = pixels(character, font);
      // U+10FFFD and U+FFFFE have no glyph in any font: they show the boxes for "no glyph".
      const boxes = ["", "\u{10FFFD}", "\u{FFFFE}"].map((each) => pixels(each, font));
      drawn.set(key, !boxes.includes(picture));
    }
    return drawn.get(key);
  };
  const chinese = (root) => {
    const problems = new Set();
    const characters = new Set();
    for (const { node, element } of texts(root)) {
      const found = [...node.data].filter((each) => CHINESE.test(each));
      if (!found.length) continue;
      const families = getComputedStyle(element).fontFamily;
      if (!families.includes("Course Kai")) {
        problems.add(`Chinese without the font Course Kai: ${name(element)}`);
      }
      for (const character of found) {
        characters.add(character);
        if (!isDrawn(character, families)) {
          problems.add(`Chinese character not drawn: ${character} in ${name(element)}`);
        }
      }
    }
    return { problems: [...problems], characters: [...characters].sort().join("") };
  };

  /* The width of the picture itself, which object-fit may make narrower than its box. */
  const shownWidth = (image) => {
    const { width, height } = image.getBoundingClientRect();
    return getComputedStyle(image).objectFit === "contain"
      ? Math.min(width, height * image.naturalWidth / image.naturalHeight) : width;
  };

  const title = (slide) => slide.querySelector("h1, h2, h3")?.textContent.trim() || "";

  window.inspectSlide = async (least) => {
    const slide = Reveal.getCurrentSlide();
    const images = [...slide.querySelectorAll("img")];
    await Promise.all(images.map((each) => each.decode().catch(() => null)));
    const frame = document.querySelector(".reveal .slides").getBoundingClientRect();
    const around = [...document.querySelectorAll(".reveal > .footer, .reveal > .slide-number")]
      .filter(isShown);
    const glyphs = chinese(slide);
    return {
      id: slide.id,
      title: title(slide),
      characters: glyphs.characters,
      drawings: pictures(slide)
        .filter((each) => /\.svg$/.test(each.currentSrc))
        .map((each) => ({ address: each.currentSrc, width: shownWidth(each), name: name(each) })),
      problems: [
        ...missingImages(slide),
        ...outside(slide, frame),
        ...clipped(slide),
        ...(least ? small([slide, ...around], least, Reveal.getScale()) : []),
        ...overlaps(slide, around),
        ...glyphs.problems,
      ],
    };
  };

  window.inspectPage = () => {
    const glyphs = chinese(document.body);
    const problems = [...missingImages(document.body), ...glyphs.problems];
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide > 0) {
      const guilty = texts(document.body)
        .filter(({ rectangles }) => union(rectangles).right > window.innerWidth)
        .map(({ element }) => name(element));
      problems.push(
        `the page is ${wide} px wider than the window of ${window.innerWidth} px; ` +
        `look at ${guilty[0] || "its boxes"}`);
    }
    return { characters: glyphs.characters, problems };
  };
})();
