"""Drawings of whole networks, and of pooling."""

from collections.abc import Sequence

from course.figures.primitives import (
    INPUT,
    KERNEL,
    LABEL,
    MORE,
    NAME,
    OUTPUT,
    SMALL,
    draw_arrow,
    draw_box,
    draw_cells,
    draw_stack,
    name_above,
    outline,
    sheet,
    size_below,
    tint,
    write,
)

import numpy as np
from matplotlib.figure import Figure

_FOLD = 80  # longest column of a vector, in the drawing's units


def draw_network(model: object, *, inches: float = 11.8) -> Figure:
    """A sequential CNN to scale: one unit of length is a pixel, a channel or a number.

    Height and depth of a block are its rows and columns, its width the channels. Vectors are
    columns; a long one is folded into columns of 80.

    Args:
        model: a built Keras model whose layers stand in one line. Layers that change no shape
            (rescaling, dropout, activations) are left out.
        inches: width of the figure.

    Raises:
        ValueError: the model has no layer with an output of fixed size.
    """
    stages = _stages(model)
    sizes = [_box_size(shape) for _, shape in stages]
    widths = [width + 0.5 * depth for width, _, depth in sizes]
    pitches = [max(width + 9, 42) for width in widths]
    tallest = max(height + 0.5 * depth for _, height, depth in sizes)
    figure, axis = sheet(sum(pitches), tallest + 56, inches)
    base = tallest + 4
    left = 0.0
    for (name, shape), (width, height, depth), whole, pitch in zip(stages, sizes, widths, pitches):
        colour = (
            INPUT
            if name == "input"
            else OUTPUT
            if name.startswith("conv")
            else (MORE[4] if name.startswith("pool") else KERNEL)
        )
        start = left + (pitch - whole) / 2
        draw_box(axis, start, base, width, height, depth, colour=colour)
        if len(shape) == 3:
            size = f"{shape[0]} × {shape[1]}\n× {shape[2]}"
        else:
            size = f"{shape[0]:,}"
        write(axis, left + pitch / 2, base + 5, name, fontsize=SMALL, weight="bold", va="top", colour=colour)
        write(axis, left + pitch / 2, base + 19, size, fontsize=SMALL, va="top")
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
        names = {
            "Conv2D": "conv",
            "MaxPooling2D": "pool",
            "AveragePooling2D": "pool",
            "Flatten": "flatten",
            "Dense": "dense",
            "GlobalAveragePooling2D": "pool",
        }
        if kind in names:
            stages.append((names[kind], shape))
        elif shape != stages[-1][1]:
            stages.append((kind.lower(), shape))
    if len(stages) == 1:
        raise ValueError("The model has no layer that could be drawn.")
    return stages


def _box_size(shape: Sequence[int]) -> tuple[float, float, float]:
    """Width, height and depth of a block."""
    if len(shape) == 3:
        return shape[2], shape[0], shape[1]
    return -(-shape[0] // _FOLD), min(shape[0], _FOLD), 1


def draw_pooling(values: np.ndarray, size: int = 2) -> Figure:
    """Max and average pooling of one channel, block by block, with the numbers.

    Args:
        values: shape (rows, columns), multiples of `size`.
        size: side of a block, which is also the stride.

    Raises:
        ValueError: values that do not fall into whole blocks.
    """
    values = np.asarray(values)
    rows, columns = values.shape
    if rows % size or columns % size:
        raise ValueError(f"{rows} × {columns} does not fall into blocks of {size} × {size}.")
    blocks = values.reshape(rows // size, size, columns // size, size)
    height = max(rows, 2 * (rows // size) + 3.4)
    figure, axis = sheet(columns + columns // size + 4.6, height + 2.6, 5.2)
    grid_top = 1.3 + (height - rows) / 2
    fills = np.empty((rows, columns, 3))
    for r in range(rows):
        for c in range(columns):
            fills[r, c] = 255 * np.array(tint(_block_colour(r // size, c // size), 0.28))
    grid = draw_cells(axis, values, 0.5, grid_top, colour=INPUT, fill=fills, fontsize=NAME)
    name_above(axis, grid, "input", colour=INPUT)
    size_below(axis, grid)
    for r in range(rows // size):
        for c in range(columns // size):
            outline(axis, grid, r * size, c * size, size, size, colour=_block_colour(r, c))
    small = fills[::size, ::size]
    top = 1.3
    for name, pooled in (("max", blocks.max((1, 3))), ("average", blocks.mean((1, 3)))):
        result = draw_cells(axis, pooled, grid.right + 3.6, top, colour=OUTPUT, fill=small, fontsize=LABEL)
        name_above(axis, result, name, colour=OUTPUT)
        middle = result.middle[1]
        draw_arrow(
            axis,
            (grid.right + 0.6, grid.middle[1] + 0.35 * (middle - grid.middle[1])),
            (result.left - 0.5, middle),
        )
        top += rows // size + 2.6
    return figure


def _block_colour(row: int, column: int) -> str:
    return MORE[(2 * row + column) % len(MORE)]


def draw_multichannel_pooling(rows: int, filters: int, kernel: int = 3, size: int = 2) -> Figure:
    """One channel, several same-padded filters, then max pooling in each channel on its own.

    Args:
        rows: rows and columns of the input.
        filters: how many, and so how many channels follow.
        kernel: side of each filter.
        size: side of a pooling block.

    Raises:
        ValueError: rows that do not fall into whole blocks, or no filter.
    """
    if rows % size or filters < 1:
        raise ValueError(f"{rows} rows do not fall into blocks of {size}, or {filters} filters.")
    step = 0.8
    reach = step * (filters - 1)
    pooled = rows // size
    top = 1.6 + reach
    gap = 4.2
    width = 1 + rows + gap + rows + reach + gap + pooled + reach + 1.5
    figure, axis = sheet(width, top + rows + 1.6, 8.0)
    colours = [MORE[k % len(MORE)] for k in range(filters)]
    grid = draw_cells(axis, (rows, rows), 0.5, top, colour=INPUT, fill=tint(INPUT, 0.14))
    write(axis, grid.middle[0], top - 0.4, "input", fontsize=NAME, weight="bold", colour=INPUT, va="bottom")
    size_below(axis, grid, f"{rows} × {rows} × 1")
    middle = top + rows / 2
    maps = draw_stack(axis, filters, rows, rows, grid.right + gap, top, step=step, colours=colours)
    draw_arrow(
        axis,
        (grid.right + 0.3, middle),
        (maps[0].left - 0.3, middle),
        f"{filters} filters\n{kernel} × {kernel}, same",
        fontsize=SMALL,
    )
    size_below(axis, maps[0], f"{rows} × {rows} × {filters}")
    outline(axis, maps[0], 0, 0, size, size, colour=colours[0])
    ends = draw_stack(
        axis,
        filters,
        pooled,
        pooled,
        maps[0].right + reach + gap,
        middle - pooled / 2,
        step=step,
        colours=colours,
    )
    outline(axis, ends[0], 0, 0, 1, 1, colour=colours[0])
    draw_arrow(
        axis,
        (maps[0].right + reach + 0.3, middle),
        (ends[0].left - 0.3, middle),
        f"max pool\n{size} × {size}",
        fontsize=SMALL,
    )
    size_below(axis, ends[0], f"{pooled} × {pooled} × {filters}")
    return figure
