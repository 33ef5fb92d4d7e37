"""How long does "Draw it yourself" take from strokes to probabilities, in a headless browser?

    python -m benchmarks.draw_yourself [--repeats 200]

One prediction is all that follows a movement of the pen: drawing the scan, resizing, the network
and the softmax, without painting. The strokes are those of the character with most points. Aim:
a median below 50 milliseconds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
AIM = 50.0  # milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    from render.browser import NoBrowserError, open_browser

    drawings = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["medians"]
        for path in sorted((REPOSITORY / "data/strokes").glob("*.json"))
    }
    name = max(drawings, key=lambda each: sum(map(len, drawings[each])))
    strokes = [[[x, 900 - y] for x, y in stroke] for stroke in drawings[name]]
    js = REPOSITORY / "assets/js"
    page_text = "<meta charset='utf-8'>" + "".join(
        f"<script src='{(js / file).as_uri()}'></script>"
        for file in ("draw-yourself-weights.js", "draw-yourself.js")
    )
    try:
        with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
            path = Path(folder, "page.html")
            path.write_text(page_text, encoding="utf-8")
            page = browser.new_page()
            page.goto(path.as_uri())
            times = page.evaluate(
                """([strokes, repeats]) => {
                const source = drawYourselfNetwork;
                const network = drawYourself.makeNetwork(source);
                return Array.from({length: repeats}, () => {
                    const start = performance.now();
                    const image = drawYourself.scan(strokes, source.look);
                    const input = drawYourself.resize(image, network.height, network.width);
                    drawYourself.softmax(network.predict(input.data).logits);
                    return performance.now() - start;
                });
            }""",
                [strokes, options.repeats],
            )
    except NoBrowserError as error:
        sys.exit(str(error))
    times.sort()
    median, late = statistics.median(times), times[int(0.95 * len(times))]
    print(
        f"{name}: {options.repeats} predictions, median {median:.1f} ms, "
        f"95th percentile {late:.1f} ms, aim {AIM:.0f} ms"
    )


if __name__ == "__main__":
    main()
