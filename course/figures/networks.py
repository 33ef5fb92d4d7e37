"""Drawings of convolution, pooling, layers and whole networks."""

from course.figures.primitives import (
    Cells,
    Point,
    draw_arrow,
    draw_cells,
    draw_named,
    draw_stack,
    minus,
    name_above,
    outline,
    sheet,
    sign,
    size_below,
    write,
)
from course.figures.style import CHANNELS, INPUT, KERNEL, MORE, NAME, OUTPUT, PADDING, SMALL, THICK, tint

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

_FOLD = 80  # longest column of a vector, in the drawing's units
_COLOURS = {"input": INPUT, "conv": OUTPUT, "pool": MORE[4]}


def cross_correlate(values: np.ndarray, kernel: np.ndarray, padding: int = 0) -> np.ndarray:
    """Slide a kernel (height, width) over a grid (rows, columns) without flipping it, as deep learning does.

    `padding` zeros are added on each side; the result has rows + 2 padding - height + 1 rows.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, padding), kernel.shape)
    return (windows * kernel).sum(axis=(-2, -1))


def draw_sliding(
    values: np.ndarray,
    kernel: np.ndarray,
    step: int = 0,
    *,
    padding: int = 0,
    all_outputs: bool = False,
    inches: float = 9.0,
) -> Figure:
    """Input, kernel and output, with one footprint, the output that it makes, and the sum.

    `step` is the number of that output, counted row by row from 0. Outputs after it stay empty
    unless `all_outputs`. Padding is drawn hatched. The rest is as in `cross_correlate`.
    """
    outputs = cross_correlate(values, kernel, padding)
    row, column = np.unravel_index(step, outputs.shape)
    padded = np.array(values.shape) + 2 * padding
    top = 1.6
    height = max(padded[0], kernel.shape[0], outputs.shape[0])
    width = padded[1] + kernel.shape[1] + outputs.shape[1] + 6.4
    figure, axis = sheet(width, height + 4.6, inches)

    whole = Cells(0.6, top + (height - padded[0]) / 2, *padded)
    size = f"{values.shape[0]} × {values.shape[1]}"
    if padding:
        # Zeros all round; the input itself is drawn over the empty middle.
        zeros = np.pad(np.full(values.shape, np.nan), padding)
        draw_cells(axis, zeros, whole.left, whole.top, colour=PADDING, fill="#f0f2f4", hatch="///")
        size += f", padded to {padded[0]} × {padded[1]}"
    left = whole.left + padding
    grid = draw_cells(axis, values, left, whole.top + padding, colour=INPUT, fill=tint(INPUT, 0.14))
    name_above(axis, whole, "input", colour=INPUT)
    size_below(axis, whole, size)
    outline(axis, grid, row - padding, column - padding, *kernel.shape, fill=tint(KERNEL, 0.6))

    sign(axis, whole.right + 0.95, top + height / 2, "⋆")
    kernel_top = top + (height - kernel.shape[0]) / 2
    weights = draw_named(axis, "kernel", kernel, whole.right + 1.9, kernel_top, KERNEL, 0.2)

    sign(axis, weights.right + 0.95, top + height / 2, "=")
    shown = outputs.astype(float)
    if not all_outputs:
        shown.flat[step + 1 :] = np.nan
    output_top = top + (height - outputs.shape[0]) / 2
    result = draw_named(axis, "output", shown, weights.right + 1.9, output_top, OUTPUT)
    outline(axis, result, row, column, 1, 1, colour=OUTPUT, fill=tint(OUTPUT, 0.6))

    # The sum behind the output, a line for each row of the kernel; weights below 0 stand in brackets.
    window = np.pad(values, padding)[row:, column:]
    lines = [
        " + ".join(f"{x:g} × {f'({w:g})' if w < 0 else f'{w:g}'}" for x, w in zip(*pair))
        for pair in zip(window, kernel)
    ]
    text = " +\n".join(lines) + f"  =  {outputs[row, column]:g}"
    write(axis, width / 2, top + height + 2.0, minus(text))
    return figure


def draw_uses(rows: int, columns: int, kernel: tuple[int, int], stride: tuple[int, int]) -> Figure:
    """How often a kernel that slides by `stride` uses each input, with every footprint framed."""
    out = tuple((n - k) // s + 1 for n, k, s in zip((rows, columns), kernel, stride))
    uses = np.zeros((rows, columns), int)
    for row, column in np.ndindex(out):
        row, column = row * stride[0], column * stride[1]
        uses[row : row + kernel[0], column : column + kernel[1]] += 1
    figure, axis = sheet(columns + out[1] + 4.2, rows + 3.2, 5.4)
    shades = np.array([[240, 242, 244], *(255 * np.array(tint(INPUT, s)) for s in (0.14, 0.34, 0.54, 0.74))])
    shades = shades[np.minimum(uses, len(shades) - 1)]
    grid = draw_named(axis, "times used", uses, 0.6, 1.6, INPUT, fill=shades)
    result = draw_named(axis, "output", out, grid.right + 2.9, 1.6 + (rows - out[0]) / 2, OUTPUT)
    for k, (row, column) in enumerate(np.ndindex(out)):
        # Overlapping frames are drawn a little smaller in turn, so that each can be seen.
        inset = 0.09 * (1 + row % 2 + 2 * (k % 2) * (stride[1] < kernel[1]))
        left, top = grid.left + column * stride[1] + inset, grid.top + row * stride[0] + inset
        frame = Cells(left, top, *kernel, (kernel[0] - 2 * inset) / kernel[0])
        colour = MORE[1:][(row + column) % 5]
        outline(axis, frame, colour=colour, linewidth=2.8)
        left, top = result.left + column, result.top + row
        draw_cells(axis, (1, 1), left, top, colour=colour, fill=tint(colour, 0.35), zorder=5)
    draw_arrow(axis, (grid.right + 0.5, 1.6 + rows / 2), (result.left - 0.5, 1.6 + rows / 2))
    return figure


def draw_channels(window: np.ndarray, kernels: np.ndarray, bias: float) -> Figure:
    """One footprint in red, green and blue times that channel's kernel, all added, plus the bias.

    The inputs below the footprint and the filter's weights have the shape (height, width, 3).
    """
    height, _, channels = window.shape
    pitch = height + 0.9
    figure, axis = sheet(23.5, channels * pitch + 1.6, 8.9)
    centre = 1.5 + (channels * pitch - 0.9) / 2
    products = window * kernels
    for k, (colour, name) in enumerate(zip(CHANNELS, "RGB", strict=True)):
        top = 1.5 + k * pitch
        middle = top + height / 2
        own = {"colour": colour, "fill": tint(colour, 0.14)}
        write(axis, 0.9, middle, name, fontsize=NAME, weight="bold", colour=colour)
        x = draw_cells(axis, window[..., k], 1.8, top, **own)
        sign(axis, x.right + 1, middle, "×")
        w = draw_cells(axis, kernels[..., k], x.right + 2, top, colour=KERNEL, fill=tint(KERNEL, 0.2))
        sign(axis, w.right + 1, middle, "→")
        s = draw_cells(axis, [[products[..., k].sum()]], w.right + 2, middle - 0.75, size=1.5, **own)
        draw_arrow(axis, (s.right + 0.3, middle), (17.1, centre + (k - 1) * 0.5))
        if k == 0:
            name_above(axis, x, "input", gap=0.25)
            name_above(axis, w, "filter", colour=KERNEL, gap=0.25)
            name_above(axis, s, "sum", gap=1.0)
    bold = {"size": 2, "fontsize": NAME, "weight": "bold"}
    total = [[products.sum() + bias]]
    out = draw_cells(axis, total, 19.6, centre - 1, colour=OUTPUT, fill=tint(OUTPUT, 0.2), **bold)
    sign(axis, 17.9, centre, "+")
    name_above(axis, out, "output", colour=OUTPUT)
    write(axis, out.middle[0], out.bottom + 0.4, minus(f"with the bias {bias:g}"), va="top")
    return figure


def draw_layer(channels: int, filters: int) -> Figure:
    """A layer: each of at most six 3 × 3 filters reads all input channels and makes one output channel."""
    rows, kernel = 5, 3
    out = rows - kernel + 1
    colours = MORE[1 : filters + 1] if filters < len(MORE) else MORE
    pitch = kernel * 0.62 + 0.26 * channels + 0.05
    tall = max(filters * pitch, rows + 0.45 * channels) + 1.4
    figure, axis = sheet(26, tall, 7.7)
    middle = tall / 2
    x = draw_stack(axis, channels, rows, rows, 0.8, middle - rows / 2 + 0.22 * channels, step=0.45)
    outline(axis, x[0], 0, 0, kernel, kernel, fill=tint(KERNEL, 0.6), zorder=9)
    write(axis, x[0].middle[0] + 0.22 * channels, x[0].bottom + 0.7, f"input: {channels} channels")
    top = middle - out / 2 + 0.45 * filters
    y = draw_stack(axis, filters, out, out, 19.2, top, step=0.85, colours=colours)
    write(axis, y[0].middle[0] + 0.42 * filters, y[0].bottom + 0.7, f"output: {filters} channels")
    for k, colour in enumerate(colours):
        top = middle + (k - filters / 2) * pitch + 1.2
        f = draw_stack(axis, channels, kernel, kernel, 9.9, top, size=0.62, step=0.26, colours=colour)
        right = f[-1].right + 0.3
        write(axis, right + 0.2, f[0].middle[1] - 0.3, f"filter {k + 1}", weight="bold", ha="left")
        draw_arrow(axis, (x[-1].right + 0.4, middle), (9.5, f[0].middle[1]))
        draw_arrow(axis, (right + 3.2, f[0].middle[1] - 0.3), (18.8, middle + (k - 1.5) * 0.45))
    return figure


def draw_pointwise(channels: int, filters: int) -> Figure:
    """A 1×1 convolution: all channels of one pixel make all output channels of that pixel.

    The numbers are written beside the stacks, of which a few planes are drawn.
    """
    figure, axis = sheet(25, 9.6, 10.4)
    x = draw_stack(axis, 7, 4, 4, 0.9, 4.2)
    y = draw_stack(axis, 4, 4, 4, 17.3, 3.4, colours=OUTPUT)
    for planes, colour in ((x, KERNEL), (y, OUTPUT)):
        for depth, plane in enumerate(reversed(planes)):
            style = {"colour": colour, "fill": tint(colour), "zorder": 8 + 0.2 * depth}
            outline(axis, plane, 1, 1, 1, 1, linewidth=2.6, **style)
    draw_arrow(axis, (x[-1].right + 0.5, 4.6), (16.6, 4.6))
    between = (x[-1].right + 17.2) / 2
    write(axis, between, 4.1, f"{filters} filters of\n{channels} weights each", va="bottom")
    write(axis, between, 5.1, "the same at every pixel", va="top", fontsize=SMALL)
    write(axis, x[0].middle[0] + 1.6, 9.0, f"{channels} channels")
    write(axis, y[0].middle[0] + 0.8, 8.2, f"{filters} channels")
    return figure


def draw_network(model: object) -> Figure:
    """A sequential CNN to scale: one unit of length is a pixel, a channel or a number.

    Height and depth of a block are its rows and columns, its width the channels. A long vector is folded
    into columns of 80. Layers that change no shape are left out. A ValueError names one without a fixed size.
    """
    stages = [("input", tuple(model.input_shape[1:]))]
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if None in shape:
            raise ValueError(f"{layer.name} has an output of shape {shape}: no fixed size, so no scale.")
        kind = type(layer).__name__
        name = "pool" if kind.endswith("Pooling2D") else kind.lower().replace("conv2d", "conv")
        if name in ("conv", "pool", "flatten", "dense") or shape != stages[-1][1]:
            stages.append((name, shape))
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
        _draw_box(axis, (left + (pitch - whole) / 2, base), *size, colour)
        middle = left + pitch / 2
        write(axis, middle, base + 5, name, fontsize=SMALL, weight="bold", va="top", colour=colour)
        write(axis, middle, base + 19, text, fontsize=SMALL, va="top")
        left += pitch
    return figure


def _draw_box(axis: Axes, corner: Point, width: float, height: float, depth: float, colour: str) -> None:
    """A cuboid by the lower left corner of its front; its depth goes to the upper right."""
    across, up, shift = np.array([width, 0]), np.array([0, -height]), np.array([0.5, -0.5]) * depth
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
    colours = {place: MORE[(2 * place[0] + place[1]) % len(MORE)] for place in np.ndindex(rows, columns)}
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
