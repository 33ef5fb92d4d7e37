"""Sliders where ipywidgets is at hand, a fixed picture where it is not."""

from collections.abc import Callable
from typing import Any


def explore(draw: Callable[..., Any], **sliders: tuple) -> None:
    """Call `draw` again whenever the reader moves a slider.

    Without ipywidgets, or outside a notebook, `draw` is called once with the sliders' first values,
    and a line says how to see others. `draw` draws with Matplotlib, or prints, and takes each slider's
    value by name. A slider is `(first, lowest, highest)` or `(first, lowest, highest, step)`.
    """
    widgets = _widgets()
    if widgets is None:
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


def _widgets() -> Any:
    """The module ipywidgets, or None where it is missing or there is no notebook to show it."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    return ipywidgets if getattr(get_ipython(), "kernel", None) is not None else None
