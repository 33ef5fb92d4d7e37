// Behaviour of the notes: tab panels, and the place in the table of contents.

coursePanels(document);

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
