"""What all drawings of the course are made of: cells, stacks, boxes, arrows and labels.

A drawing lives on one axis from `sheet()`, measured in cells: x to the right, y downwards, one
unit a pixel of the tensor that is shown. Every thing is drawn in one way only:

* what goes in is `INPUT` (blue), weights are `KERNEL` (vermillion), what comes out is
  `OUTPUT` (green), and what is only filled up is `PADDING` (grey, hatched);
* cells have thin lines, things thick ones, and what the eye should follow the thickest;
* names stand above a thing, sizes below it.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. Colour
never stands alone: each thing is also labelled or outlined.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from course.plots import _STYLE, AMBER, BLUE, GREEN, INK, PURPLE, SKY, VERMILLION

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle

INPUT, KERNEL, OUTPUT, PADDING = BLUE, VERMILLION, GREEN, "#8a949e"
# Planes of a colour photo. Each plane also carries its letter.
RED, GREEN_CHANNEL, BLUE_CHANNEL = "#d1495b", "#2e933c", "#3066be"
CHANNELS = (RED, GREEN_CHANNEL, BLUE_CHANNEL)
# For a fourth, fifth, … thing of one kind.
MORE = (BLUE, VERMILLION, GREEN, AMBER, PURPLE, SKY)

THIN, THICK, THICKEST = 1.0, 2.2, 4.0  # points
_DIGIT_HEIGHT = 0.727  # of Course Sans, as a share of the font size
_FONT = _STYLE["font.family"]  # also where a notebook has not chosen the course's style
# Points. A figure is shown at 96 px an inch, so that 14 points are just over 18 px on a slide.
SMALL, LABEL, NAME = 14, 15, 17


def sheet(
    width: float, height: float, inches: float = 11.0, *, left: float = 0, top: float = 0
) -> tuple[Figure, Axes]:
    """An empty drawing with equal units, no frame and no margins.

    Args:
        width, height: size in cells.
        inches: width of the figure in inches; its height follows. Slides have room for 11.8.
        left, top: coordinates of the upper left corner.

    Returns:
        The figure and its one axis; y grows downwards.

    Raises:
        ValueError: a size that is not positive.
    """
    if min(width, height, inches) <= 0:
        raise ValueError(f"A sheet needs positive sizes, not {width} x {height}, {inches} inches.")
    with matplotlib.rc_context(_STYLE | {"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(inches, inches * height / width))
        axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(left, left + width), ylim=(top + height, top), aspect="equal")
    axis.set_axis_off()
    return figure, axis


def tint(colour: str, share: float = 0.25) -> tuple[float, float, float]:
    """A colour mixed with white; `share` is the part of the colour, 0 to 1."""
    return tuple(1 - share * (1 - np.array(to_rgb(colour))))


def ink_on(colour: object) -> str:
    """Black or white: the one that can be read on `colour` (WCAG 2.2 relative luminance)."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return INK if luminance > 0.2 else "white"


@dataclass(frozen=True)
class Cells:
    """A drawn grid: where its cells are, for arrows and outlines.

    Attributes:
        left, top: coordinates of the upper left corner.
        rows, columns: number of cells.
        size: side of a cell.
    """

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

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """x and y of the middle of a cell."""
        return self.left + (column + 0.5) * self.size, self.top + (row + 0.5) * self.size


