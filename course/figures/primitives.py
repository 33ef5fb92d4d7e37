"""What all drawings of the course are made of: cells, stacks, arrows and labels.

A drawing lives on one axis from `sheet()`, measured in cells: x to the right, y downwards, one
unit a pixel of the tensor that is shown. `course.figures.style` says what the colours mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from course.figures.style import INPUT, KERNEL, LABEL, NAME, SMALL, THICK, THICKEST, THIN, ink_on, tint
from course.plots import _STYLE, INK

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

Point = tuple[float, float]
Grid = np.ndarray | tuple[int, int]  # numbers (rows, columns), or only that shape

_DIGIT_HEIGHT = 0.727  # of Course Sans, as a share of the font size
_FONT = _STYLE["font.family"]  # also where a notebook has not chosen the course's style


def sheet(width: float, height: float, inches: float = 11.0) -> tuple[Figure, Axes]:
    """An empty drawing with equal units, no frame and no margins; y grows downwards.

    Width and height count cells; `inches` is the width of the figure. Slides have room for 11.8.
    """
    with matplotlib.rc_context(_STYLE | {"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(inches, inches * height / width))
        axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axis.set_axis_off()
    return figure, axis


@dataclass(frozen=True)
class Cells:
    """A drawn grid: where its cells, of the given size, are, for arrows and outlines."""

    left: float
    top: float
    rows: int
    columns: int
    size: float = 1.0

    @property
    def right(self) -> float:
        return self.left + self.columns * self.size

    @property
    def bottom(self) -> float:
        return self.top + self.rows * self.size

    @property
    def middle(self) -> Point:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def minus(text: str) -> str:
    """The text with a true minus sign for each hyphen."""
    return text.replace("-", "−")


def draw_cells(
    axis: Axes,
    values: Grid,
    left: float = 0,
    top: float = 0,
    *,
    size: float = 1.0,
    colour: str = INK,
    fill: object = "white",
    fontsize: float = LABEL,
    weight: str = "normal",
    hatch: str | None = None,
    zorder: float = 2,
) -> Cells:
    """Draw a grid of cells, with a number in each where there are numbers.

    `values` are numbers (rows, columns), NaN for an empty cell, or only that shape; `left`, `top` and `size`
    the upper left corner of the grid and the side of a cell, in cells of the sheet; `colour` that of the
    outline, and paler of inner lines; `fill` one colour for all, or colours (rows, columns, 3), 0 to 255.
    """
    numbers = np.full(values, np.nan) if isinstance(values, tuple) else np.asarray(values)
    style = {"edgecolor": tint(colour, 0.45), "linewidth": THIN, "hatch": hatch, "zorder": zorder}
    text_style = {"fontsize": fontsize, "fontweight": weight, "fontfamily": _FONT, "zorder": zorder + 0.2}
    # Digits have no descender: half their height below the middle is their line.
    place = {"xytext": (0, -0.5 * _DIGIT_HEIGHT * fontsize), "textcoords": "offset points", "ha": "center"}
    for (row, column), number in np.ndenumerate(numbers):
        x, y = left + column * size, top + row * size
        shade = fill if isinstance(fill, (str, tuple)) else tuple(fill[row, column] / 255)
        axis.add_patch(Rectangle((x, y), size, size, facecolor=shade, **style))
        if not np.isnan(number):
            middle = (x + size / 2, y + size / 2)
            axis.annotate(minus(f"{number:g}"), middle, color=ink_on(shade), **place, **text_style)
    cells = Cells(left, top, *numbers.shape, size)
    outline(axis, cells, colour=colour, linewidth=THICK, zorder=zorder + 0.1)
    return cells


def draw_named(
    axis: Axes, name: str, values: Grid, left: float, top: float, colour: str, share: float = 0.14, **options
) -> Cells:
    """Draw cells in a tint of their colour, with a name above and the size below (see `draw_cells`)."""
    cells = draw_cells(axis, values, left, top, colour=colour, **{"fill": tint(colour, share)} | options)
    name_above(axis, cells, name, colour=colour)
    size_below(axis, cells)
    return cells


def outline(
    axis: Axes,
    cells: Cells,
    row: int = 0,
    column: int = 0,
    height: int | None = None,
    width: int | None = None,
    *,
    colour: str = KERNEL,
    fill: object = "none",
    linewidth: float = THICKEST,
    zorder: float = 4,
) -> None:
    """A thick frame around cells of a grid, by default all: a footprint, or the output that it makes.

    The upper left cell may lie outside, on padding. The `fill`, a tint, is half transparent.
    """
    size = cells.size
    corner = cells.left + column * size, cells.top + row * size
    sides = (width or cells.columns) * size, (height or cells.rows) * size
    if fill != "none":
        over = {"linewidth": 0, "facecolor": fill, "alpha": 0.35, "zorder": zorder - 1.9}
        axis.add_patch(Rectangle(corner, *sides, **over))
    style = {"edgecolor": colour, "linewidth": linewidth, "zorder": zorder}
    axis.add_patch(Rectangle(corner, *sides, fill=False, joinstyle="miter", **style))


def draw_stack(
    axis: Axes,
    channels: int,
    rows: int,
    columns: int,
    left: float,
    top: float,
    *,
    size: float = 1.0,
    step: float = 0.55,
    colours: Sequence[str] | str = INPUT,
    zorder: float = 2,
) -> list[Cells]:
    """Draw the channels of a tensor as planes behind each other; returned with the front first.

    Each plane lies `step` to the right of and above the one in front of it, whose upper left corner
    is given; `colours` is that of all outlines or of each.
    """
    planes = []
    for k in reversed(range(channels)):
        colour = colours if isinstance(colours, str) else colours[k]
        style = {"colour": colour, "fill": tint(colour, 0.14), "zorder": zorder + 0.4 * (channels - k)}
        planes.append(draw_cells(axis, (rows, columns), left + k * step, top - k * step, size=size, **style))
    return planes[::-1]


def draw_arrow(axis: Axes, start: Point, end: Point, text: str = "", *, fontsize: float = LABEL) -> None:
    """A straight arrow, with an optional label above its middle."""
    head = {"arrowstyle": "-|>,head_length=7,head_width=4", "mutation_scale": 1, "capstyle": "butt"}
    style = {"color": INK, "linewidth": THICK, "zorder": 5}
    axis.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **head, **style))
    if text:
        x, y = (np.array(start) + np.array(end)) / 2
        write(axis, x, y - 0.25, text, fontsize=fontsize, va="bottom")


def write(
    axis: Axes,
    x: float,
    y: float,
    text: str,
    *,
    fontsize: float = LABEL,
    colour: str = INK,
    weight: str = "normal",
    ha: str = "center",
    va: str = "center",
) -> None:
    """Text at a point. `SMALL` is the smallest size that the back row can read."""
    if fontsize < SMALL:
        raise ValueError(f"Text of {fontsize} points is too small to read; use at least {SMALL}.")
    style = {"fontsize": fontsize, "fontweight": weight, "fontfamily": _FONT, "color": colour}
    axis.text(x, y, text, ha=ha, va=va, zorder=6, **style)


def name_above(axis: Axes, cells: Cells, text: str, *, colour: str = INK, gap: float = 0.3) -> None:
    """The name of a grid, in bold, centred above it."""
    style = {"fontsize": NAME, "weight": "bold", "colour": colour}
    write(axis, cells.middle[0], cells.top - gap, text, va="bottom", **style)


def size_below(axis: Axes, cells: Cells, text: str | None = None) -> None:
    """The size of a grid, centred below it; by default rows × columns."""
    write(axis, cells.middle[0], cells.bottom + 0.3, text or f"{cells.rows} × {cells.columns}", va="top")


def sign(axis: Axes, x: float, y: float, text: str) -> None:
    """An operator between two things: +, =, ×, ⋆."""
    write(axis, x, y, text, fontsize=32 if text == "⋆" else 26)
