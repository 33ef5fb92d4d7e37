// What a page of notes does beside being read: contents that follow, copying of code, the search, notebooks
// from a disk. Each part is added by this script, so that without it nothing stands there that does nothing.
(() => {
  const bar = document.querySelector("#quarto-header .bar");
  const course = bar?.querySelector(".navbar");
  if (!course) return;
  const root = course.dataset.root;
  const main = document.querySelector("main");
  const header = document.getElementById("quarto-header");

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const loaded = new Map();
  // A script and what it defines: a page on the disk may load scripts, and read no other file.
  const load = (address) => {
    if (!loaded.has(address)) {
      loaded.set(address, new Promise((done, failed) => {
        const script = make("script", { src: root + address });
        script.addEventListener("load", done);
        script.addEventListener("error", () => failed(new Error(`${address} could not be read`)));
        document.head.append(script);
      }));
    }
    return loaded.get(address);
  };
  // Said to those who listen.
  const status = make("p", { class: "visually-hidden", role: "status" });
  document.body.append(status);
  const say = (text) => {
    status.textContent = text;
  };

  /* ---------------------------------------------------------------- contents */

  const contents = document.querySelector("nav#TOC > ul");
  const links = [];
  if (contents) {
    const copy = contents.cloneNode(true);
    for (const each of copy.querySelectorAll("*")) {
      each.removeAttribute("id");
      each.removeAttribute("data-scroll-target");
      each.removeAttribute("class");
    }
    const panel = make("div", { class: "panel" }, copy);
    const menu = make("details", { class: "menu contents" }, make("summary", {}, "Contents"), panel);
    course.querySelector(":scope > ul").before(menu);
    links.push(...document.querySelectorAll("nav#TOC a[href^='#'], .menu.contents a[href^='#']"));
  }
  const places = new Map();
  for (const link of links) {
    const place = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (place && place.closest("main section")) {
      places.set(place, [...(places.get(place) ?? []), link]);
    }
  }
  // Where a link has led, until the reader goes on: near the end of a page it cannot come to the top.
  let aim = null;
  const follow = () => {
    let current = null;
    const line = header.offsetHeight + 2.5 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    for (const place of places.keys()) if (place.getBoundingClientRect().top <= line) current = place;
    const end = document.documentElement;
    if (end.scrollHeight - end.scrollTop - innerHeight < 4) current = [...places.keys()].at(-1) ?? null;
    const height = aim?.getBoundingClientRect().top ?? -1;
    if (height < 0 || height > innerHeight) aim = null;
    current = aim ?? current;
    for (const [place, each] of places) {
      for (const link of each) {
        if (place !== current) link.removeAttribute("aria-current");
        else if (!link.hasAttribute("aria-current")) {
          link.setAttribute("aria-current", "location");
          // Contents that are higher than the window scroll by themselves.
          const box = link.closest("#quarto-margin-sidebar, .panel");
          const from = link.getBoundingClientRect().top - box.getBoundingClientRect().top;
          if (box.clientHeight && (from < 40 || from > box.clientHeight - 60)) {
            box.scrollTop += from - box.clientHeight / 2;
          }
        }
      }
    }
  };
  let waiting = false;
  const soon = () => {
    if (!waiting) requestAnimationFrame(() => {
      waiting = false;
      follow();
      top.toggleAttribute("data-away", scrollY > innerHeight);
    });
    waiting = true;
  };

  // In the bar, so that it never lies on the text.
  const top = make("a", { class: "to-top", href: "#", "aria-label": "To the top" }, "↑");
  bar.append(top);
  for (const event of ["scroll", "resize"]) addEventListener(event, soon, { passive: true });
  for (const event of ["wheel", "touchmove", "keydown"]) {
    addEventListener(event, () => {
      aim = null;
    }, { passive: true });
  }
  const arrive = () => {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    aim = places.has(place) ? place : null;
    soon();
    return place;
  };
  addEventListener("hashchange", arrive);
  addEventListener("load", () => {
    const place = arrive();
    // What came late has moved the place; who comes back is where they were.
    if (performance.getEntriesByType("navigation")[0]?.type === "navigate") place?.scrollIntoView();
  });
  for (const menu of document.querySelectorAll(".contents")) menu.addEventListener("toggle", follow);
  follow();

  /* ---------------------------------------------------------------- menus of the bar */

  const menus = [...course.querySelectorAll("details.menu")];
  const close = (besides) => {
    for (const menu of menus) if (menu !== besides) menu.open = false;
  };
  for (const menu of menus) {
    menu.addEventListener("toggle", () => menu.open && close(menu));
    menu.addEventListener("click", (event) => event.target.closest("a") && close());
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
  addEventListener("click", (event) => event.target.closest?.("details.menu") || close());

  /* ---------------------------------------------------------------- copying code */

  const writeClipboard = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Where a page may not write to it: the old way, through a selection.
      const area = make("textarea", { class: "visually-hidden" });
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      if (!done) throw new Error("the browser does not let this page copy");
    }
  };
  for (const code of main.querySelectorAll("div.sourceCode > pre > code")) {
    if (code.closest(".cell-output")) continue;
    const button = make("button", { type: "button", class: "copy-code", "aria-label": "Copy this code" }, "Copy");
    button.addEventListener("click", async () => {
      const text = code.cloneNode(true);
      for (const mark of text.querySelectorAll(".code-annotation-anchor")) mark.remove();
      try {
        await writeClipboard(text.textContent.replace(/\n$/, "") + "\n");
        button.textContent = "Copied";
        say("The code is copied.");
      } catch {
        button.textContent = "Not copied";
        say("The code could not be copied.");
      }
      button.focus();
      setTimeout(() => {
        button.textContent = "Copy";
      }, 2000);
    });
    code.parentElement.after(button);
  }

  /* ---------------------------------------------------------------- notebooks */

  // From a disk a browser shows a notebook as text, whatever the link says; so its twin, a script, is saved.
  if (location.protocol === "file:") {
    addEventListener("click", async (event) => {
      const link = event.target.closest?.("a[download][href$='.ipynb']");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const saved = make("a", { download: link.download });
      window.courseNotebook = (text) => {
        saved.href = URL.createObjectURL(new Blob([text], { type: "application/x-ipynb+json" }));
      };
      const address = new URL(link.href).pathname.split("/").slice(-2).join("/") + ".js";
      loaded.delete(address);
      try {
        await load(address);
        saved.click();
      } catch {
        location.assign(link.href);
      }
    });
  }

  /* ---------------------------------------------------------------- search */

  const WORD = /\p{Script=Han}|(?:(?!\p{Script=Han})[\p{L}\p{M}\p{N}_])+/gu;
  const tokenize = (text) => text.match(WORD) ?? [];
  const fold = (word) => word.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ß", "ss");
  let rows = [];
  let engine = null;
  window.courseSearch = (given) => {
    rows = given;
  };
  const prepare = async () => {
    await Promise.all([load("assets/js/minisearch.js"), load("search-index.js")]);
    engine ??= (() => {
      const made = new MiniSearch({
        fields: ["heading", "page", "text"],
        tokenize,
        processTerm: (term) => fold(term) || null,
        searchOptions: {
          boost: { heading: 5, page: 2 },
          prefix: (term) => term.length > 1,
          weights: { fuzzy: 0.3, prefix: 0.6 },
          boostDocument: (id) => (rows[id][0].startsWith("glossary.html#") ? 1.5 : 1),
        },
      });
      made.addAll(rows.map(([, page, heading, text], id) => ({ id, page, heading, text })));
      return made;
    })();
  };
  const find = (words) => {
    // All words as they are written; else all of them nearly so; else some of them.
    const nearly = { fuzzy: (term) => (term.length > 3 ? 0.2 : false) };
    for (const how of [{ combineWith: "AND" }, { combineWith: "AND", ...nearly }, nearly]) {
      const found = engine.search(words, how);
      if (found.length) return found.slice(0, 30);
    }
    return [];
  };

  // A text with the words that were found marked; from a long one the part with the first of them.
  const marked = (text, terms, length = Infinity) => {
    const hits = [...text.matchAll(WORD)].filter((match) => terms.has(fold(match[0])));
    const first = hits[0]?.index ?? 0;
    let start = text.length <= length ? 0 : Math.max(0, first - length / 4);
    if (start) start = text.indexOf(" ", start) + 1 || start;
    let end = Math.min(text.length, start + length);
    if (end < text.length) end = Math.max(text.lastIndexOf(" ", end), start + length / 2);
    const parts = [start ? "… " : ""];
    let at = start;
    for (const hit of hits) {
      const stop = hit.index + hit[0].length;
      if (hit.index < at || stop > end) continue;
      parts.push(text.slice(at, hit.index), make("mark", {}, hit[0]));
      at = stop;
    }
    parts.push(text.slice(at, end), end < text.length ? " …" : "");
    return parts;
  };

  const input = make("input", {
    type: "search", id: "search-words", autocomplete: "off", spellcheck: "false",
    placeholder: "Search notes, glossary, index", "aria-label": "Search the course", "aria-controls": "search-results",
  });
  const results = make("ol", { id: "search-results" });
  const message = make("p", { class: "search-message", role: "status" });
  const closing = make("button", { type: "button", class: "search-close" }, "Close");
  const dialog = make("dialog", { class: "search", "aria-label": "Search the course" },
    make("div", { class: "search-head" }, input, closing), message, results);
  const opener = make("button", { type: "button", class: "search-button" }, "Search");
  opener.setAttribute("aria-keyshortcuts", "/");
  opener.title = "Search the course (press /)";
  const HINT = "Type a word. The arrow keys go through what is found, Enter opens it, Escape closes.";

  const show = () => {
    const words = input.value.trim();
    results.replaceChildren();
    if (!engine || !words) {
      message.textContent = HINT;
      return;
    }
    const found = find(words);
    message.textContent = found.length
      ? `${found.length === 30 ? "The best 30" : found.length} ${found.length === 1 ? "place" : "places"}`
      : `Nothing in the course is like “${words}”. Try another word, or only its beginning.`;
    for (const { id, terms } of found) {
      const [address, page, heading, text] = rows[id];
      const hits = new Set(terms);
      const link = make("a", { href: root + address },
        make("span", { class: "search-title" }, ...marked(heading || page, hits)),
        make("span", { class: "search-page" }, heading ? page : ""),
        make("span", { class: "search-text" }, ...marked(text, hits, 170)));
      results.append(make("li", {}, link));
    }
  };
  const open = async () => {
    if (dialog.open) return;
    close();
    message.textContent = HINT;
    dialog.showModal();
    input.select();
    try {
      await prepare();
      show();
    } catch (error) {
      message.textContent = `The search does not work here: ${error.message}.`;
    }
  };
  const step = (direction) => {
    const stops = [input, ...results.querySelectorAll("a")];
    const next = stops[stops.indexOf(document.activeElement) + direction];
    next?.focus();
  };
  opener.addEventListener("click", open);
  closing.addEventListener("click", () => dialog.close());
  input.addEventListener("input", show);
  dialog.addEventListener("click", (event) => {
    // Beside the window, or on what was found.
    if (event.target === dialog || event.target.closest("a")) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && event.target === input) {
      event.preventDefault();
      results.querySelector("a")?.click();
    } else if (event.key === "Escape") {
      // A field of this type would only empty itself.
      event.preventDefault();
      dialog.close();
    }
  });
  addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    open();
  });
  bar.append(opener);
  document.body.append(dialog);
})();
