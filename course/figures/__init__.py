"""The drawings of the lectures, in one visual language.

`primitives` holds what all of them are made of, and the rules of that language. The other modules
hold the drawings by topic. A drawing is a function that returns its figure; in a notebook or a
lecture that figure is shown by the cell.
"""

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

__all__ = [
    "CHANNELS", "INPUT", "KERNEL", "LABEL", "MORE", "NAME", "OUTPUT", "PADDING", "SMALL", "THICK",
    "THICKEST", "THIN", "Cells", "draw_arrow", "draw_box", "draw_cells", "draw_stack", "ink_on",
    "name_above", "outline", "sheet", "sign", "size_below", "tint", "write",
]
