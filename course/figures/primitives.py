"""What all drawings of the course are made of: cells, stacks, boxes, arrows and labels.

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
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle

_DIGIT_HEIGHT = 0.727  # of Course Sans, as a share of the font size
_FONT = _STYLE["font.family"]  # also where a notebook has not chosen the course's style


def sheet(width: float, height: float, inches: float = 11.0) -> tuple[Figure, Axes]:
    """An empty drawing with equal units, no frame and no margins; y grows downwards.

    Width and height count cells; `inches` is the width of the figure. Slides have room for 11.8.
    """
    if min(width, height, inches) <= 0:
        raise ValueError(f"A sheet needs positive sizes, not {width} x {height}, {inches} inches.")
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
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def _rectangle(axis: Axes, left: float, top: float, width: float, height: float, **options) -> None:
    axis.add_patch(Rectangle((left, top), width, height, **options))


def draw_cells(
    axis: Axes,
    values: np.ndarray | tuple[int, int],
    left: float = 0,
    top: float = 0,
    *,
    size: float = 1.0,
    colour: str = INK,
    fill: object = "white",
    fontsize: float = LABEL,
    hatch: str | None = None,
    weight: str = "normal",
    zorder: float = 2,
) -> Cells:
    """Draw a grid of cells, with a number in each where there are numbers.

    Parameters
    ----------
    values : ndarray, shape (rows, columns), or tuple
        Numbers, NaN for an empty cell; or only that shape.
    left, top, size : float
        Upper left corner of the grid and side of a cell, in cells of the sheet.
    colour : str
        Of the outline; inner lines are the same, paler.
    fill : str, tuple or ndarray
        One colour for all cells, or grey levels (rows, columns) or colours (rows, columns, 3), 0 to 255.
    weight : str
        Of the numbers, "normal" or "bold".
    """
    numbers = None
    if isinstance(values, tuple):
        rows, columns = values
    else:
        numbers = np.asarray(values)
        if numbers.ndim != 2:
            raise ValueError(f"Cells are rows and columns: two axes, not {numbers.shape}.")
        rows, columns = numbers.shape
    colours = _colours(fill, rows, columns)
    style = {"edgecolor": tint(colour, 0.45), "linewidth": THIN, "hatch": hatch, "zorder": zorder}
    for row, column in np.ndindex(rows, columns):
        x, y = left + column * size, top + row * size
        shade = colours if isinstance(colours, (str, tuple)) else tuple(colours[row, column])
        _rectangle(axis, x, y, size, size, facecolor=shade, **style)
        if numbers is not None and not np.isnan(numbers[row, column]):
            # Digits have no descender: half their height below the middle is their line.
            axis.annotate(
                f"{numbers[row, column]:g}".replace("-", "−"),
                (x + size / 2, y + size / 2),
                (0, -0.5 * _DIGIT_HEIGHT * fontsize),
                textcoords="offset points",
                ha="center",
                va="baseline",
                fontsize=fontsize,
                color=ink_on(shade),
                fontweight=weight,
                fontfamily=_FONT,
                zorder=zorder + 0.2,
            )
    cells = Cells(left, top, rows, columns, size)
    outline(axis, cells, colour=colour, linewidth=THICK, zorder=zorder + 0.1)
    return cells


def _colours(fill: object, rows: int, columns: int) -> object:
    if isinstance(fill, (str, tuple)):
        return fill
    levels = np.asarray(fill, dtype=float) / 255
    if levels.shape == (rows, columns):
        levels = np.repeat(levels[..., np.newaxis], 3, axis=2)
    if levels.shape != (rows, columns, 3):
        raise ValueError(
            f"fill should be a colour, or an array of shape ({rows}, {columns}) or "
            f"({rows}, {columns}, 3), not {levels.shape}."
        )
    return levels


def draw_named(
    axis: Axes,
    name: str,
    values: np.ndarray | tuple[int, int],
    left: float,
    top: float,
    colour: str,
    share: float = 0.14,
    size_text: str | None = None,
    **options,
) -> Cells:
    """Draw cells in a tint of their colour, with a name above and the size below (see `draw_cells`)."""
    options = {"fill": tint(colour, share)} | options
    cells = draw_cells(axis, values, left, top, colour=colour, **options)
    name_above(axis, cells, name, colour=colour)
    size_below(axis, cells, size_text)
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
    """A thick frame around some cells of a grid: a footprint, or the output that it makes.

    Parameters
    ----------
    row, column : int
        The upper left cell; it may lie outside, on padding.
    height, width : int, optional
        How many cells; by default all that follow.
    fill : colour
        Laid over the cells (give it as a tint; it is half transparent).
    """
    height = cells.rows - row if height is None else height
    width = cells.columns - column if width is None else width
    place = (
        cells.left + column * cells.size,
        cells.top + row * cells.size,
        width * cells.size,
        height * cells.size,
    )
    if fill != "none":
        _rectangle(axis, *place, linewidth=0, facecolor=fill, alpha=0.35, zorder=zorder - 1.9)
    style = {"edgecolor": colour, "linewidth": linewidth, "zorder": zorder}
    _rectangle(axis, *place, fill=False, joinstyle="miter", **style)


def draw_stack(
    axis: Axes,
    channels: int,
    rows: int,
    columns: int,
    left: float = 0,
    top: float = 0,
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
    if channels < 1:
        raise ValueError(f"A stack needs at least one channel, not {channels}.")
    each = [colours] * channels if isinstance(colours, str) else list(colours)
    if len(each) != channels:
        raise ValueError(f"{len(each)} colours for {channels} channels.")
    planes = []
    for k in reversed(range(channels)):
        style = {"colour": each[k], "fill": tint(each[k], 0.14), "zorder": zorder + 0.4 * (channels - k)}
        planes.append(draw_cells(axis, (rows, columns), left + k * step, top - k * step, size=size, **style))
    return planes[::-1]


def draw_box(
    axis: Axes, left: float, bottom: float, width: float, height: float, depth: float, *, colour: str = INPUT
) -> None:
    """A cuboid seen from the front and the upper right: a tensor as a block, to scale.

    Width and height are of the face in front (for a feature map: channels and height, say), whose
    lower left corner is given; the depth goes to the upper right.
    """
    if min(width, height, depth) <= 0:
        raise ValueError(f"A box needs positive sides, not {width} x {height} x {depth}.")
    across, up, shift = np.array([width, 0]), np.array([0, -height]), np.array([0.5, -0.5]) * depth
    corner = np.array([left, bottom])
    # front, top, right side
    faces = (
        (corner, across, up, 0.30),
        (corner + up, across, shift, 0.16),
        (corner + across, shift, up, 0.45),
    )
    for start, one, other, share in faces:
        axis.add_patch(
            Polygon(
                [start, start + one, start + one + other, start + other],
                closed=True,
                facecolor=tint(colour, share),
                edgecolor=colour,
                linewidth=THICK * 0.7,
                joinstyle="round",
                zorder=2,
            )
        )


def draw_arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    *,
    colour: str = INK,
    fontsize: float = LABEL,
) -> None:
    """A straight arrow, with an optional label above its middle."""
    axis.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=7,head_width=4",
            shrinkA=0,
            shrinkB=0,
            mutation_scale=1,
            color=colour,
            linewidth=THICK,
            capstyle="butt",
            zorder=5,
        )
    )
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
    text = f"{cells.rows} × {cells.columns}" if text is None else text
    write(axis, cells.middle[0], cells.bottom + 0.3, text, va="top")


def sign(axis: Axes, x: float, y: float, text: str) -> None:
    """An operator between two things: +, =, ×, ⋆."""
    write(axis, x, y, text, fontsize=32 if text == "⋆" else 26)
