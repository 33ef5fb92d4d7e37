// Tab panels of slides and notes, with the keyboard behaviour of the WAI-ARIA pattern.
function coursePanels(root) {
  for (const list of root.querySelectorAll('[role="tablist"]')) {
    const tabs = Array.from(list.querySelectorAll('[role="tab"]'));
    const choose = (chosen) => {
      for (const tab of tabs) {
        const active = tab === chosen;
        tab.classList.toggle("active", active);
        tab.setAttribute("aria-selected", String(active));
        tab.tabIndex = active ? 0 : -1;
        document.getElementById(tab.getAttribute("aria-controls")).classList.toggle("active", active);
      }
    };
    list.addEventListener("click", (event) => {
      const tab = event.target.closest('[role="tab"]');
      if (!tab) return;
      event.preventDefault();
      choose(tab);
    });
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const position = tabs.indexOf(document.activeElement);
      if (!step || position < 0) return;
      event.preventDefault();
      event.stopPropagation(); // in slides the arrow keys would turn the page
      const next = tabs[(position + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  }
}
