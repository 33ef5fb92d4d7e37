"""Sliders where ipywidgets is at hand, a fixed picture where it is not."""

from collections.abc import Callable
from typing import Any


def explore(draw: Callable[..., Any], **sliders: Any) -> None:
    """Call `draw` again whenever the reader moves a slider.

    Without ipywidgets, or outside a notebook, `draw` is called once with the sliders' first values,
    and a line says how to see others.

    Parameters
    ----------
    draw : callable
        Draws with Matplotlib, or prints; takes each slider's value by name.
    sliders
        For each argument of `draw`, `(first value, lowest, highest)` or
        `(first value, lowest, highest, step)` for a slider of numbers, or a list of choices, the
        first of which is shown first.

    Raises
    ------
    ValueError
        A slider is neither.
    """
    for name, slider in sliders.items():
        choices = isinstance(slider, list) and slider
        if not choices and not (isinstance(slider, tuple) and len(slider) in (3, 4)):
            raise ValueError(
                f"{name}={slider!r}: a slider is (first, lowest, highest), (first, lowest, highest, "
                "step) or a list of choices"
            )
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
    widgets.interact(draw, **{name: _control(widgets, name, slider) for name, slider in sliders.items()})


def _control(widgets: Any, name: str, slider: list | tuple) -> Any:
    description = name.replace("_", " ")
    if isinstance(slider, list):
        return widgets.Dropdown(options=slider, description=description)
    whole = all(isinstance(each, int) for each in slider)
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    value, low, high, step = slider if len(slider) == 4 else (*slider, 1 if whole else 0.01)
    return kind(value=value, min=low, max=high, step=step, description=description, continuous_update=False)


def _widgets() -> Any:
    """The module ipywidgets, or None where it is missing or there is no notebook to show it."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    return ipywidgets if getattr(get_ipython(), "kernel", None) is not None else None
