"""Weight of each deck with all that it loads, and when its first slide is painted.

    python -m benchmarks.pages [--site _site] [--runs 5]

The built site is opened from disk in a headless browser, a new one with an empty cache for each
run. Weight is the size of every file that the deck loads, slides that are not shown yet included.
Time is First Contentful Paint, from the start of the navigation (Paint Timing API); the table has
the median of the runs. Ends with status 1 where a deck is heavier than 5 MB or slower than 1 s.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from playwright.sync_api import Browser  # noqa: E402

from render.browser import NoBrowserError, open_browser  # noqa: E402

MEGABYTES = 5.0
SECONDS = 1.0
FIRST_PAINT = """() => new Promise((done) => {
  new PerformanceObserver((list) => {
    for (const each of list.getEntriesByName("first-contentful-paint")) done(each.startTime);
  }).observe({type: "paint", buffered: true});
})"""
# Every picture of the deck, also those that reveal.js loads shortly before they are shown.
LOAD_ALL = """async () => {
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
}"""


def first_paint(browser: Browser, deck: Path) -> float:
    """Seconds from the start of the navigation until something is seen, in a fresh context."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    try:
        page = context.new_page()
        page.goto(deck.resolve().as_uri(), wait_until="load")
        return page.evaluate(FIRST_PAINT) / 1000
    finally:
        context.close()


def weight(browser: Browser, deck: Path) -> tuple[int, int]:
    """Bytes and number of the files that a deck loads, the deck itself included.

    Raises FileNotFoundError where it asks for a file that does not exist.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    asked: set[str] = set()
    try:
        page = context.new_page()
        page.on("request", lambda request: asked.add(request.url))
        page.goto(deck.resolve().as_uri(), wait_until="load")
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        page.evaluate(LOAD_ALL)
    finally:
        context.close()
    files = {url2pathname(unquote(urlsplit(url).path)) for url in asked if url.startswith("file:")}
    return sum(Path(name).stat().st_size for name in files), len(files)


def main() -> int:
    """Print the table; the exit status is 1 where a bar is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=REPOSITORY / "_site", help="the built site")
    parser.add_argument("--runs", type=int, default=5, help="first paints of each deck")
    options = parser.parse_args()
    decks = sorted(options.site.glob("lectures/*.slides.html"))
    if not decks:
        sys.exit(f"{options.site} holds no deck. Render the site first: make slides")
    failures = []
    print(f"{'deck':34} {'files':>5} {'MB':>6} {'bar':>4} {'paint, s':>9} {'range':>13} {'bar':>4}")
    try:
        with open_browser() as browser:
            first_paint(browser, decks[0])  # what the browser itself loads once
            for deck in decks:
                size, files = weight(browser, deck)
                times = [first_paint(browser, deck) for _ in range(options.runs)]
                middle = statistics.median(times)
                megabytes = size / 1e6
                print(
                    f"{deck.name:34} {files:5} {megabytes:6.2f} {MEGABYTES:4.0f} {middle:9.2f} "
                    f"{f'{min(times):.2f} to {max(times):.2f}':>13} {SECONDS:4.0f}",
                    flush=True,
                )
                if megabytes > MEGABYTES:
                    failures.append(f"{deck.name} weighs {megabytes:.2f} MB, over {MEGABYTES} MB")
                if middle > SECONDS:
                    failures.append(f"{deck.name} is painted after {middle:.2f} s, over {SECONDS} s")
    except NoBrowserError as error:
        sys.exit(str(error))
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
