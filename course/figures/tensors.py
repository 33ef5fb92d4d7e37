"""Drawings of tensors, rows of pictures, and figures that move."""

from collections.abc import Iterable, Sequence

from course.figures.primitives import draw_cells, draw_stack, sheet, write
from course.figures.style import CHANNELS, INPUT, KERNEL, NAME, OUTPUT, THICKEST, tint
from course.plots import _STYLE, GRID, PURPLE

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure


def draw_tensor_ranks(examples: Sequence[str], shapes: Sequence[str]) -> Figure:
    """Tensors of rank 0 to 4, each with an example (a line break is kept) and its shape below it."""
    figure, axis = sheet(31, 13.2, 11.6)
    middles = (2.6, 7.4, 13.2, 19.4, 26.6)
    draw_cells(axis, (1, 1), middles[0] - 0.5, 6, colour=KERNEL, fill=tint(KERNEL, 0.2))
    draw_cells(axis, (5, 1), middles[1] - 0.5, 4, colour=PURPLE, fill=tint(PURPLE, 0.2))
    draw_cells(axis, (5, 4), middles[2] - 2, 4, colour=OUTPUT, fill=tint(OUTPUT, 0.16))
    draw_stack(axis, 3, 4, 4, middles[3] - 2.4, 5, step=0.6, colours=CHANNELS)
    for i, (left, top) in enumerate(((25.9, 2.5), (23.6, 4.3), (25.3, 6.1))):
        draw_stack(axis, 3, 4, 4, left, top, size=0.72, step=0.38, colours=CHANNELS, zorder=2 + 3 * i)
    for rank, (middle, example, shape) in enumerate(zip(middles, examples, shapes, strict=True)):
        write(axis, middle, 0.6, f"rank {rank}", fontsize=NAME, weight="bold")
        write(axis, middle, 10.3, shape, weight="bold")
        write(axis, middle, 11.2, example, va="top")
    return figure


def show_pictures(
    pictures: Sequence[np.ndarray],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    height: float = 3.0,
    frames: Sequence[str] = (),
) -> Figure:
    """Show pictures side by side, each pixel as a square without smoothing.

    Pictures are colours (height, width, 3) or grey levels (height, width), cut off at 0 and 255. `columns`
    says how many stand in a row (by default all), `height` how high each is, in inches; `frames` are colours
    of thick frames round them, in place of thin grey ones.
    """
    for what, given in (("titles", titles), ("frames", frames)):
        if given and len(given) != len(pictures):
            raise ValueError(f"{len(given)} {what} for {len(pictures)} pictures.")
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    wide = height * max(each.shape[1] / each.shape[0] for each in pictures)
    size = columns * (wide + 0.15), rows * (height + (0.45 if titles else 0.1))
    with matplotlib.rc_context(_STYLE):
        figure, axes = plt.subplots(rows, columns, squeeze=False, figsize=size)
        for axis in axes.flat[len(pictures) :]:
            axis.axis("off")
        for k, (axis, picture) in enumerate(zip(axes.flat, pictures)):
            if picture.ndim == 3:
                picture = np.clip(picture, 0, 255).astype(np.uint8)
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
            axis.grid(False)
            axis.set(xticks=[], yticks=[])
            frame = {"color": frames[k], "linewidth": THICKEST} if frames else {"color": GRID, "linewidth": 1}
            for spine in axis.spines.values():
                spine.set(visible=True, **frame)
            if titles:
                axis.set_title(titles[k], loc="center", fontsize=NAME, pad=8)
    return figure


def show_planes(photo: np.ndarray) -> Figure:
    """A colour photo (height, width, 3) and its channels in grey, framed in the channel's colour."""
    planes = [photo, *np.moveaxis(photo, -1, 0)]
    titles = ["photo", "red (R)", "green (G)", "blue (B)"]
    height = 2.7 * photo.shape[0] / photo.shape[1]
    return show_pictures(planes, titles, height=height, frames=[INPUT, *CHANNELS])


def show_frames(figures: Iterable[Figure]) -> None:
    """Show figures of one size, of which a cell of the class `animation` makes an animation:

        ```{python}
        #| classes: animation
        #| fig-alt: "What happens from the first frame to the last."
        show_frames(draw_sliding(x, k, step) for step in range(9))
        ```

    `assets/js/animation.js` plays it once it is in view, and adds buttons to stop and to step. Who prefers
    reduced motion sees the first frame until pressing a button. Printed, in a notebook and without a script
    the frames stand side by side. Each figure is closed, so that no other cell shows it again.
    """
    from IPython.display import display

    sizes = []
    for figure in figures:
        sizes.append(tuple(figure.get_size_inches()))
        if sizes[-1] != sizes[0]:
            raise ValueError(f"Frame {len(sizes)} is {sizes[-1]} inches, the first one {sizes[0]}.")
        display(figure)
        plt.close(figure)
