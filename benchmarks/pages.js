// What `benchmarks/pages.py` measures inside of pages; each function is called by its name.

window.pagesBenchmark = {
  // Milliseconds from the start of the navigation until something is seen (Paint Timing API).
  firstPaint: () => new Promise((done) => {
    new PerformanceObserver((list) => {
      for (const each of list.getEntriesByName("first-contentful-paint")) done(each.startTime);
    }).observe({ type: "paint", buffered: true });
  }),

  // Load every picture of the deck, also those that reveal.js loads shortly before they are shown.
  loadAll: async () => {
    const addresses = new Set();
    for (const name of ["src", "data-src", "data-background-image"]) {
      for (const each of document.querySelectorAll(`.reveal [${name}]`)) {
        if (each.tagName !== "SCRIPT") addresses.add(each.getAttribute(name));
      }
    }
    await Promise.all([...addresses].map((address) => new Promise((done) => {
      const image = new Image();
      image.onload = image.onerror = done;
      image.src = address;
    })));
    await document.fonts.ready;
  },

  // Milliseconds that each of some calls takes.
  times: (repeats, work) => Array.from({ length: repeats }, (_, i) => {
    const start = performance.now();
    work(i);
    return performance.now() - start;
  }),

  // From strokes to probabilities.
  predict: (strokes) => {
    const source = drawYourselfNetwork;
    const network = drawYourself.makeNetwork(source);
    return pagesBenchmark.times(200, () => {
      const image = drawYourself.scan(strokes, source.look);
      const input = drawYourself.resize(image, network.height, network.width);
      drawYourself.softmax(network.predict(input.data).logits);
    });
  },

  // Drawings of the kernel explorer: every weight changes, or the footprint moves.
  explore: (drawings) => {
    const explorer = document.querySelector(".kernel-explorer").explorer;
    const kernel = pagesBenchmark.times(drawings, (i) => {
      explorer.inputs.forEach((input, k) => { input.value = Math.sin(i + k); });
      explorer.draw();
    });
    const pointer = pagesBenchmark.times(drawings, (i) => {
      explorer.row = i % (explorer.height - 2);
      explorer.column = (7 * i) % (explorer.width - 2);
      explorer.draw();
    });
    return { kernel, pointer };
  },
};
