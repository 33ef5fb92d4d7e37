/*
 * The kernel explorer: a photo, a 3 x 3 kernel that can be changed, and the result at once.
 *
 * Every element of the class `kernel-explorer` becomes one; `data-kernel` names the kernel that it
 * starts with. The photo comes from kernel-explorer-photo.js, which must be loaded first.
 * Both are classic scripts, so that they also run in a page opened from disk.
 *
 * Output pixel (row, column) is the sum over i and j of
 *     kernel[i][j] * photo[row + i][column + j],
 * without flipping the kernel and without padding, so the result is two pixels smaller each way.
 * It is shown rounded, and cut off below 0 (black) and above 255 (white).
 */
(() => {
  "use strict";

  const KERNELS = {
    identity: ["Identity", [0, 0, 0, 0, 1, 0, 0, 0, 0]],
    blur: ["Blur", [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625]],
    sharpen: ["Sharpen", [0, -1, 0, -1, 5, -1, 0, -1, 0]],
    outline: ["Outline", [-1, -1, -1, -1, 8, -1, -1, -1, -1]],
    emboss: ["Emboss", [-2, -1, 0, -1, 1, 1, 0, 1, 2]],
    vertical: ["Vertical edges", [-1, 0, 1, -2, 0, 2, -1, 0, 1]],
    horizontal: ["Horizontal edges", [-1, -2, -1, 0, 0, 0, 1, 2, 1]],
  };
  const OWN = "own";
  const PLACES = ["upper left", "upper middle", "upper right", "middle left", "centre",
    "middle right", "lower left", "lower middle", "lower right"];

  /** Bytes of a base64 text. */
  function bytes(text) {
    const raw = window.atob(text);
    const result = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) result[i] = raw.charCodeAt(i);
    return result;
  }

  /**
   * Slide a 3 x 3 kernel over a grey photo.
   * photo: Uint8Array or Float32Array of width * height levels, row by row.
   * kernel: nine numbers, row by row.
   * out: Float32Array of (width - 2) * (height - 2), filled and returned.
   */
  function correlate(photo, width, height, kernel, out) {
    const [a, b, c, d, e, f, g, h, i] = kernel;
    let k = 0;
    for (let row = 0; row < height - 2; row++) {
      let p = row * width;
      let q = p + width;
      let r = q + width;
      for (const end = p + width - 2; p < end; p++, q++, r++) {
        out[k++] = a * photo[p] + b * photo[p + 1] + c * photo[p + 2] +
          d * photo[q] + e * photo[q + 1] + f * photo[q + 2] +
          g * photo[r] + h * photo[r + 1] + i * photo[r + 2];
      }
    }
    return out;
  }

  /** A number as it is written in a sum: a true minus sign, no more digits than it needs. */
  function written(value) {
    return String(Math.round(value * 10000) / 10000).replace("-", "−");
  }

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  let count = 0;

  class Explorer {
    constructor(root, photo) {
      this.root = root;
      this.photo = bytes(photo.pixels);
      this.width = photo.width;
      this.height = photo.height;
      this.out = new Float32Array((photo.width - 2) * (photo.height - 2));
      this.row = Math.floor(photo.start[0] * this.height);
      this.column = Math.floor(photo.start[1] * this.width);
      this.waiting = false;
      this.number = ++count;
      this.build(photo);
      this.choose(root.dataset.kernel in KERNELS ? root.dataset.kernel : "identity");
      this.draw();
    }

    build(photo) {
      const root = this.root;
      root.replaceChildren();
      root.classList.add("is-ready");
      root.setAttribute("role", "group");
      root.setAttribute("aria-label", "Kernel explorer");
      // A finger that moves over the picture must not turn the slide.
      root.setAttribute("data-prevent-swipe", "");

      const chooser = make("label", "explorer-chooser", "Kernel ");
      this.select = make("select");
      for (const [key, [name]] of Object.entries(KERNELS)) {
        this.select.append(new Option(name, key));
      }
      this.select.append(new Option("Your own", OWN));
      this.select.addEventListener("change", () => {
        if (this.select.value !== OWN) this.choose(this.select.value);
      });
      chooser.append(this.select);

      this.grid = make("div", "explorer-kernel");
      this.grid.setAttribute("role", "group");
      this.grid.setAttribute("aria-label", "Weights of the kernel");
      this.inputs = PLACES.map((place) => {
        const input = make("input");
        input.type = "number";
        input.step = "any";
        input.setAttribute("aria-label", `Weight, ${place}`);
        input.addEventListener("input", () => {
          this.select.value = OWN;
          this.later();
        });
        this.grid.append(input);
        return input;
      });

      const middle = make("div", "explorer-middle");
      middle.append(chooser, this.grid);
      this.input = this.picture("Photo", this.width, this.height, 3, photo.alt, "explorer-photo");
      this.output = this.picture("Result", this.width - 2, this.height - 2, 1,
        "", "explorer-result");
      this.watch(this.output.stage, 0);
      this.watch(this.input.stage, 1);

      const row = make("div", "explorer-row");
      row.append(this.input.figure, middle, this.output.figure);

      this.pixels = make("div", "explorer-pixels");
      this.pixels.setAttribute("aria-hidden", "true");
      this.cells = PLACES.map(() => this.pixels.appendChild(make("span")));
      this.sum = make("p", "explorer-sum");
      this.sum.setAttribute("role", "status");
      const below = make("div", "explorer-below");
      const hint = make("p", "explorer-hint",
        "Point at a picture, or use the arrow keys on the result. Change any weight.");
      below.append(this.pixels, this.sum, hint);
      root.append(row, below);

      // Keys typed here are for the explorer; Escape still leaves it.
      root.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") event.stopPropagation();
      });

      const image = this.input.context.createImageData(this.width, this.height);
      this.photo.forEach((level, i) => image.data.set([level, level, level, 255], 4 * i));
      this.input.context.putImageData(image, 0, 0);
      this.image = this.output.context.createImageData(this.width - 2, this.height - 2);
      this.image.data.fill(255);
    }

    /** A titled canvas with a mark that frames `side` x `side` of its pixels. */
    picture(title, width, height, side, alt, className) {
      const figure = make("figure", `explorer-picture ${className}`);
      const stage = make("div", "explorer-stage");
      const canvas = make("canvas");
      canvas.width = width;
      canvas.height = height;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", alt || "The photo after the kernel");
      const mark = make("span", "explorer-mark");
      mark.style.width = `${(100 * side) / width}%`;
      mark.style.height = `${(100 * side) / height}%`;
      stage.append(canvas, mark);
      figure.append(make("figcaption", "", title), stage);
      return { figure, stage, canvas, mark, width, height,
        context: canvas.getContext("2d") };
    }

    /** Choose a pixel by pointer or by arrow keys; `shift` is from footprint centre to corner. */
    watch(stage, shift) {
      const place = stage.querySelector("canvas");
      const point = (event) => {
        const box = place.getBoundingClientRect();
        this.move(
          Math.floor(((event.clientY - box.top) / box.height) * place.height) - shift,
          Math.floor(((event.clientX - box.left) / box.width) * place.width) - shift);
      };
      stage.addEventListener("pointermove", point);
      stage.addEventListener("pointerdown", point);
      if (shift) return;
      stage.tabIndex = 0;
      stage.setAttribute("role", "application");
      stage.setAttribute("aria-label",
        "Result: choose a pixel with the arrow keys, ten at a time with Shift");
      stage.addEventListener("keydown", (event) => {
        const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
        if (!(event.key in by)) return;
        event.preventDefault();
        const [down, right] = by[event.key];
        const far = event.shiftKey ? 10 : 1;
        this.move(this.row + far * down, this.column + far * right);
      });
    }

    get kernel() {
      return this.inputs.map((input) => (Number.isFinite(input.valueAsNumber)
        ? input.valueAsNumber : 0));
    }

    choose(key) {
      this.select.value = key;
      KERNELS[key][1].forEach((weight, i) => {
        this.inputs[i].value = weight;
      });
      this.later();
    }

    move(row, column) {
      this.row = Math.max(0, Math.min(this.height - 3, row));
      this.column = Math.max(0, Math.min(this.width - 3, column));
      this.later();
    }

    /** Draw before the next frame of the screen, once however much has changed. */
    later() {
      if (this.waiting) return;
      this.waiting = true;
      window.requestAnimationFrame(() => {
        this.waiting = false;
        this.draw();
      });
    }

    draw() {
      const kernel = this.kernel;
      const key = kernel.join(" ");
      if (key !== this.drawn) {
        correlate(this.photo, this.width, this.height, kernel, this.out);
        const data = this.image.data;
        // A clamped array rounds and cuts off at 0 and 255 by itself.
        for (let i = 0, k = 0; i < this.out.length; i++, k += 4) {
          data[k] = data[k + 1] = data[k + 2] = this.out[i];
        }
        this.output.context.putImageData(this.image, 0, 0);
        this.drawn = key;
      }
      this.mark(this.input);
      this.mark(this.output);
      this.explain(kernel);
    }

    mark({ mark, width, height }) {
      mark.style.left = `${(100 * this.column) / width}%`;
      mark.style.top = `${(100 * this.row) / height}%`;
    }

    /** The pixels below the footprint, and the sum written out. */
    explain(kernel) {
      const levels = [];
      let total = 0;
      for (let i = 0; i < 9; i++) {
        const level = this.photo[(this.row + Math.floor(i / 3)) * this.width +
          this.column + (i % 3)];
        levels.push(level);
        total += level * kernel[i];
        this.cells[i].textContent = level;
        this.cells[i].style.backgroundColor = `rgb(${level} ${level} ${level})`;
        // From grey 118 on black stands out more than white; either has a contrast over 4.5.
        this.cells[i].style.color = level > 117 ? "#000000" : "#ffffff";
      }
      const terms = levels.map((level, i) =>
        `${level} × ${kernel[i] < 0 ? `(${written(kernel[i])})` : written(kernel[i])}`);
      const shown = Math.max(0, Math.min(255, Math.round(total)));
      const lines = [0, 3, 6].map((i) => terms.slice(i, i + 3).join(" + "));
      this.sum.replaceChildren();
      lines.forEach((line, i) => this.sum.append(make("span", "", line + (i < 2 ? " +" : ""))));
      this.sum.append(make("span", "explorer-total", `= ${written(total)}` +
        (shown === total ? "" : `, shown as ${shown}`)));
    }
  }

  const begin = () => {
    const photo = window.CourseKernelPhoto;
    if (!photo) return;
    for (const root of document.querySelectorAll(".kernel-explorer:not(.is-ready)")) {
      root.explorer = new Explorer(root, photo);
    }
  };
  window.CourseKernelExplorer = { KERNELS, bytes, correlate };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
