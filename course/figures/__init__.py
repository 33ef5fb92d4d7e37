"""The drawings of the lectures, in one visual language.

`primitives` holds what all of them are made of, and the rules of that language. The other modules
hold the drawings by topic. A drawing is a function that returns its figure; in a notebook or a
lecture that figure is shown by the cell.
"""

from course.figures.frames import show_frames
from course.figures.grids import (
    cross_correlate,
    draw_channels,
    draw_layer,
    draw_pointwise,
    draw_sliding,
    draw_uses,
)
from course.figures.primitives import (
    CHANNELS,
    INPUT,
    KERNEL,
    LABEL,
    MORE,
    NAME,
    OUTPUT,
    PADDING,
    SMALL,
    THICK,
    THICKEST,
    THIN,
    Cells,
    draw_arrow,
    draw_box,
    draw_cells,
    draw_stack,
    ink_on,
    name_above,
    outline,
    sheet,
    sign,
    size_below,
    tint,
    write,
)
from course.figures.tensors import draw_tensor_ranks, show_pictures, show_planes

__all__ = [
    "CHANNELS",
    "INPUT",
    "KERNEL",
    "LABEL",
    "MORE",
    "NAME",
    "OUTPUT",
    "PADDING",
    "SMALL",
    "THICK",
    "THICKEST",
    "THIN",
    "Cells",
    "cross_correlate",
    "draw_arrow",
    "draw_box",
    "draw_cells",
    "draw_channels",
    "draw_layer",
    "draw_pointwise",
    "draw_sliding",
    "draw_stack",
    "draw_tensor_ranks",
    "draw_uses",
    "ink_on",
    "name_above",
    "outline",
    "sheet",
    "show_frames",
    "show_pictures",
    "show_planes",
    "sign",
    "size_below",
    "tint",
    "write",
]
