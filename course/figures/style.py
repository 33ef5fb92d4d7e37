"""The visual language of the drawings: colours and sizes.

What goes in is `INPUT` (blue), weights are `KERNEL` (vermillion), what comes out is `OUTPUT` (green),
and what is only filled up is `PADDING` (grey, hatched). Colour never stands alone: each thing is also
labelled or outlined. Cells have thin lines, things thick ones, and what the eye should follow the
thickest. Names stand above a thing, sizes below it.
"""

from course.plots import AMBER, BLUE, GREEN, INK, PURPLE, SKY, VERMILLION

import numpy as np
from matplotlib.colors import to_rgb

INPUT, KERNEL, OUTPUT, PADDING = BLUE, VERMILLION, GREEN, "#8a949e"
# Planes of a colour photo: red, green, blue. Each plane also carries its letter.
CHANNELS = ("#d1495b", "#2e933c", "#3066be")
# For a fourth, fifth, … thing of one kind.
MORE = (BLUE, VERMILLION, GREEN, AMBER, PURPLE, SKY)

THIN, THICK, THICKEST = 1.0, 2.2, 4.0  # points
# Points. A figure is shown at 96 px an inch, so that 14 points are just over 18 px on a slide.
SMALL, LABEL, NAME = 14, 15, 17


def tint(colour: str, share: float = 0.25) -> tuple[float, float, float]:
    """A colour mixed with white; `share` is the part of the colour, 0 to 1."""
    return tuple(1 - share * (1 - np.array(to_rgb(colour))))


def ink_on(colour: object) -> str:
    """Black or white: the one that can be read on `colour` (WCAG 2.2 relative luminance)."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return INK if luminance > 0.2 else "white"