def draw_cells(
    axis: Axes,
    values: np.ndarray | tuple[int, int],
    left: float = 0,
    top: float = 0,
    *,
    size: float = 1.0,
    colour: str = INK,
    fill: object = "white",
    text: str | None = "{:g}",
    fontsize: float = LABEL,
    hatch: str | None = None,
    weight: str = "normal",
    zorder: float = 2,
) -> Cells:
    """Draw a grid of cells, with a number in each where there are numbers.

    Args:
        values: numbers, shape (rows, columns), NaN for an empty cell; or only that shape.
        left, top: where its upper left corner lies, in cells of the sheet.
        size: side of a cell.
        colour: of the outline; inner lines are the same, paler.
        fill: one colour for all cells, or an array (rows, columns) of grey levels 0 to 255, or
            (rows, columns, 3) of colours 0 to 255.
        text: format of the numbers, None to write none.
        hatch: a matplotlib hatch for all cells.
        weight: of the numbers, "normal" or "bold".

    Raises:
        ValueError: values or fill of a wrong shape.
    """
    if isinstance(values, tuple):
        rows, columns = values
        numbers = None
    else:
        numbers = np.asarray(values)
        if numbers.ndim != 2:
            raise ValueError(f"Cells are rows and columns: two axes, not {numbers.shape}.")
        rows, columns = numbers.shape
    colours = _colours(fill, rows, columns)
    inner = tint(colour, 0.45)
    for row in range(rows):
        for column in range(columns):
            x, y = left + column * size, top + row * size
            shade = colours if isinstance(colours, (str, tuple)) else tuple(colours[row, column])
            axis.add_patch(
                Rectangle(
                    (x, y),
                    size,
                    size,
                    facecolor=shade,
                    edgecolor=inner,
                    linewidth=THIN,
                    hatch=hatch,
                    zorder=zorder,
                )
            )
            if numbers is not None and text is not None and not np.isnan(numbers[row, column]):
                number = text.format(numbers[row, column]).replace("-", "−")
                # Digits have no descender: half their height below the middle is their line.
                axis.annotate(
                    number,
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
    axis.add_patch(
        Rectangle(
            (left, top),
            columns * size,
            rows * size,
            fill=False,
            edgecolor=colour,
            linewidth=THICK,
            zorder=zorder + 0.1,
        )
    )
    return Cells(left, top, rows, columns, size)


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
    style: str = "solid",
    linewidth: float = THICKEST,
    zorder: float = 4,
) -> None:
    """A thick frame around some cells of a grid: a footprint, or the output that it makes.

    Args:
        cells: the grid.
        row, column: the upper left cell; it may lie outside, on padding.
        height, width: how many cells; by default all that follow.
        fill: a colour laid over the cells (give it as a tint; it is half transparent).
        style: a matplotlib line style.
    """
    height = cells.rows - row if height is None else height
    width = cells.columns - column if width is None else width
    corner = cells.left + column * cells.size, cells.top + row * cells.size
    if fill != "none":
        axis.add_patch(
            Rectangle(
                corner,
                width * cells.size,
                height * cells.size,
                linewidth=0,
                facecolor=fill,
                alpha=0.35,
                zorder=zorder - 1.9,
            )
        )
    axis.add_patch(
        Rectangle(
            corner,
            width * cells.size,
            height * cells.size,
            fill=False,
            edgecolor=colour,
            linewidth=linewidth,
            linestyle=style,
            joinstyle="miter",
            zorder=zorder,
        )
    )


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
    fills: Sequence[object] | None = None,
    text: Sequence[np.ndarray] | None = None,
    fontsize: float = LABEL,
    zorder: float = 2,
) -> list[Cells]:
    """Draw the channels of a tensor as planes behind each other, the first in front.

    Args:
        channels, rows, columns: the tensor's shape.
        left, top: upper left corner of the plane in front.
        step: how far each plane lies to the right of and above the one in front of it.
        colours: outline of all planes or of each.
        fills: what each plane is filled with (see `draw_cells`); by default a pale tint.
        text: numbers of each plane, shape (rows, columns); only the plane in front shows all.

    Returns:
        The planes, front first. The stack reaches `step * (channels - 1)` above `top` and
        beyond the right of the plane in front.

    Raises:
        ValueError: fewer than one channel, or as many colours as there are not channels.
    """
    if channels < 1:
        raise ValueError(f"A stack needs at least one channel, not {channels}.")
    each = [colours] * channels if isinstance(colours, str) else list(colours)
    if len(each) != channels:
        raise ValueError(f"{len(each)} colours for {channels} channels.")
    planes = []
    for k in reversed(range(channels)):
        fill = tint(each[k], 0.14) if fills is None else fills[k]
        values = (rows, columns) if text is None else np.asarray(text[k])
        planes.append(
            draw_cells(
                axis,
                values,
                left + k * step,
                top - k * step,
                size=size,
                colour=each[k],
                fill=fill,
                fontsize=fontsize,
                zorder=zorder + 0.4 * (channels - k),
            )
        )
    return planes[::-1]


