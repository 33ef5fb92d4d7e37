// Behaviour of the notes: tab panels, and the place in the table of contents.

for (const list of document.querySelectorAll('[role="tablist"]')) {
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
    const next = tabs[(position + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  });
}

const entries = new Map();
for (const link of document.querySelectorAll("#TOC a[href^='#']")) {
  const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (section) entries.set(section, link);
}
if (entries.size && "IntersectionObserver" in window) {
  const visible = new Set();
  const observer = new IntersectionObserver(
    (changes) => {
      for (const change of changes) {
        if (change.isIntersecting) visible.add(change.target);
        else visible.delete(change.target);
      }
      let current = null;
      for (const section of entries.keys()) if (visible.has(section)) current = section;
      for (const [section, link] of entries) link.classList.toggle("active", section === current);
    },
    { rootMargin: "0px 0px -75% 0px" },
  );
  for (const section of entries.keys()) observer.observe(section);
}
