"""Drawings of whole networks, and of pooling."""

from course.figures.primitives import (
    draw_arrow,
    draw_cells,
    draw_named,
    draw_stack,
    name_above,
    outline,
    sheet,
    size_below,
    write,
)
from course.figures.style import INPUT, KERNEL, MORE, NAME, OUTPUT, SMALL, THICK, tint

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

_FOLD = 80  # longest column of a vector, in the drawing's units
_NAMES = {
    "Conv2D": "conv",
    "MaxPooling2D": "pool",
    "AveragePooling2D": "pool",
    "GlobalAveragePooling2D": "pool",
    "Flatten": "flatten",
    "Dense": "dense",
}
_COLOURS = {"input": INPUT, "conv": OUTPUT, "pool": MORE[4]}


def draw_network(model: object) -> Figure:
    """A sequential CNN to scale: one unit of length is a pixel, a channel or a number.

    Height and depth of a block are its rows and columns, its width the channels. Vectors are
    columns; a long one is folded into columns of 80. Layers that change no shape (rescaling,
    dropout, activations) are left out. A ValueError names a layer without a fixed size.
    """
    stages = [("input", tuple(model.input_shape[1:]))]
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if None in shape:
            raise ValueError(f"{layer.name} has an output of shape {shape}: no fixed size, so no scale.")
        kind = type(layer).__name__
        if kind in _NAMES or shape != stages[-1][1]:
            stages.append((_NAMES.get(kind, kind.lower()), shape))
    blocks = []  # name, text below it; width, height and depth; width with what the depth adds
    for name, shape in stages:
        if len(shape) == 3:
            rows, columns, channels = shape
            text, size = f"{rows} × {columns}\n× {channels}", (channels, rows, columns)
        else:
            text, size = f"{shape[0]:,}", (-(-shape[0] // _FOLD), min(shape[0], _FOLD), 1)
        blocks.append((name, text, size, size[0] + 0.5 * size[2]))
    base = max(size[1] + 0.5 * size[2] for _, _, size, _ in blocks) + 4
    pitches = [max(whole + 9, 42) for *_, whole in blocks]
    figure, axis = sheet(sum(pitches), base + 52, 11.8)
    left = 0.0
    for (name, text, size, whole), pitch in zip(blocks, pitches):
        colour = _COLOURS.get(name, KERNEL)
        _draw_box(axis, left + (pitch - whole) / 2, base, *size, colour)
        middle = left + pitch / 2
        write(axis, middle, base + 5, name, fontsize=SMALL, weight="bold", va="top", colour=colour)
        write(axis, middle, base + 19, text, fontsize=SMALL, va="top")
        left += pitch
    return figure


def _draw_box(
    axis: Axes, left: float, bottom: float, width: float, height: float, depth: float, colour: str
) -> None:
    """A cuboid by the lower left corner of its front; its depth goes to the upper right."""
    across, up, shift = np.array([width, 0]), np.array([0, -height]), np.array([0.5, -0.5]) * depth
    corner = np.array([left, bottom])
    front = corner, across, up, 0.30
    top, side = (corner + up, across, shift, 0.16), (corner + across, shift, up, 0.45)
    style = {"edgecolor": colour, "linewidth": THICK * 0.7, "joinstyle": "round", "zorder": 2}
    for start, one, other, share in (front, top, side):
        corners = [start, start + one, start + one + other, start + other]
        axis.add_patch(Polygon(corners, facecolor=tint(colour, share), **style))


def draw_pooling(values: np.ndarray) -> Figure:
    """Max and average pooling of one channel, in blocks of 2 × 2, with the numbers."""
    rows, columns = values.shape[0] // 2, values.shape[1] // 2
    blocks = values.reshape(rows, 2, columns, 2)
    colours = {
        (row, column): MORE[(2 * row + column) % len(MORE)] for row, column in np.ndindex(rows, columns)
    }
    small = np.array([tint(colour, 0.28) for colour in colours.values()]).reshape(rows, columns, 3) * 255
    fills = small.repeat(2, axis=0).repeat(2, axis=1)
    figure, axis = sheet(3 * columns + 4.6, 2 * rows + 6, 5.2)
    grid = draw_named(axis, "input", values, 0.5, 3, INPUT, fill=fills, fontsize=NAME)
    for (row, column), colour in colours.items():
        outline(axis, grid, row * 2, column * 2, 2, 2, colour=colour)
    top = 1.3
    for name, pooled in (("max", blocks.max((1, 3))), ("average", blocks.mean((1, 3)))):
        result = draw_cells(axis, pooled, grid.right + 3.6, top, colour=OUTPUT, fill=small)
        name_above(axis, result, name, colour=OUTPUT)
        middle = result.middle[1]
        start = grid.middle[1] + 0.35 * (middle - grid.middle[1])
        draw_arrow(axis, (grid.right + 0.6, start), (result.left - 0.5, middle))
        top += rows + 2.6
    return figure


def draw_multichannel_pooling(rows: int, filters: int) -> Figure:
    """One channel of as many columns as rows, same-padded 3 × 3 filters, then max pooling of each channel."""
    step, gap = 0.8, 4.2
    reach = step * (filters - 1)
    pooled = rows // 2
    top = 1.6 + reach
    figure, axis = sheet(1 + rows + gap + rows + reach + gap + pooled + reach + 1.5, top + rows + 1.6, 8.0)
    colours = [MORE[k % len(MORE)] for k in range(filters)]
    grid = draw_cells(axis, (rows, rows), 0.5, top, colour=INPUT, fill=tint(INPUT, 0.14))
    name_above(axis, grid, "input", colour=INPUT, gap=0.4)
    size_below(axis, grid, f"{rows} × {rows} × 1")
    middle = top + rows / 2
    before = grid.right
    for side, block, text in ((rows, 2, f"{filters} filters\n3 × 3, same"), (pooled, 1, "max pool\n2 × 2")):
        left, top = before + gap, middle - side / 2
        maps = draw_stack(axis, filters, side, side, left, top, step=step, colours=colours)
        draw_arrow(axis, (before + 0.3, middle), (left - 0.3, middle), text, fontsize=SMALL)
        size_below(axis, maps[0], f"{side} × {side} × {filters}")
        outline(axis, maps[0], 0, 0, block, block, colour=colours[0])
        before = maps[0].right + reach
    return figure