def draw_box(
    axis: Axes,
    left: float,
    bottom: float,
    width: float,
    height: float,
    depth: float,
    *,
    colour: str = INPUT,
    slant: float = 0.5,
    zorder: float = 2,
) -> np.ndarray:
    """A cuboid seen from the front and the upper right: a tensor as a block, to scale.

    Args:
        left, bottom: lower left corner of the face in front.
        width, height: of the face in front (for a feature map: channels and height, say).
        depth: the third side, drawn to the upper right.
        slant: share of `depth` by which the back lies to the right and above.

    Returns:
        Corners of the face in front, shape (4, 2): lower left, then against the clock.

    Raises:
        ValueError: a side that is not positive.
    """
    if min(width, height, depth) <= 0:
        raise ValueError(f"A box needs positive sides, not {width} x {height} x {depth}.")
    shift = np.array([slant * depth, -slant * depth])
    front = np.array(
        [(left, bottom), (left + width, bottom), (left + width, bottom - height), (left, bottom - height)]
    )
    faces = (
        (front, 0.30),
        ([front[3], front[2], front[2] + shift, front[3] + shift], 0.16),
        ([front[1], front[1] + shift, front[2] + shift, front[2]], 0.45),
    )
    for corners, share in faces:
        axis.add_patch(
            Polygon(
                corners,
                closed=True,
                facecolor=tint(colour, share),
                edgecolor=colour,
                linewidth=THICK * 0.7,
                joinstyle="round",
                zorder=zorder,
            )
        )
    return front


def draw_arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    *,
    colour: str = INK,
    bend: float = 0.0,
    linewidth: float = THICK,
    fontsize: float = LABEL,
    offset: tuple[float, float] = (0, -0.25),
    zorder: float = 5,
) -> None:
    """An arrow, with an optional label at its middle.

    Args:
        start, end: x and y.
        bend: curvature; 0 is straight.
        offset: from the arrow's middle to the label, in cells; labels are centred.
    """
    axis.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=7,head_width=4",
            shrinkA=0,
            shrinkB=0,
            mutation_scale=1,
            connectionstyle=f"arc3,rad={bend}",
            color=colour,
            linewidth=linewidth,
            capstyle="butt",
            zorder=zorder,
        )
    )
    if text:
        middle = (np.array(start) + np.array(end)) / 2 + np.array(offset)
        axis.text(
            *middle,
            text,
            ha="center",
            va="bottom" if offset[1] <= 0 else "top",
            fontsize=fontsize,
            fontfamily=_FONT,
            color=INK,
            zorder=zorder,
        )


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
    zorder: float = 6,
) -> None:
    """Text at a point. `SMALL` is the smallest size that the back row can read."""
    if fontsize < SMALL:
        raise ValueError(f"Text of {fontsize} points is too small to read; use at least {SMALL}.")
    axis.text(
        x,
        y,
        text,
        ha=ha,
        va=va,
        fontsize=fontsize,
        color=colour,
        fontweight=weight,
        fontfamily=_FONT,
        zorder=zorder,
    )


def name_above(axis: Axes, cells: Cells, text: str, *, colour: str = INK, gap: float = 0.3) -> None:
    """The name of a grid, in bold, centred above it."""
    write(
        axis, cells.middle[0], cells.top - gap, text, fontsize=NAME, weight="bold", colour=colour, va="bottom"
    )


def size_below(axis: Axes, cells: Cells, text: str | None = None, *, gap: float = 0.3) -> None:
    """The size of a grid, centred below it; by default rows × columns."""
    text = f"{cells.rows} × {cells.columns}" if text is None else text
    write(axis, cells.middle[0], cells.bottom + gap, text, fontsize=LABEL, va="top")


def sign(axis: Axes, x: float, y: float, text: str) -> None:
    """An operator between two things: +, =, ×, ⋆."""
    write(axis, x, y, text, fontsize=32 if text == "⋆" else 26)
