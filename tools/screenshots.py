"""Pictures of the built site, for a person to look at.

    python -m tools.screenshots OUT [--site _site] [--size 1280x720] [--only WORD]

Writes OUT/<deck>/NN.png (each slide with all its fragments shown) and, for the notes and the
index, OUT/<page>-desk.png, -desk-dark.png and -phone.png (whole pages).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Browser

from tools.browser import NoBrowserError, open_browser

VIEWS = (("desk", 1280, "light"), ("desk-dark", 1280, "dark"), ("phone", 360, "light"))


def take_deck(browser: Browser, path: Path, folder: Path, width: int, height: int) -> int:
    """One PNG for each slide of the deck; returns how many."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.goto(path.resolve().as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.evaluate("document.fonts.ready.then(() => null)")
    page.add_style_tag(content="* { transition: none !important; }")
    total = page.evaluate("Reveal.getTotalSlides()")
    for number in range(1, total + 1):
        page.evaluate("while (Reveal.availableFragments().next) Reveal.nextFragment()")
        page.screenshot(path=folder / f"{number:02d}.png")
        page.evaluate("Reveal.next()")
    page.close()
    return total


def take_page(browser: Browser, path: Path, out: Path) -> None:
    """The whole page on a desk by day and by night, and on a phone."""
    for view, width, scheme in VIEWS:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.goto(path.resolve().as_uri())
        page.evaluate("document.fonts.ready.then(() => null)")
        page.screenshot(path=out / f"{path.stem}-{view}.png", full_page=True)
        page.close()


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--site", type=Path, default=Path("_site"), help="the built site")
    parser.add_argument("--size", default="1280x720", help="width x height of the slides")
    parser.add_argument("--only", default="", help="only files whose name holds this word")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    pages = [options.site / "index.html", *sorted(options.site.glob("lectures/*.html"))]
    pages = [path for path in pages if path.is_file() and options.only in path.name]
    if not pages:
        sys.exit(f"{options.site} holds no page to show. Render the site first: make slides")
    try:
        with open_browser() as browser:
            for path in pages:
                if path.name.endswith(".slides.html"):
                    folder = options.out / path.stem
                    print(f"{folder}: {take_deck(browser, path, folder, width, height)} slides")
                else:
                    take_page(browser, path, options.out)
                    print(f"{options.out / path.stem}-*.png")
    except NoBrowserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
