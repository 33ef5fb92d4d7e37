"""The drawings of the lectures, in one visual language.

`style` holds the rules of that language, `primitives` what all drawings are made of. The other
modules hold the drawings by topic. A drawing is a function that returns its figure; in a notebook
or a lecture that figure is shown by the cell.
"""
# ruff: noqa: F401  (names for lectures to import)

from course.figures.frames import show_frames
from course.figures.grids import (
    cross_correlate,
    draw_channels,
    draw_layer,
    draw_pointwise,
    draw_sliding,
    draw_uses,
)
from course.figures.primitives import draw_arrow, draw_cells, name_above, sheet, sign, write
from course.figures.style import INPUT, KERNEL, LABEL, NAME, OUTPUT, tint
from course.figures.tensors import draw_tensor_ranks, show_pictures, show_planes
