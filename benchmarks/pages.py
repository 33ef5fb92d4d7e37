"""How heavy and how fast are the pages, in a headless browser?

    python -m benchmarks.pages [--site _site] [--runs 5]

decks              weight of each deck with all that it loads, slides that are not shown yet included (aim:
                   5 MB), and the time until its first slide is painted, First Contentful Paint of the Paint
                   Timing API, in a new context with an empty cache (aim: 1 s)
"Draw it yourself" from strokes to probabilities, without painting: what follows a movement of the pen. The
                   strokes are those of the character with most points (aim: a median below 50 ms)
kernel explorer    a drawing in which every weight changes ("kernel"), and one in which only the footprint
                   moves ("pointer"). A screen of 60 frames a second leaves 16.7 ms a frame; aim: 99 of 100
                   drawings take at most half of that, in the round that the rest of the machine disturbed
                   least

Ends with status 1 where an aim is missed, and with a line where there is no browser. What runs inside of the
pages is in `pages.js`.
"""

import json
import statistics
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from course.paths import ASSETS, DATA, REPOSITORY

from playwright.sync_api import Browser, Page

from benchmarks._common import end, options, show
from tools.browser import NoBrowserError, open_browser

MEGABYTES, SECONDS, PREDICTION, FRAME = 5.0, 1.0, 50.0, 1000 / 60  # the last two in ms
SCRIPT = Path(__file__).with_suffix(".js")


def opened(browser: Browser, path: Path) -> tuple[Page, set[str]]:
    """A page in a fresh context, and the addresses of all files that it loads."""
    page, asked = browser.new_context(viewport={"width": 1280, "height": 720}).new_page(), set()
    page.add_init_script(path=SCRIPT)
    page.on("request", lambda request: asked.add(request.url))
    page.goto(path.resolve().as_uri(), wait_until="load")
    return page, asked


def first_paint(browser: Browser, deck: Path) -> float:
    """Seconds from the start of the navigation until something is seen."""
    page, _ = opened(browser, deck)
    milliseconds = page.evaluate("pagesBenchmark.firstPaint()")
    page.context.close()
    return milliseconds / 1000


def weight(browser: Browser, deck: Path) -> tuple[int, float]:
    """Number and megabytes of the files that a deck loads, the deck itself included; all must exist."""
    page, asked = opened(browser, deck)
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.evaluate("pagesBenchmark.loadAll()")
    page.context.close()
    files = {url2pathname(unquote(urlsplit(url).path)) for url in asked if url.startswith("file:")}
    return len(files), sum(Path(name).stat().st_size for name in files) / 1e6


def decks(browser: Browser, site: Path, runs: int) -> list[str]:
    """Measure the decks of a site; what missed its aim."""
    rows, failures = [], []
    for deck in sorted(site.glob("lectures/*.slides.html")):
        files, megabytes = weight(browser, deck)
        times = [first_paint(browser, deck) for _ in range(runs + 1)][1:]  # the first one warms up
        paint = statistics.median(times)
        rows.append({"deck": deck.name, "files": files, "MB": megabytes, "paint, s": paint})
        rows[-1] |= {"fastest": min(times), "slowest": max(times)}
        if megabytes > MEGABYTES or paint > SECONDS:
            failures.append(f"{deck.name} weighs more than {MEGABYTES} MB or is painted after {SECONDS} s")
    show("Decks", rows)
    return failures if rows else [f"{site} holds no deck. Render the site first: make slides"]


def scripts(browser: Browser, folder: Path, body: str, *names: str) -> Page:
    """A page of the course's own scripts, from disk."""
    tags = "".join(f'<script src="{(ASSETS / "js" / name).as_uri()}"></script>' for name in names)
    path = folder / "page.html"
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8">{body}{tags}', encoding="utf-8")
    return opened(browser, path)[0]


def summary(what: str, times: list[float]) -> dict[str, object]:
    """Median and high quantiles of times in ms."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"what": what, "median, ms": cuts[49], "95 of 100": cuts[94], "99 of 100": cuts[98]}


def small_programs(browser: Browser, folder: Path, runs: int) -> list[str]:
    """Measure what follows a movement of pen or pointer; what missed its aim."""
    page = scripts(browser, folder, "", "draw-yourself-weights.js", "draw-yourself.js")
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (DATA / "strokes").glob("*.json")}
    drawings = {name: json.loads(text)["medians"] for name, text in texts.items()}
    longest = max(drawings, key=lambda name: (sum(map(len, drawings[name])), name))
    strokes = [[[x, 900 - y] for x, y in stroke] for stroke in drawings[longest]]
    times = page.evaluate("strokes => pagesBenchmark.predict(strokes)", strokes)
    rows = [summary(f"Draw it yourself: {longest}", times)]
    failures = [f"a prediction takes {PREDICTION} ms or more"] * (rows[0]["median, ms"] >= PREDICTION)

    explorer = '<div class="kernel-explorer"></div>'
    page = scripts(browser, folder, explorer, "kernel-explorer-photo.js", "kernel-explorer.js")
    page.evaluate("pagesBenchmark.explore(50)")  # until the script is compiled
    rounds = [page.evaluate("pagesBenchmark.explore(200)") for _ in range(runs)]
    for name in ("kernel", "pointer"):
        each = [summary(f"kernel explorer: {name}", times[name]) for times in rounds]
        rows.append(min(each, key=lambda row: row["99 of 100"]))
        if rows[-1]["99 of 100"] > FRAME / 2:
            failures.append(f"{name}: more than one of 100 drawings takes over {FRAME / 2:.1f} ms")
    show("Small programs", rows)
    return failures


def main() -> None:
    """Print the tables."""
    given = options(__doc__, site=str(REPOSITORY / "_site"), runs=5)
    try:
        with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
            failures = decks(browser, Path(given.site), given.runs)
            failures += small_programs(browser, Path(folder), given.runs)
    except NoBrowserError as error:
        print(error)
        return
    end(failures)


if __name__ == "__main__":
    main()
