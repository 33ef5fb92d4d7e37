"""Photos of filled sheets as a camera would take them, and how well they were read.

Each page is drawn by the code that makes the PDF, filled with pen strokes along the course's stroke
data, and photographed by a simulated camera: any of four orientations, tilted by up to 25°, uneven
light, noise, JPEG. Each condition then makes one thing worse.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from functools import cache

from course.characters import CHARACTERS
from course.fonts import FONT_FILE
from course.paths import DATA

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tools.sheet import BOX, BOXES, PAPERS, Layout, SheetError, page_layout, read_picture, split_pages
from tools.sheet.drawing import choose_fonts, page_figure

SCALE = 8  # pixels a millimetre of the simulated paper
PENS = {  # colour of the ink in one full stroke, width in millimetres
    "black gel pen": ((35, 35, 40), 0.5),
    "blue ball pen": ((45, 60, 150), 0.45),
    "faint blue pen": ((105, 120, 190), 0.4),
    "pencil": ((125, 125, 128), 0.5),
    "felt tip": ((30, 35, 60), 1.0),
}


@dataclass
class Conditions:
    """What a simulated photo is like; see `photograph` for the units."""

    pen: str = "blue ball pen"
    tilt: float = 25.0
    side: int = 2400
    shadow: float = 0.2
    noise: float = 3.0
    blur: float = 0.6
    partial_blur: float = 0.0
    jpeg: int = 85
    bend: float = 0.0
    lens: float = 0.01
    grey_print: bool = False


CONDITIONS = {
    "as photographed": Conditions(),
    "flat scan": Conditions(tilt=0, shadow=0, noise=1.5, lens=0, side=2504),
    "black gel pen": Conditions(pen="black gel pen"),
    "faint blue pen": Conditions(pen="faint blue pen"),
    "pencil": Conditions(pen="pencil"),
    "felt tip": Conditions(pen="felt tip"),
    "deep shadow": Conditions(shadow=0.55),
    "noise and JPEG": Conditions(noise=9, jpeg=50),
    "partial blur": Conditions(partial_blur=3.0),
    "bent paper, wide lens": Conditions(bend=1.8, lens=0.04),
    "small photo": Conditions(side=1504),
    "small photo, partial blur": Conditions(side=1600, partial_blur=2.0),
    "printed grey": Conditions(grey_print=True),
    "printed grey, pencil": Conditions(grey_print=True, pen="pencil"),
}


@dataclass
class FilledPage:
    """A page with writing: pixels (height, width, 3) float32 0 to 255, 8 a millimetre."""

    layout: Layout
    page: int
    characters: tuple[str, ...]
    pixels: np.ndarray
    ink: np.ndarray
    written: set[tuple[int, int]] = field(default_factory=set)


@cache
def _blank(paper: str, page: int, members: tuple[str, ...], pages: int) -> np.ndarray:
    layout = page_layout(paper)
    fonts = choose_fonts(members, FONT_FILE)
    canvas = FigureCanvasAgg(page_figure(layout, members, page, pages, fonts))
    canvas.figure.set_dpi(SCALE * 25.4)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@cache
def _medians(character: str) -> list[np.ndarray]:
    text = (DATA / "strokes" / f"{character}.json").read_text(encoding="utf-8")
    # the stroke data count y upwards, from -124 to 900
    return [np.array(m) * (1, -1) / 1024 + (0, 0.88) for m in json.loads(text)["medians"]]


def fill_page(
    rng: np.random.Generator,
    page: int = 1,
    paper: str = "A4",
    pen: str = "blue ball pen",
    empty: float = 0.15,
    grey_print: bool = False,
    characters=CHARACTERS,
) -> FilledPage:
    """Write on a page of the sheet with a pen, leaving the share `empty` of the boxes empty."""
    pages = split_pages(characters)
    members = pages[page - 1]
    layout = page_layout(paper)
    blank = _blank(paper, page, members, len(pages)).astype(np.float32)
    if grey_print:
        blank = np.repeat((blank @ np.float32([0.299, 0.587, 0.114]))[..., None], 3, axis=2)
    colour, width = PENS[pen]
    ink = np.zeros(blank.shape[:2], np.uint8)
    filled = FilledPage(layout, page, members, blank, ink)
    for row, character in enumerate(members):
        for column in range(BOXES):
            if rng.random() < empty:
                continue
            filled.written.add((row, column))
            corner = np.array(layout.box(row, column)) + BOX / 2
            size = rng.uniform(10, 15) * np.array([rng.uniform(0.8, 1.05), 1])
            lean = np.array([[1, rng.uniform(-0.15, 0.15)], [0, 1]])
            corner = corner + rng.normal(0, 0.7, 2)
            for median in _medians(character):
                points = median + rng.normal(0, 0.025, 2) + rng.normal(0, 0.008, median.shape)
                points = ((points - 0.5) @ lean.T * size + corner) * SCALE
                points = (points * 8).round().astype(np.int32)  # an eighth of a pixel
                thick = max(1, round(width * SCALE * rng.uniform(0.85, 1.15)))
                cv2.polylines(ink, [points[:, None]], False, 255, thick, cv2.LINE_AA, shift=3)
    dirt = np.zeros_like(ink)
    for _ in range(60):  # specks on the paper, in empty boxes too
        place = rng.uniform(0, 1, 2) * (layout.width, layout.height) * SCALE
        cv2.circle(dirt, tuple(place.astype(int).tolist()), int(rng.integers(1, 4)), 255, -1)
    # ink soaks in unevenly along the stroke
    spots = rng.standard_normal((ink.shape[0] // 12, ink.shape[1] // 12), dtype=np.float32)
    pressure = cv2.resize(spots, ink.shape[::-1], interpolation=cv2.INTER_CUBIC)
    cover = ink / np.float32(255) * np.clip(0.9 + 0.1 * pressure, 0.6, 1)
    cover = cv2.GaussianBlur(cover, (0, 0), 0.5)[..., None]
    blank *= 1 - 0.6 / 255 * dirt[..., None].astype(np.float32)
    filled.pixels = blank * (1 - cover * (1 - np.float32(colour) / 255))
    return filled


def _camera(rng, layout, tilt: float, width: int, height: int, turn: float) -> np.ndarray:
    """The homography from millimetres to pixels of a camera that sees the whole page."""
    direction = rng.uniform(0, 2 * np.pi)
    axis = np.radians(tilt) * np.array([np.cos(direction), np.sin(direction), 0.0])
    tilted = cv2.Rodrigues(axis)[0] @ cv2.Rodrigues(np.array([0, 0, np.radians(turn)]))[0]
    focal = 0.8 * max(width, height)
    page = np.array([(0, 0), (layout.width, 0), (layout.width, layout.height), (0, layout.height)])
    distance = 300.0
    share = rng.uniform(0.86, 0.95)
    for _ in range(40):
        move = -tilted @ np.array([layout.width / 2, layout.height / 2, 0]) + (0, 0, distance)
        project = np.diag([focal, focal, 1]) @ np.column_stack([tilted[:, :2], move])
        seen = cv2.perspectiveTransform(page[None], project)[0]
        span = np.ptp(seen, axis=0)
        distance *= max(span[0] / (share * width), span[1] / (share * height)) ** 0.7
    middle = (seen.max(axis=0) + seen.min(axis=0)) / 2
    right, down = (width, height) / np.array([2, 2]) - middle
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]]) @ project


def photograph(rng: np.random.Generator, filled: FilledPage, conditions: Conditions, turn=None):
    """Take a photo of a page. Returns RGB (height, width, 3) uint8 and the true mapping.

    The mapping takes millimetres on the page, (n, 2), to photo pixels. Units: tilt in degrees;
    side, blur and partial_blur (standard deviations) in pixels; shadow as the share of light lost;
    noise in grey levels; bend in millimetres; lens as the radial distortion at the corner.
    """
    layout = filled.layout
    quarter = int(rng.integers(4)) if turn is None else turn
    short = round(conditions.side * 0.75 / 8) * 8
    width, height = (short, conditions.side) if quarter % 2 == 0 else (conditions.side, short)
    twist = rng.uniform(-5, 5) if conditions.tilt else rng.uniform(-1, 1)
    tilt = conditions.tilt * rng.uniform(0.6, 1)
    homography = _camera(rng, layout, tilt, width, height, 90 * quarter + twist)
    lens = conditions.lens * rng.uniform(-1, 1)
    radius = np.hypot(width, height) / 2
    centre = np.array([width, height]) / 2
    waves = rng.uniform(0, 2 * np.pi, 4)

    def straight(pixels):
        away = pixels - centre
        return centre + away * (1 + lens * ((away / radius) ** 2).sum(-1, keepdims=True))

    def bent(places):
        x, y = places[..., 0] / layout.width, places[..., 1] / layout.height
        dx = np.sin(np.pi * x + waves[0]) * np.sin(np.pi * y + waves[1])
        dy = np.sin(np.pi * x + waves[2]) * np.sin(np.pi * y + waves[3])
        return places + conditions.bend * np.stack([dx, dy], axis=-1)

    def to_photo(places):
        start = places = np.asarray(places, dtype=float)
        for _ in range(30):
            start = places - (bent(start) - start)
        target = pixels = cv2.perspectiveTransform(start[None], homography)[0]
        for _ in range(30):
            pixels = target - (straight(pixels) - pixels)
        return pixels

    # the mapping is smooth: computed for every eighth pixel, then enlarged
    coarse = np.meshgrid(np.arange(3.5, width, 8), np.arange(3.5, height, 8))
    ideal = straight(np.stack(coarse, axis=-1))
    places = bent(cv2.perspectiveTransform(ideal.reshape(1, -1, 2), np.linalg.inv(homography))[0])
    on_paper = (places * SCALE - 0.5).reshape(ideal.shape).astype(np.float32)
    on_paper = cv2.resize(on_paper, (width, height), interpolation=cv2.INTER_CUBIC)
    desk = cv2.GaussianBlur(rng.normal(0, 1, (height // 8 + 1, width // 8 + 1, 1)), (0, 0), 2)
    desk = cv2.resize(desk, (width, height))[..., None] * 60
    desk = np.clip(rng.uniform(40, 190, 3) + desk, 0, 255).astype(np.float32)
    inside = cv2.remap(np.ones(filled.ink.shape, np.float32), on_paper, None, cv2.INTER_LINEAR)
    photo = cv2.remap(filled.pixels.astype(np.float32), on_paper, None, cv2.INTER_LINEAR)
    photo = photo + desk * (1 - inside[..., None])

    x = (np.arange(width, dtype=np.float32) / width - 0.5)[None, :]
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 - 0.25 * (0.5 + x * np.cos(angle) + y * np.sin(angle))
    if conditions.shadow:
        edge = np.sin(angle) * x - np.cos(angle) * y + 0.08 * np.sin(9 * (x + y) + angle)
        soft = rng.uniform(0.005, 0.06)
        light = light * (1 - conditions.shadow / (1 + np.exp(-edge / soft)))
    tint = np.array([1, rng.uniform(0.94, 1), rng.uniform(0.85, 1)])
    photo *= light[..., None].astype(np.float32) * np.float32(tint * rng.uniform(0.85, 0.98))

    photo = cv2.GaussianBlur(photo, (0, 0), conditions.blur)
    if conditions.partial_blur:
        unsharp = cv2.GaussianBlur(photo, (0, 0), conditions.partial_blur)
        place = rng.uniform(-0.4, 0.4, 2)
        near = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 0.06)
        photo += (unsharp - photo) * np.clip(2 * near, 0, 1)[..., None].astype(np.float32)
    photo += conditions.noise * rng.standard_normal(photo.shape, dtype=np.float32)
    photo = photo.clip(0, 255).round().astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, conditions.jpeg]
    packed = cv2.imencode(".jpg", photo[..., ::-1], options)[1]
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1].copy(), to_photo


def ink_agreement(filled: FilledPage, row: int, column: int, image: np.ndarray) -> float:
    """Intersection over union of the true ink of a box and the ink of its cut image."""
    x, y = (round(v * SCALE) for v in filled.layout.box(row, column))
    truth = filled.ink[y : y + round(BOX * SCALE), x : x + round(BOX * SCALE)] > 100
    got = image < 190
    for_both = []
    for mask in (truth, got):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for_both.append(cv2.resize(mask.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA))
    both = np.minimum(*for_both).sum()
    return float(both / np.maximum(*for_both).sum())


def measure(filled: FilledPage, photo: np.ndarray, to_photo) -> dict[str, np.ndarray | float]:
    """Read a photo and compare with the truth; SheetError counts as every box missed.

    offsets: the largest corner error of each box as a share of its side; kept: written boxes that
    gave an image; skipped: empty boxes that gave none; agreement: `ink_agreement` of the kept.
    """
    places = [(row, column) for row in range(len(filled.characters)) for column in range(BOXES)]
    offsets, images = np.ones(len(places)), dict.fromkeys(places, False)
    try:
        reading = read_picture(photo, "simulated photo")
        if reading.characters == filled.characters and reading.found.page == filled.page:
            images = reading.boxes
            true = np.array([to_photo(filled.layout.box_corners(*place)) for place in places])
            found = np.array([reading.found.box_corners(*place) for place in places])
            sides = np.linalg.norm(true - np.roll(true, 1, axis=1), axis=2).mean(axis=1)
            offsets = np.linalg.norm(found - true, axis=2).max(axis=1) / sides
    except SheetError as error:
        print(error, file=sys.stderr)
    kept = [place for place in filled.written if isinstance(images[place], np.ndarray)]
    return {
        "offsets": offsets,
        "kept": np.array([place in kept for place in filled.written]),
        "skipped": np.array([images[place] is None for place in places if place not in filled.written]),
        "agreement": np.array([ink_agreement(filled, *place, images[place]) for place in kept]),
    }


def simulated(name: str, seed: int, page=None, paper=None, **changes):
    """The filled page, photo and true mapping of a condition (changed by name) and a seed."""
    conditions = replace(CONDITIONS[name], **changes)
    rng = np.random.default_rng([seed, list(CONDITIONS).index(name)])
    page = page or int(rng.integers(len(split_pages(CHARACTERS)))) + 1
    paper = paper or str(rng.choice(PAPERS))
    grey = conditions.grey_print
    filled = fill_page(rng, page, paper, conditions.pen, grey_print=grey)
    return filled, *photograph(rng, filled, conditions)
