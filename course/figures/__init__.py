"""The drawings of the lectures in one visual language, whose rules `style` holds.

All are made of `primitives`. `tensors` and `networks` return figures, which the cell of a lecture shows.
"""
# ruff: noqa: F401  (names for lectures to import)

from course.figures.networks import draw_channels, draw_layer, draw_pointwise, draw_sliding, draw_uses
from course.figures.primitives import draw_arrow, draw_cells, name_above, sheet, sign, write
from course.figures.style import INPUT, KERNEL, LABEL, NAME, OUTPUT, tint
from course.figures.tensors import draw_tensor_ranks, show_frames, show_pictures, show_planes
