"""Sliders where ipywidgets is at hand, a fixed picture where it is not."""

from collections.abc import Callable
from typing import Any


def explore(draw: Callable[..., Any], **sliders: Any) -> None:
    """Call `draw` again whenever the reader moves a slider.

    Without ipywidgets, or outside a notebook, `draw` is called once with the sliders' first values,
    and a line says how to see others.

    Args:
        draw: draws with Matplotlib, or prints; takes each slider's value by name.
        sliders: for each argument of `draw`, `(first value, lowest, highest)` or
            `(first value, lowest, highest, step)` for a slider of numbers, or a list of
            choices, the first of which is shown first.

    Raises:
        ValueError: a slider is neither.
    """
    first = {name: _first(name, slider) for name, slider in sliders.items()}
    widgets = _widgets()
    if widgets is None:
        draw(**first)
        shown = ", ".join(f"{name}={value!r}" for name, value in first.items())
        print(
            f"This picture is for {shown}. Sliders need the package ipywidgets and a notebook; "
            f"without them, call {draw.__name__}({shown}) with other values."
        )
        return
    controls = {}
    for name, slider in sliders.items():
        description = name.replace("_", " ")
        if isinstance(slider, list):
            controls[name] = widgets.Dropdown(options=slider, description=description)
            continue
        value, low, high, *step = slider
        whole = all(isinstance(each, int) for each in slider)
        kind = widgets.IntSlider if whole else widgets.FloatSlider
        controls[name] = kind(
            value=value,
            min=low,
            max=high,
            step=step[0] if step else (1 if whole else 0.01),
            description=description,
            continuous_update=False,
        )
    widgets.interact(draw, **controls)


def _first(name: str, slider: Any) -> Any:
    if isinstance(slider, list) and slider:
        return slider[0]
    if isinstance(slider, tuple) and len(slider) in (3, 4):
        return slider[0]
    raise ValueError(
        f"{name}={slider!r}: a slider is (first, lowest, highest), (first, lowest, highest, step) "
        "or a list of choices"
    )


def _widgets() -> Any:
    """The module ipywidgets, or None where it is missing or there is no notebook to show it."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return ipywidgets if getattr(shell, "kernel", None) is not None else None
