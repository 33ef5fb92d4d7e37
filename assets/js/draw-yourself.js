// "Draw it yourself": a drawing pad whose strokes the course's CNN reads while they are drawn.
//
// A classic script without dependencies, since browsers load neither modules nor data from disk.
// draw-yourself-weights.js comes first: it holds the network and the look of its training images.
//
//   strokes -> ink on paper, as the training scans look -> cut to the ink, margins added
//           -> resized as course/loaders.py does -> the network's layers -> the five likeliest
//
// Each element of class draw-yourself becomes a pad. What stands in it (a still picture) is shown
// without JavaScript and in print.
(() => {
  "use strict";

  // ------------------------------------------------------------------ the network

  /** Decode base64 to little-endian float32 numbers, whatever the machine's byte order. */
  function decodeWeights(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const numbers = new Float32Array(bytes.length / 4);
    for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(4 * i, true);
    return numbers;
  }

  /**
   * The network as a function. predict(image) takes height * width grey levels from 0 (ink) to 255
   * (paper) and returns {logits, maps, cosine}: maps holds the output of the first convolution,
   * {data, height, width, channels}, channels last; cosine is the largest one between what the
   * last layer gets and its mean over a character's training images.
   */
  function makeNetwork(source) {
    const all = typeof source.weights === "string" ? decodeWeights(source.weights) : source.weights;
    let position = 0;
    const layers = source.layers.map((layer) => {
      const arrays = layer.weights.map((part) => {
        const array = all.subarray(position, position + part.size);
        position += part.size;
        return { array, shape: part.shape };
      });
      return { ...layer, arrays };
    });
    const [height, width] = source.input;
    const directions = decodeWeights(source.familiar.directions);

    function predict(image) {
      let tensor = { data: Float32Array.from(image), height, width, channels: 1 };
      let maps = null, features = null;
      for (const layer of layers) {
        features = tensor.data;
        tensor = run(layer, tensor);
        if (!maps && layer.type === "Conv2D") maps = tensor;
      }
      return { logits: tensor.data, maps, cosine: largestCosine(features) };
    }

    /** Each direction has length one, so its product with the features is the cosine times their length. */
    function largestCosine(features) {
      const count = features.length;
      let squares = 1e-18, largest = 0;
      for (const value of features) squares += value * value;
      for (let start = 0; start < directions.length; start += count) {
        let product = 0;
        for (let i = 0; i < count; i++) product += features[i] * directions[start + i];
        largest = Math.max(largest, product);
      }
      return largest / Math.sqrt(squares);
    }
    return { predict, height, width };
  }

  function run(layer, input) {
    switch (layer.type) {
      case "Rescaling":
        return { ...input, data: input.data.map((v) => v * layer.scale + layer.offset) };
      case "Conv2D": return convolve(layer, input);
      case "MaxPooling2D": return pool(layer, input);
      case "Dense": return dense(layer, input);
      case "Flatten":
        return { data: input.data, height: 1, width: 1, channels: input.data.length };
      case "Dropout": return input; // only acts in training
      default: throw new Error(`draw-yourself.js does not know the layer ${layer.type}`);
    }
  }

  /** Cross-correlation with stride 1; zeros around the image for padding "same". */
  function convolve(layer, input) {
    const [kernel, bias] = layer.arrays;
    const [rows, columns, inputs, outputs] = kernel.shape;
    const same = layer.padding === "same";
    const up = same ? (rows - 1) >> 1 : 0;
    const back = same ? (columns - 1) >> 1 : 0;
    const height = same ? input.height : input.height - rows + 1;
    const width = same ? input.width : input.width - columns + 1;
    const data = new Float32Array(height * width * outputs);
    const source = input.data, weights = kernel.array;
    const sums = new Float64Array(outputs);
    const relu = layer.activation === "relu";
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        sums.set(bias.array);
        for (let i = 0; i < rows; i++) {
          const row = y + i - up;
          if (row < 0 || row >= input.height) continue;
          for (let j = 0; j < columns; j++) {
            const column = x + j - back;
            if (column < 0 || column >= input.width) continue;
            let from = (row * input.width + column) * inputs;
            let weight = (i * columns + j) * inputs * outputs;
            for (let c = 0; c < inputs; c++, weight += outputs) {
              const value = source[from++];
              if (value === 0) continue; // many are, after a ReLU
              for (let k = 0; k < outputs; k++) sums[k] += value * weights[weight + k];
            }
          }
        }
        const to = (y * width + x) * outputs;
        for (let k = 0; k < outputs; k++) data[to + k] = relu && sums[k] < 0 ? 0 : sums[k];
      }
    }
    return { data, height, width, channels: outputs };
  }

  function pool(layer, input) {
    const [rows, columns] = layer.size;
    const height = Math.floor(input.height / rows), width = Math.floor(input.width / columns);
    const { channels } = input;
    const data = new Float32Array(height * width * channels).fill(-Infinity);
    for (let y = 0; y < height * rows; y++) {
      for (let x = 0; x < width * columns; x++) {
        let from = (y * input.width + x) * channels;
        let to = (Math.floor(y / rows) * width + Math.floor(x / columns)) * channels;
        for (let c = 0; c < channels; c++, from++, to++) {
          if (input.data[from] > data[to]) data[to] = input.data[from];
        }
      }
    }
    return { data, height, width, channels };
  }

  function dense(layer, input) {
    const [kernel, bias] = layer.arrays;
    const [inputs, outputs] = kernel.shape;
    const sums = Float64Array.from(bias.array);
    for (let i = 0; i < inputs; i++) {
      const value = input.data[i];
      if (value === 0) continue;
      const weight = i * outputs;
      for (let k = 0; k < outputs; k++) sums[k] += value * kernel.array[weight + k];
    }
    const relu = layer.activation === "relu";
    return { data: Float32Array.from(sums, (v) => (relu && v < 0 ? 0 : v)),
      height: 1, width: 1, channels: outputs };
  }

  function softmax(logits) {
    const highest = Math.max(...logits);
    const powers = Array.from(logits, (v) => Math.exp(v - highest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((v) => v / sum);
  }

  // ------------------------------------------------------------------ resizing, as Pillow does

  /** Weights of Pillow's bicubic filter (a = -0.5), widened where an image shrinks. */
  function resizeWeights(from, to) {
    const scale = from / to, widening = Math.max(scale, 1), support = 2 * widening;
    const cubic = (v) => {
      const x = Math.abs(v);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    };
    const result = [];
    for (let i = 0; i < to; i++) {
      const centre = (i + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - support + 0.5));
      const end = Math.min(from, Math.trunc(centre + support + 0.5));
      const weights = [];
      for (let k = first; k < end; k++) weights.push(cubic((k - centre + 0.5) / widening));
      const sum = weights.reduce((a, b) => a + b, 0);
      // Pillow counts in whole numbers of 2^-22.
      const unit = 2 ** 22;
      result.push({ first, weights: weights.map((w) => {
        const share = (w / sum) * unit;
        return Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
      }) });
    }
    return result;
  }

  const toByte = (v) => Math.min(255, Math.max(0, Math.floor((v + 2 ** 21) / 2 ** 22)));

  /** Anti-aliased bicubic resize, rows first, each pass rounded to bytes: course/loaders.py. */
  function resize(image, height, width) {
    const across = resizeWeights(image.width, width);
    const narrow = new Uint8Array(image.height * width);
    for (let y = 0; y < image.height; y++) {
      for (let x = 0; x < width; x++) {
        const { first, weights } = across[x];
        let sum = 0;
        const row = y * image.width + first;
        for (let k = 0; k < weights.length; k++) sum += image.data[row + k] * weights[k];
        narrow[y * width + x] = toByte(sum);
      }
    }
    const down = resizeWeights(image.height, height);
    const data = new Uint8Array(height * width);
    for (let y = 0; y < height; y++) {
      const { first, weights } = down[y];
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += narrow[(first + k) * width + x] * weights[k];
        data[y * width + x] = toByte(sum);
      }
    }
    return { data, height, width };
  }

  // ------------------------------------------------------------------ strokes to a scan

  const INK = 200; // darker pixels count as ink, in all measures of the course
  const PAPER = 255;
  const SOFTNESS = 0.85; // standard deviation of the scanner's blur, in pixels
  const LIGHTEST = 230; // lighter grey becomes paper, as in the training scans

  /**
   * Draw strokes as a training scan: ink of the usual size, width and grey, soft at its edges, on
   * white paper with the usual margins.
   *
   * strokes: lists of [x, y], in any one unit, y downwards. Returns {data, height, width} of grey
   * levels, or null without any point.
   */
  function scan(strokes, look) {
    const points = strokes.flat();
    if (!points.length) return null;
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    const left = Math.min(...xs), top = Math.min(...ys);
    const across = Math.max(...xs) - left, down = Math.max(...ys) - top;
    // A dot or a single bar is not blown up to the size of a character.
    const longer = Math.max(across, down);
    const area = Math.max(across, longer / 3) * Math.max(down, longer / 3);
    const scale = longer > 0 ? Math.max(1, look.inkSize - look.lineWidth) / Math.sqrt(area) : 0;
    const border = Math.ceil(look.lineWidth / 2 + 3 * SOFTNESS + 1);
    const width = Math.ceil(across * scale) + 2 * border;
    const height = Math.ceil(down * scale) + 2 * border;
    const place = ([x, y]) => [(x - left) * scale + border, (y - top) * scale + border];

    // How much of each pixel a line covers, from its middle's distance to the line.
    const ink = new Float32Array(width * height);
    const radius = look.lineWidth / 2;
    for (const stroke of strokes) {
      for (let i = 0; i < stroke.length; i++) {
        cover(ink, width, height, place(stroke[Math.max(0, i - 1)]), place(stroke[i]), radius);
      }
    }
    const soft = blur(ink, width, height, SOFTNESS);
    const data = expose(soft, look.grey);
    return frame({ data, width, height }, look);
  }

  function cover(ink, width, height, [x0, y0], [x1, y1], radius) {
    const dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    const reach = radius + 1;
    const firstX = Math.max(0, Math.floor(Math.min(x0, x1) - reach));
    const lastX = Math.min(width - 1, Math.ceil(Math.max(x0, x1) + reach));
    const firstY = Math.max(0, Math.floor(Math.min(y0, y1) - reach));
    const lastY = Math.min(height - 1, Math.ceil(Math.max(y0, y1) + reach));
    for (let y = firstY; y <= lastY; y++) {
      for (let x = firstX; x <= lastX; x++) {
        const px = x + 0.5 - x0, py = y + 0.5 - y0;
        const t = square > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / square)) : 0;
        const share = radius + 0.5 - Math.hypot(px - t * dx, py - t * dy);
        const index = y * width + x;
        if (share > ink[index]) ink[index] = Math.min(1, share);
      }
    }
  }

  function blur(values, width, height, deviation) {
    const reach = Math.ceil(3 * deviation);
    const weights = [];
    for (let k = -reach; k <= reach; k++) weights.push(Math.exp(-0.5 * (k / deviation) ** 2));
    const sum = weights.reduce((a, b) => a + b, 0);
    const pass = (source, count, length, step, stride) => {
      const result = new Float32Array(source.length);
      for (let line = 0; line < count; line++) {
        for (let i = 0; i < length; i++) {
          let total = 0;
          for (let k = -reach; k <= reach; k++) {
            const j = i + k;
            if (j >= 0 && j < length) total += weights[k + reach] * source[line * stride + j * step];
          }
          result[line * stride + i * step] = total / sum;
        }
      }
      return result;
    };
    return pass(pass(values, height, width, 1, width), width, height, width, 1);
  }

  /** Choose the darkness by which the median grey of the ink is that of the training images. */
  function expose(ink, grey) {
    const sorted = ink.filter((v) => v > 0.02).sort();
    let low = 60, high = 1200;
    for (let i = 0; i < 14; i++) {
      const gain = (low + high) / 2;
      let start = 0;
      while (start < sorted.length && sorted[start] * gain < PAPER - INK) start++;
      const middle = sorted[(start + sorted.length) >> 1];
      if (start >= sorted.length || PAPER - gain * middle > grey) low = gain; else high = gain;
    }
    const gain = (low + high) / 2;
    const knee = PAPER - 0.5 * grey; // a scanner keeps its darkest pixels above black
    return Uint8Array.from(ink, (v) => {
      let dark = gain * v;
      if (dark > knee) dark = knee + 0.4 * (dark - knee);
      const level = Math.max(0, PAPER - dark);
      return level > LIGHTEST ? PAPER : Math.round(level);
    });
  }

  /** Cut an image to its ink and put margins of paper around it. */
  function frame(image, look) {
    let top = image.height, bottom = -1, left = image.width, right = -1;
    for (let y = 0; y < image.height; y++) {
      for (let x = 0; x < image.width; x++) {
        if (image.data[y * image.width + x] === PAPER) continue;
        top = Math.min(top, y); bottom = Math.max(bottom, y);
        left = Math.min(left, x); right = Math.max(right, x);
      }
    }
    if (bottom < 0) return null;
    const side = (name) => Math.round(look[name]);
    const width = right - left + 1 + side("left") + side("right");
    const height = bottom - top + 1 + side("top") + side("bottom");
    const data = new Uint8Array(width * height).fill(PAPER);
    for (let y = top; y <= bottom; y++) {
      const from = y * image.width + left;
      const to = (y - top + side("top")) * width + side("left");
      data.set(image.data.subarray(from, from + right - left + 1), to);
    }
    return { data, width, height };
  }

  // ------------------------------------------------------------------ the pad

  const SIZE = 480; // the pad's own units, each way
  const PEN = 0.045 * SIZE; // width of the line on the pad
  const STEP = 12; // what an arrow key moves the keyboard's pen
  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  let pads = 0;

  function makePad(root, network, source) {
    const id = `draw-yourself-${++pads}`;
    let strokes = [], drawing = null; // the stroke under a pointer
    const pen = { x: SIZE / 2, y: SIZE / 2, down: false, shown: false };
    const held = new Set();

    const canvas = element("canvas", {
      class: "dy-pad", width: SIZE, height: SIZE, tabindex: "0", role: "application",
      "aria-label": "Drawing pad", "aria-describedby": `${id}-keys`, "data-prevent-swipe": "",
    });
    const undo = element("button", { type: "button", class: "dy-button" }, "Undo");
    const clear = element("button", { type: "button", class: "dy-button" }, "Clear");
    const keys = element("p", { class: "dy-keys", id: `${id}-keys` },
      "Keyboard: Tab to the pad, arrows move the pen (Shift: further), Space puts it down or " +
      "lifts it, Z undoes, C clears, Esc leaves.");
    const seen = element("canvas", {
      class: "dy-seen", width: network.width, height: network.height, role: "img",
      "aria-label": `What the network sees: ${network.height} by ${network.width} pixels`,
    });
    const list = element("ol", { class: "dy-list" });
    const rows = Array.from({ length: Math.min(5, source.classNames.length) }, () => {
      const row = { name: element("span", { class: "dy-name", lang: "zh" }),
        gloss: element("span", { class: "dy-gloss" }),
        bar: element("span", { class: "dy-fill" }), share: element("span", { class: "dy-share" }) };
      list.append(element("li", {}, row.name, row.gloss,
        element("span", { class: "dy-bar", "aria-hidden": "true" }, row.bar), row.share));
      return row;
    });
    const verdict = element("p", { class: "dy-verdict" });
    const known = element("p", { class: "dy-known" }, `It knows ${source.classNames.length} characters: `,
      element("span", { lang: "zh" }, source.classNames.join(" ")));
    const maps = element("div", { class: "dy-maps", role: "img",
      "aria-label": "Feature maps of the first convolution" });
    const status = element("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
    const still = element("div", { class: "dy-still" });
    still.append(...root.childNodes);
    root.append(still, element("div", { class: "dy-live" },
      element("div", { class: "dy-left" }, canvas,
        element("div", { class: "dy-buttons" }, undo, clear), keys, known),
      element("div", { class: "dy-right" },
        element("div", { class: "dy-answer" },
          element("figure", { class: "dy-input" }, seen,
            element("figcaption", {}, `seen: ${network.height} × ${network.width}`)),
          element("div", { class: "dy-says" }, verdict, list)),
        element("p", { class: "dy-caption" }, "Feature maps of the first convolution, after ReLU"),
        maps), status));
    root.classList.add("dy-ready");

    const context = canvas.getContext("2d");

    function paint() {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, SIZE, SIZE);
      context.strokeStyle = "#e3e8ec";
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(SIZE / 2, 0); context.lineTo(SIZE / 2, SIZE);
      context.moveTo(0, SIZE / 2); context.lineTo(SIZE, SIZE / 2);
      context.stroke();
      context.strokeStyle = context.fillStyle = "#2b3440";
      context.lineWidth = PEN;
      context.lineCap = context.lineJoin = "round";
      for (const stroke of strokes) {
        context.beginPath();
        context.moveTo(...stroke[0]);
        // A line of length zero is a dot, thanks to the round cap.
        for (const point of stroke) context.lineTo(...point);
        context.stroke();
      }
      if (!strokes.length && !pen.shown) {
        context.fillStyle = "#5b6772";
        context.font = "26px 'Course Sans', sans-serif";
        context.textAlign = "center";
        context.fillText("Draw a character here", SIZE / 2, SIZE / 2 - 18);
      }
      if (pen.shown) {
        context.strokeStyle = pen.down ? "#b33a00" : "#0072b2";
        context.lineWidth = 3;
        context.beginPath();
        context.arc(pen.x, pen.y, pen.down ? PEN / 2 : 13, 0, 2 * Math.PI);
        for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(pen.x + 8 * x, pen.y + 8 * y);
          context.lineTo(pen.x + 26 * x, pen.y + 26 * y);
        }
        context.stroke();
      }
    }

    // ---- reading

    let wanted = false, announce = 0;

    function changed() {
      paint();
      if (wanted) return;
      wanted = true; // at most one prediction a frame
      requestAnimationFrame(() => { wanted = false; readNow(); });
    }

    function readNow() {
      const started = performance.now();
      const image = scan(strokes, source.look);
      undo.disabled = clear.disabled = !strokes.length;
      if (!image) {
        showInput(null); showMaps(null);
        for (const row of rows) {
          row.name.textContent = "\u00a0"; row.gloss.textContent = ""; row.share.textContent = "";
          row.bar.style.width = "0";
        }
        verdict.textContent = "\u00a0";
        root.classList.remove("dy-strange");
        root.drawing = { strokes, input: null, logits: null, milliseconds: 0 };
        say("The pad is empty.");
        return;
      }
      const input = resize(image, network.height, network.width);
      const { logits, maps: features, cosine } = network.predict(input.data);
      const chances = softmax(logits);
      const milliseconds = performance.now() - started;
      const order = chances.map((_, k) => k).sort((a, b) => chances[b] - chances[a]);
      rows.forEach((row, i) => {
        const k = order[i];
        row.name.textContent = source.classNames[k];
        row.gloss.textContent = (source.meanings[k] || []).filter(Boolean).join(" · ");
        row.share.textContent = `${(100 * chances[k]).toFixed(chances[k] < 0.0995 ? 1 : 0)} %`;
        row.bar.style.width = `${100 * chances[k]}%`;
      });
      // Below what nearly all test images reach the answer is a guess: see tools/draw_yourself.py.
      const strange = cosine < source.familiar.least;
      verdict.textContent = strange ? "Probably none that it knows" : "Reads";
      root.classList.toggle("dy-strange", strange);
      showInput(input); showMaps(features);
      root.drawing = { strokes, input, logits, cosine, milliseconds, strange };
      say((strange ? "Probably none that it knows; if one, " : "Read as ") + order.slice(0, rows.length).map((k) =>
        `${source.classNames[k]} ${Math.round(100 * chances[k])} per cent`).join(", "));
    }

    function say(text) {
      clearTimeout(announce); // once the hand rests, not with every point
      announce = setTimeout(() => { if (status.textContent !== text) status.textContent = text; }, 500);
    }

    function showInput(image) {
      const target = seen.getContext("2d");
      const pixels = target.createImageData(network.width, network.height);
      for (let i = 0; i < network.width * network.height; i++) {
        pixels.data.fill(image ? image.data[i] : PAPER, 4 * i, 4 * i + 3);
        pixels.data[4 * i + 3] = 255;
      }
      target.putImageData(pixels, 0, 0);
    }

    function showMaps(features) {
      if (!features) {
        for (const each of maps.children) each.getContext("2d").clearRect(0, 0, 999, 999);
        return;
      }
      while (maps.children.length < features.channels) {
        maps.append(element("canvas", { width: features.width, height: features.height,
          "aria-hidden": "true" }));
      }
      let highest = 1e-9;
      for (const value of features.data) if (value > highest) highest = value;
      for (let c = 0; c < features.channels; c++) {
        const target = maps.children[c].getContext("2d");
        const pixels = target.createImageData(features.width, features.height);
        for (let i = 0; i < features.width * features.height; i++) {
          // White to the course's blue and on to dark blue: brightness falls all the way.
          const v = features.data[i * features.channels + c] / highest;
          const low = Math.min(1, 2 * v), rest = Math.max(0, 2 * v - 1);
          pixels.data[4 * i] = 255 - 255 * low;
          pixels.data[4 * i + 1] = 255 - 141 * low - 72 * rest;
          pixels.data[4 * i + 2] = 255 - 77 * low - 94 * rest;
          pixels.data[4 * i + 3] = 255;
        }
        target.putImageData(pixels, 0, 0);
      }
    }

    // ---- pointers: mouse, pen and finger

    function at(event) {
      const box = canvas.getBoundingClientRect(); // reveal.js scales the slide
      return [Math.min(SIZE, Math.max(0, (event.clientX - box.left) * SIZE / box.width)),
        Math.min(SIZE, Math.max(0, (event.clientY - box.top) * SIZE / box.height))];
    }

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || drawing) return;
      event.preventDefault(); // no focus: the lecturer's keys go on moving the slides
      event.stopPropagation();
      try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer made by a script */ }
      liftPen();
      drawing = { pointer: event.pointerId, stroke: [at(event)] };
      strokes.push(drawing.stroke);
      changed();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawing || event.pointerId !== drawing.pointer) return;
      event.stopPropagation();
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const each of all.length ? all : [event]) {
        const point = at(each), last = drawing.stroke[drawing.stroke.length - 1];
        if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= 1.5) drawing.stroke.push(point);
      }
      changed();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => {
        if (!drawing || event.pointerId !== drawing.pointer) return;
        event.stopPropagation();
        drawing = null;
        changed();
      });
    }
    for (const name of ["touchstart", "touchmove", "touchend"]) {
      // Slides must not move under a finger that draws.
      canvas.addEventListener(name, (event) => {
        event.stopPropagation();
        if (event.cancelable) event.preventDefault();
      }, { passive: false });
    }

    // ---- keyboard

    function liftPen() { pen.down = false; }

    function undoStroke() {
      drawing = null; liftPen(); strokes.pop(); changed();
    }
    function clearAll() {
      drawing = null; liftPen(); strokes = []; changed();
    }

    canvas.addEventListener("focus", () => { pen.shown = true; paint(); });
    canvas.addEventListener("blur", () => {
      pen.shown = false; held.clear(); liftPen(); paint();
    });
    canvas.addEventListener("keyup", (event) => held.delete(event.key));
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (KEYS[key]) {
        held.add(key); // two arrows at once go slantwise
        let dx = 0, dy = 0;
        for (const each of held) { dx += KEYS[each][0]; dy += KEYS[each][1]; }
        const step = event.shiftKey ? 4 * STEP : STEP;
        pen.x = Math.min(SIZE - PEN / 2, Math.max(PEN / 2, pen.x + step * dx));
        pen.y = Math.min(SIZE - PEN / 2, Math.max(PEN / 2, pen.y + step * dy));
        if (pen.down) strokes[strokes.length - 1].push([pen.x, pen.y]);
        changed();
      } else if (key === " " || key === "Enter") {
        if (event.repeat) { event.preventDefault(); return; }
        pen.down = !pen.down;
        if (pen.down) strokes.push([[pen.x, pen.y]]);
        changed();
      } else if (key === "z" || key === "Backspace") undoStroke();
      else if (key === "c" || key === "Delete") clearAll();
      else if (key === "Escape") canvas.blur();
      else return;
      event.preventDefault();
    });
    // No key that is pressed in here reaches the slides.
    for (const name of ["keydown", "keypress", "keyup"]) {
      root.addEventListener(name, (event) => event.stopPropagation());
    }
    undo.addEventListener("click", undoStroke);
    clear.addEventListener("click", clearAll);
    for (const button of [undo, clear]) {
      // After a click by mouse the keys belong to the slides again.
      button.addEventListener("click", (event) => { if (event.detail > 0) button.blur(); });
    }
    // Blank paper once: the maps have their places, and the first stroke finds compiled code.
    showMaps(network.predict(new Uint8Array(network.height * network.width).fill(PAPER)).maps);
    paint();
    readNow();
    // A canvas does not wait for a font, nor draw its text again when the font is there.
    document.fonts?.load("26px 'Course Sans'").then(paint, () => {});
  }

  function start() {
    const source = window.drawYourselfNetwork;
    const roots = document.querySelectorAll(".draw-yourself:not(.dy-ready)");
    if (!roots.length) return;
    if (!source) {
      console.error("draw-yourself-weights.js is missing: run `python -m tools.draw_yourself`");
      return; // the still picture stays
    }
    const network = makeNetwork(source);
    for (const root of roots) makePad(root, network, source);
  }

  // For the tests and the benchmark, and for readers who look into the console.
  window.drawYourself = { makeNetwork, resize, scan, softmax, start };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
