"""Drawings of whole networks, and of pooling."""

from course.figures.primitives import (
    draw_arrow,
    draw_box,
    draw_cells,
    draw_named,
    draw_stack,
    name_above,
    outline,
    sheet,
    size_below,
    write,
)
from course.figures.style import INPUT, KERNEL, MORE, NAME, OUTPUT, SMALL, tint

import numpy as np
from matplotlib.figure import Figure

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


def draw_network(model: object, *, inches: float = 11.8) -> Figure:
    """A sequential CNN to scale: one unit of length is a pixel, a channel or a number.

    Height and depth of a block are its rows and columns, its width the channels. Vectors are
    columns; a long one is folded into columns of 80. Layers that change no shape (rescaling,
    dropout, activations) are left out.

    Raises
    ------
    ValueError
        The model has no layer with an output of fixed size.
    """
    stages = _stages(model)
    sizes = [_box_size(shape) for _, shape in stages]
    tallest = max(height + 0.5 * depth for _, height, depth in sizes)
    wholes = [width + 0.5 * depth for width, _, depth in sizes]
    pitches = [max(whole + 9, 42) for whole in wholes]
    figure, axis = sheet(sum(pitches), tallest + 56, inches)
    base = tallest + 4
    left = 0.0
    for (name, shape), size, whole, pitch in zip(stages, sizes, wholes, pitches):
        colour = _COLOURS.get(name, KERNEL)
        draw_box(axis, left + (pitch - whole) / 2, base, *size, colour=colour)
        text = f"{shape[0]} × {shape[1]}\n× {shape[2]}" if len(shape) == 3 else f"{shape[0]:,}"
        middle = left + pitch / 2
        write(axis, middle, base + 5, name, fontsize=SMALL, weight="bold", va="top", colour=colour)
        write(axis, middle, base + 19, text, fontsize=SMALL, va="top")
        left += pitch
    return figure


def _stages(model: object) -> list[tuple[str, tuple[int, ...]]]:
    """What to draw: a name and a shape without the batch axis for each change of shape."""
    stages = [("input", tuple(model.input_shape[1:]))]
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if None in shape or len(shape) not in (1, 3):
            raise ValueError(
                f"{layer.name} has an output of shape {shape}; only images and "
                "vectors of fixed size can be drawn to scale."
            )
        kind = type(layer).__name__
        if kind in _NAMES or shape != stages[-1][1]:
            stages.append((_NAMES.get(kind, kind.lower()), shape))
    if len(stages) == 1:
        raise ValueError("The model has no layer that could be drawn.")
    return stages


def _box_size(shape: tuple[int, ...]) -> tuple[float, float, float]:
    """Width, height and depth of a block."""
    if len(shape) == 3:
        return shape[2], shape[0], shape[1]
    return -(-shape[0] // _FOLD), min(shape[0], _FOLD), 1


def draw_pooling(values: np.ndarray, size: int = 2) -> Figure:
    """Max and average pooling of one channel, in blocks of `size`, with the numbers.

    Raises
    ------
    ValueError
        Values that do not fall into whole blocks.
    """
    values = np.asarray(values)
    rows, columns = values.shape
    if rows % size or columns % size:
        raise ValueError(f"{rows} × {columns} does not fall into blocks of {size} × {size}.")
    blocks = values.reshape(rows // size, size, columns // size, size)
    colours = {
        (row, column): MORE[(2 * row + column) % len(MORE)]
        for row, column in np.ndindex(rows // size, columns // size)
    }
    small = np.empty((rows // size, columns // size, 3))
    for place, colour in colours.items():
        small[place] = 255 * np.array(tint(colour, 0.28))
    fills = small.repeat(size, axis=0).repeat(size, axis=1)
    height = max(rows, 2 * (rows // size) + 3.4)
    figure, axis = sheet(columns + columns // size + 4.6, height + 2.6, 5.2)
    top = 1.3 + (height - rows) / 2
    grid = draw_named(axis, "input", values, 0.5, top, INPUT, fill=fills, fontsize=NAME)
    for (row, column), colour in colours.items():
        outline(axis, grid, row * size, column * size, size, size, colour=colour)
    top = 1.3
    for name, pooled in (("max", blocks.max((1, 3))), ("average", blocks.mean((1, 3)))):
        result = draw_cells(axis, pooled, grid.right + 3.6, top, colour=OUTPUT, fill=small)
        name_above(axis, result, name, colour=OUTPUT)
        middle = result.middle[1]
        start = grid.middle[1] + 0.35 * (middle - grid.middle[1])
        draw_arrow(axis, (grid.right + 0.6, start), (result.left - 0.5, middle))
        top += rows // size + 2.6
    return figure


def draw_multichannel_pooling(rows: int, filters: int, kernel: int = 3, size: int = 2) -> Figure:
    """One channel, several same-padded filters, then max pooling in each channel on its own.

    The input has as many columns as rows; `kernel` is the side of a filter, `size` that of a block.

    Raises
    ------
    ValueError
        Rows that do not fall into whole blocks, or no filter.
    """
    if rows % size or filters < 1:
        raise ValueError(f"{rows} rows do not fall into blocks of {size}, or {filters} filters.")
    step, gap = 0.8, 4.2
    reach = step * (filters - 1)
    pooled = rows // size
    top = 1.6 + reach
    figure, axis = sheet(1 + rows + gap + rows + reach + gap + pooled + reach + 1.5, top + rows + 1.6, 8.0)
    colours = [MORE[k % len(MORE)] for k in range(filters)]
    grid = draw_cells(axis, (rows, rows), 0.5, top, colour=INPUT, fill=tint(INPUT, 0.14))
    name_above(axis, grid, "input", colour=INPUT, gap=0.4)
    size_below(axis, grid, f"{rows} × {rows} × 1")
    middle = top + rows / 2
    before = grid.right
    for side, block, text in (
        (rows, size, f"{filters} filters\n{kernel} × {kernel}, same"),
        (pooled, 1, f"max pool\n{size} × {size}"),
    ):
        left, top = before + gap, middle - side / 2
        maps = draw_stack(axis, filters, side, side, left, top, step=step, colours=colours)
        draw_arrow(axis, (before + 0.3, middle), (left - 0.3, middle), text, fontsize=SMALL)
        size_below(axis, maps[0], f"{side} × {side} × {filters}")
        outline(axis, maps[0], 0, 0, block, block, colour=colours[0])
        before = maps[0].right + reach
    return figure
