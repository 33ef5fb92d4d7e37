/*
 * What stands in the way of those who listen, who have no mouse, or who read on paper. Each
 * function returns a list of sentences; an empty list means that nothing was found.
 */
(() => {
  // Judged at rest: what takes the focus has its looks at once.
  const still = document.createElement("style");
  still.textContent = "*, *::before, *::after { transition: none !important; }";
  document.head.append(still);

  const CHINESE = /\p{Script=Han}/u;
  const CODE = "script, style, template, noscript, annotation, pre, code, kbd, samp";

  const name = (element) => {
    const text = (element.getAttribute("aria-label") || element.textContent || "")
      .trim().replace(/\s+/g, " ").slice(0, 40);
    const classes = [...element.classList].slice(0, 2).map((each) => "." + each).join("");
    return `<${element.tagName.toLowerCase()}${classes}> "${text}"`;
  };
  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  /* Text and descriptions that a voice would read as if they were English. */
  window.unmarkedChinese = () => {
    const problems = new Set();
    const judge = (element, text) => {
      const language = element.closest("[lang]")?.lang || "";
      if (CHINESE.test(text) && !/^zh\b/.test(language)) {
        problems.add(`Chinese without lang="zh": ${text.trim().replace(/\s+/g, " ").slice(0, 60)}`);
      }
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!element.closest(CODE)) judge(element, walker.currentNode.data);
    }
    return [...problems];
  };

  /* Tables whose cells nobody could place by ear. */
  window.headlessTables = () => {
    const problems = [];
    for (const table of document.querySelectorAll("table:not([role='presentation'])")) {
      const rows = [...table.rows];
      const heads = [...table.querySelectorAll("th")].filter((each) => each.textContent.trim());
      if (!heads.length) {
        problems.push(`table without header cells: ${name(table)}`);
        continue;
      }
      const [first] = rows;
      const columns = Math.max(...rows.map((row) => row.cells.length));
      const isHead = (cell) => cell?.tagName === "TH";
      const above = [...first.cells].some((cell) => isHead(cell) && cell.textContent.trim());
      const beside = rows.every((row) => isHead(row.cells[0]));
      if (columns > 1 && !above && !beside) {
        problems.push(`table without a head above or beside: ${name(table)}`);
      }
    }
    return problems;
  };

  /* Printed (media emulated by the caller): what hangs over the paper, is cut or is no use there. */
  window.printProblems = () => {
    const problems = [];
    const edge = document.documentElement.clientWidth;
    for (const element of document.querySelectorAll(
      "header#quarto-header, nav, button, dialog, .skip-link, #TOC, .theme-switch")) {
      if (isShown(element)) problems.push(`navigation on paper: ${name(element)}`);
    }
    for (const element of document.body.querySelectorAll("*")) {
      if (!isShown(element) || element.closest("svg, math, .visually-hidden, .screen-reader-only")) {
        continue;
      }
      const box = element.getBoundingClientRect();
      if (!box.width) continue;
      if (box.right > edge + 1 || box.left < -1) {
        problems.push(`hangs over the paper by ${Math.round(box.right - edge)} px: ${name(element)}`);
      }
      const { overflowX, overflowY } = getComputedStyle(element);
      if (overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1) {
        problems.push(`cut on paper, ${element.scrollWidth - element.clientWidth} px wider than ` +
          `its box: ${name(element)}`);
      }
      if (overflowY !== "visible" && element.scrollHeight > element.clientHeight + 6) {
        problems.push(`cut on paper, ${element.scrollHeight - element.clientHeight} px higher ` +
          `than its box: ${name(element)}`);
      }
    }
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !isShown(element)) continue;
      if (element.closest("svg, math, .visually-hidden, .screen-reader-only")) continue;
      const range = document.createRange();
      range.selectNodeContents(walker.currentNode);
      const right = Math.max(0, ...[...range.getClientRects()].map((each) => each.right));
      if (right > edge + 1) problems.push(`text hangs over the paper: ${name(element)}`);
    }
    for (const folded of document.querySelectorAll("main details:not([open])")) {
      const inner = folded.querySelector(":scope > :not(summary)");
      if (inner && !isShown(inner)) {
        problems.push(`folded away on paper: ${name(folded)}`);
      }
    }
    for (const panel of document.querySelectorAll("[role='tabpanel']")) {
      if (!isShown(panel)) problems.push(`hidden by its tab on paper: ${name(panel)}`);
    }
    return [...new Set(problems)];
  };

  /* What the Tab key should reach inside of `root`. */
  const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";
  const reachable = (root) => [...root.querySelectorAll(FOCUSABLE)].filter((each) =>
    isShown(each) && !each.disabled && each.tabIndex >= 0 && !each.closest("[inert]"));

  /* Called once before, then after each press of Tab; true when the round is over. */
  let seen, expected, problems;
  const looks = new Map();
  const look = (element) => {
    const style = getComputedStyle(element);
    return [style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor,
      style.backgroundColor, style.transform, style.color].join();
  };
  window.beginTabs = (selector) => {
    document.activeElement?.blur();
    const root = document.querySelector(selector);
    expected = reachable(root);
    expected.forEach((each) => looks.set(each, look(each)));
    seen = [];
    problems = [];
    return expected.length;
  };
  window.tabbed = () => {
    const element = document.activeElement;
    if (!element || element === document.body) return seen.length > 0 && "left";
    if (element === seen.at(-1)) {
      problems.push(`Tab does not get away from ${name(element)}`);
      return "caught";
    }
    if (seen.includes(element)) return "round";
    seen.push(element);
    // Quarto shows a reference in a bubble, which comes a moment after the focus.
    if (element.closest("[data-tippy-root]")) return false;
    if (!isShown(element)) problems.push(`Tab leads to something unseen: ${name(element)}`);
    else if (looks.has(element) && look(element) === looks.get(element)) {
      problems.push(`no sign of the focus on ${name(element)}`);
    }
    return false;
  };
  window.tabProblems = () => [
    ...problems,
    ...expected.filter((each) => !seen.includes(each))
      .map((each) => `Tab does not reach ${name(each)}`),
  ];
})();
