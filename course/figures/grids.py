"""Drawings of convolution: footprints, padding, strides, channels and layers."""

from course.figures.primitives import (
    Cells,
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
from course.figures.style import CHANNELS, INPUT, KERNEL, MORE, NAME, OUTPUT, PADDING, SMALL, tint

import numpy as np
from matplotlib.figure import Figure


def cross_correlate(values: np.ndarray, kernel: np.ndarray, padding: int = 0) -> np.ndarray:
    """Slide a kernel over a grid without flipping it, as deep learning does.

    Parameters
    ----------
    values, kernel : ndarray, shapes (rows, columns) and (height, width)
    padding : int
        Zeros added on each side.

    Returns
    -------
    ndarray, shape (rows + 2 padding - height + 1, columns + 2 padding - width + 1)
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

    `window` holds the inputs below the footprint, `kernels` the filter's weights, both of shape
    (height, width, 3).
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
