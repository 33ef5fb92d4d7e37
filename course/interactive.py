"""Sliders where ipywidgets is at hand, a fixed picture where it is not."""

from collections.abc import Callable
from typing import Any


def explore(draw: Callable[..., Any], **sliders: tuple) -> None:
    """Call `draw` again whenever the reader moves a slider.

    `draw` takes each slider's value by name; a slider is `(first, lowest, highest)`, perhaps with a step.
    Without ipywidgets, or outside a notebook, `draw` is called once with the first values.
    """
    try:
        import ipywidgets as widgets
        from IPython import get_ipython
    except ImportError:
        widgets = None
    if widgets is None or getattr(get_ipython(), "kernel", None) is None:
        first = {name: slider[0] for name, slider in sliders.items()}
        draw(**first)
        shown = ", ".join(f"{name}={value!r}" for name, value in first.items())
        print(
            f"This picture is for {shown}. Sliders need the package ipywidgets and a notebook; "
            f"without them, call {draw.__name__}({shown}) with other values."
        )
        return
    controls = {}
    for name, (value, low, high, *step) in sliders.items():
        whole = all(isinstance(each, int) for each in sliders[name])
        kind, usual = (widgets.IntSlider, 1) if whole else (widgets.FloatSlider, 0.01)
        controls[name] = kind(value, min=low, max=high, step=[*step, usual][0], continuous_update=False)
        controls[name].description = name.replace("_", " ")
    widgets.interact(draw, **controls)
