"""Figures that move: one picture a frame, turned into an animation by `assets/js/animation.js`.

A cell that shows several figures and has the class `animation` is one:

    ```{python}
    #| classes: animation
    #| fig-alt: "What happens from the first frame to the last."
    show_frames(draw_sliding(x, k, step) for step in range(9))
    ```

The page shows the first frame, plays the frames one after another once they are in view, and has
buttons to stop and to step. Who prefers reduced motion sees the first frame until pressing a
button. Printed, in a notebook and without a script the frames stand side by side.
"""

from collections.abc import Iterable

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def show_frames(figures: Iterable[Figure]) -> None:
    """Show figures of one size one by one, and close each so that no other cell shows it again."""
    from IPython.display import display

    sizes = []
    for figure in figures:
        sizes.append(tuple(figure.get_size_inches()))
        if sizes[-1] != sizes[0]:
            raise ValueError(f"Frame {len(sizes)} is {sizes[-1]} inches, the first one {sizes[0]}.")
        display(figure)
        plt.close(figure)
