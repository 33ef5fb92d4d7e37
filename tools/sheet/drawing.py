"""Drawing the sheet: one matplotlib figure a page, saved as a vector PDF.

What the pen must not be mixed up with is printed in light red: a photo's red channel hardly sees
it, while blue and black ink stay dark there. On a black-and-white printer it comes out light grey,
which is still far lighter than ink.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from course.characters import MEANINGS
from course.fonts import FONT_FILE
from course.store.files import write_whole

import numpy as np
from matplotlib import font_manager, style
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from .layout import BOX, BOXES, Layout, SheetError, page_codes, page_layout, split_pages

FRAME = (1.0, 0.66, 0.58)
GUIDE = (1.0, 0.80, 0.75)
MODEL = (1.0, 0.84, 0.80)
INK = (0.2, 0.2, 0.2)
FRAME_WIDTH = 0.25
GUIDE_WIDTH = 0.18
_POINTS_PER_MM = 72 / 25.4
# installed fonts that have Chinese characters, tried in this order for characters
# that the course's own small font lacks
_OTHER_FONTS = (
    "LXGW WenKai", "KaiTi", "STKaiti", "Kaiti SC", "AR PL UKai CN", "Noto Serif CJK SC",
    "Source Han Serif SC", "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "SimSun",
    "PingFang SC", "Songti SC", "Heiti SC", "WenQuanYi Zen Hei", "DejaVu Sans",
)  # fmt: skip


def choose_fonts(characters, font: str | os.PathLike | None = None) -> dict[str, Path]:
    """The font file of each character: `font`, ours, or an installed one; SheetError if none has it."""
    files = [Path(font)] if font else [FONT_FILE]
    if not font:
        installed = {entry.name: entry.fname for entry in reversed(font_manager.fontManager.ttflist)}
        files += [Path(installed[name]) for name in _OTHER_FONTS if name in installed]
    chosen: dict[str, Path] = {}
    for file in files:
        if not (lacking := [character for character in characters if character not in chosen]):
            return chosen
        try:
            glyphs = font_manager.get_font(file).get_charmap()
        except (OSError, RuntimeError, ValueError) as error:
            advice = "Name a .ttf or .otf file."
            raise SheetError(f"{file} cannot be used as a font ({error}). {advice}") from error
        chosen |= {character: file for character in lacking if ord(character) in glyphs}
    if missing := "".join(character for character in characters if character not in chosen):
        where = f"The font {font} lacks" if font else "No font found here has"
        advice = "Name a font file that does with --font FILE, e.g. LXGW WenKai, Noto Sans CJK SC or KaiTi."
        raise SheetError(f"{where} {missing}. {advice}")
    return chosen


def _modules_outline(modules: np.ndarray, x: float, y: float, side: float) -> Outline:
    # Neighbouring squares overlap a little, so that viewers draw no hairlines between them.
    step, bleed = side / len(modules), 0.01
    square = Affine2D().scale(step + 2 * bleed).transform_path(Outline.unit_rectangle())
    places = (np.argwhere(modules) * step + (y, x) - bleed)[:, ::-1]
    return Outline.make_compound_path(*[Affine2D().translate(*at).transform_path(square) for at in places])


def _glyph_outline(character: str, font: Path, centre: tuple[float, float], em: float) -> Outline:
    outline = TextPath((0, 0), character, size=em, prop=font_manager.FontProperties(fname=font))
    middle = np.mean(outline.get_extents().get_points(), axis=0)
    return outline.transformed(Affine2D().translate(*-middle).scale(1, -1).translate(*centre))


def _guides(axes, x: float, y: float) -> None:
    # the 米字格 of Chinese practice paper: frame, cross and diagonals
    across = np.array((0, 1, np.nan, 0.5, 0.5, np.nan, 0, 1, np.nan, 1, 0))
    down = np.array((0.5, 0.5, np.nan, 0, 1, np.nan, 0, 1, np.nan, 0, 1))
    dashes = {"dashes": (4, 4), "dash_capstyle": "butt"}
    axes.plot(x + BOX * across, y + BOX * down, color=GUIDE, linewidth=GUIDE_WIDTH * _POINTS_PER_MM, **dashes)
    width = FRAME_WIDTH * _POINTS_PER_MM
    axes.add_patch(Rectangle((x, y), BOX, BOX, fill=False, edgecolor=FRAME, linewidth=width))


def page_figure(
    layout: Layout, characters: tuple[str, ...], page: int, pages: int, fonts: dict[str, Path], trace: int = 1
) -> Figure:
    """One page as a matplotlib figure in the size of the paper.

    characters: the at most 11 characters of this page; page counts from 1; fonts: from
    `choose_fonts`; trace: how many boxes a character show a faint model to trace (0 to 7).
    """
    figure = Figure(figsize=(layout.width / 25.4, layout.height / 25.4), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, layout.width), ylim=(layout.height, 0))
    axes.axis("off")

    def fill(outline: Outline, colour) -> None:
        axes.add_patch(PathPatch(outline, facecolor=colour, edgecolor="none", linewidth=0))

    def write(x: float, y: float, text: str, size: float, **options) -> None:
        axes.text(x, y, text, fontsize=size, family="DejaVu Sans", color=INK, **options)

    for code in page_codes(layout, page, characters):
        fill(_modules_outline(*code), "black")
    top = layout.first_row
    write(layout.left, top - 16.5, "Your own handwriting", 15, weight="bold")
    write(layout.left, top - 11.5, f"page {page} of {pages}, {layout.paper}", 9)
    write(
        layout.left, top - 3,
        "Write each character once in each of its boxes, with a blue or black pen,\n"
        "inside the frame. Leave out what you like: empty boxes are skipped.",
        8, linespacing=1.35,
    )  # fmt: skip
    for row, character in enumerate(characters):
        x, y, width, height = layout.label(row)
        fill(_glyph_outline(character, fonts[character], (x + width / 2, y + 8.4), 14), INK)
        if character in MEANINGS:
            write(x + width / 2, y + height - 0.6, MEANINGS[character].pinyin, 7.5, ha="center")
        for column in range(BOXES):
            x, y = layout.box(row, column)
            if column < trace:
                centre = (x + BOX / 2, y + BOX / 2)
                fill(_glyph_outline(character, fonts[character], centre, 16), MODEL)
            _guides(axes, x, y)
    bottom = top + (len(characters) - 1) * layout.row_pitch + BOX + 4.5
    write(
        layout.left, bottom,
        "Then photograph or scan the whole page, all six black squares in the picture, and run\n"
        "python -m tools.sheet read PHOTO --out data/mine",
        8, va="top", linespacing=1.35,
    )  # fmt: skip
    return figure


def make_sheet(
    path: str | os.PathLike,
    characters,
    paper: str = "A4",
    trace: int = 1,
    font: str | os.PathLike | None = None,
    replace: bool = False,
) -> int:
    """Write the printable sheet as a vector PDF and return the number of its pages.

    path: the PDF file; characters: a string or sequence, 11 a page; paper: "A4" or "Letter";
    trace: boxes a character with a faint model to trace; font: a font file for the models.
    A file that holds something else is kept unless replace is True. Raises SheetError.
    """
    path, layout, pages = Path(path), page_layout(paper), split_pages(characters)
    if not 0 <= trace <= BOXES:
        raise SheetError(f"{trace} boxes to trace: choose from 0 to {BOXES}.")
    fonts = choose_fonts(sum(pages, ()), font)
    content = io.BytesIO()
    # no date inside: the same sheet is the same file
    metadata = {"CreationDate": None, "Title": "Your own handwriting"}
    # a notebook's plot style must not crop or scale the page
    with style.context("default"), PdfPages(content, metadata=metadata) as pdf:
        for page, members in enumerate(pages, 1):
            pdf.savefig(page_figure(layout, members, page, len(pages), fonts, trace))
    try:
        if path.exists() and not replace and path.read_bytes() != content.getvalue():
            raise SheetError(f"{path} exists and is not this sheet. Add --replace or another --out.")
        write_whole(path, content.getvalue())
    except OSError as error:
        raise SheetError(f"{path} cannot be written: {error}. Name a PDF file with --out.") from error
    return len(pages)
