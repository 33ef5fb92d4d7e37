"""The plots that several lectures share, and the style of all of them.

Importing this module lets every plot show Chinese characters (see `course.fonts`).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from course import fonts

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

# Colours that colour-blind readers can tell apart (Okabe and Ito, 2008, Color Universal
# Design). The same set of data has the same colour in every plot of the course.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
AMBER, SKY, PURPLE = "#E69F00", "#56B4E9", "#CC79A7"
INK, GRID = "#1b2733", "#d9dee3"
COLOURS = {"train": BLUE, "validation": VERMILLION, "test": GREEN, "notebook": PURPLE}

_STYLE = {
    "figure.figsize": (10, 4.8),
    "figure.constrained_layout.use": True,
    **dict.fromkeys(("figure.facecolor", "savefig.facecolor"), "white"),
    # Each character comes from the first of these that has it.
    "font.family": [fonts.SANS_FAMILY, "DejaVu Sans", fonts.FAMILY],
    "font.size": 15,
    "axes.titlesize": 17,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 15,
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 14),
    "legend.frameon": False,
    "lines.linewidth": 2.5,
    "axes.prop_cycle": matplotlib.cycler(color=[BLUE, VERMILLION, GREEN, AMBER, SKY, PURPLE]),
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    # Glyphs as outlines, so that a page needs no font; names in the file that do not change
    # from run to run.
    "svg.fonttype": "path",
    "svg.hashsalt": "course",
}

fonts.register()


def use_course_style() -> None:
    """Set the course's look for all plots that follow; in a notebook, as vector graphics."""
    matplotlib.rcParams.update(_STYLE)
    fonts.register()
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})


def plot_mandarin_characters(
    X: np.ndarray, y: np.ndarray, class_names: Sequence[str], n: int = 5, *, cmap: str | None = "gray"
) -> tuple[Figure, np.ndarray]:
    """Show n classes, three images of each under its name: characters under their printed form.

    The classes are the first n different ones in y, and of each the first images in X. X holds grey levels,
    0 to 255, shape (number, height, width, 1) or (number, height, width), y labels: positions in class_names.
    `cmap` is a colour map, None matplotlib's default. Axes have the shape (3, n).
    """
    X, y = _check_images(X, y)
    labels = list(dict.fromkeys(y.tolist()))[: max(n, 0)]
    if not labels:
        raise ValueError(f"Nothing to plot: {len(y)} images, n={n}.")
    with _style(class_names) as names:
        width = min(1.2, 11 / len(labels))
        size = (len(labels) * width, 3 * width * X.shape[1] / X.shape[2] + 0.5)
        figure, axes = plt.subplots(3, len(labels), squeeze=False, figsize=size)
        for column, label in zip(axes.T, labels):
            column[0].set_title(names[label], fontsize=name_size(names, width, 26), loc="center", pad=6)
            images = X[np.flatnonzero(y == label)[:3]]
            for axis, image in zip(column, images):
                _show_image(axis, image, cmap)
            for axis in column[len(images) :]:
                axis.axis("off")
    return figure, axes


def names_in_plots(class_names: Sequence[str]) -> list[str]:
    """Names of classes as plots can draw them (see `course.fonts.drawable`): of long ones the two ends."""
    names = [name if len(name) <= 16 else f"{name[:8]}…{name[-7:]}" for name in map(str, class_names)]
    return [fonts.drawable(name) for name in names]


def name_size(names: Sequence[str], inches: float, largest: float) -> float:
    """The font size, in points, at which the longest name is as wide as that; `largest` at most."""
    return min(largest, 115 * inches / max(map(len, names), default=1))


@contextlib.contextmanager
def _style(class_names: Sequence[str]) -> Iterator[list[str]]:
    """The course's style for a plot, and the names of classes as it can draw them."""
    names_in_plots(class_names)  # finds a font for later plots as well
    with matplotlib.rc_context(_STYLE):
        # Before axes are made: their titles keep the fonts that are known by then.
        yield names_in_plots(class_names)


def _check_images(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    X, y = np.asarray(X), np.asarray(y)
    if X.ndim not in (3, 4) or X.shape[3:] not in ((), (1,)) or X.shape[2] == 1:
        raise ValueError(
            "X should hold many grey images, of shape (number, height, width, 1), not "
            f"{X.shape}. For a single image write X[i:i+1]."
        )
    if y.shape != (len(X),):
        raise ValueError(f"y should have one label for each image, shape ({len(X)},), not {y.shape}.")
    return X.reshape(X.shape[:3]), y


def _show_image(axis: Axes, image: np.ndarray, cmap: str | None) -> None:
    """An image in a thin frame, since white paper has no edge on a white page."""
    axis.imshow(image, cmap=cmap, vmin=0, vmax=255, interpolation="none")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=GRID, linewidth=1)


# --- Training curves ---------------------------------------------------------------------


def plot_history(history: object | Mapping) -> tuple[Figure, np.ndarray]:
    """Draw the loss and each metric by epoch, on training and validation data.

    `history` is what `model.fit` returns, or a dict of lists such as {"loss": [...], "val_loss": [...]}. The
    first epoch with the best "val_accuracy", else "val_loss", is marked. ValueError if there is no epoch.
    """
    series = getattr(history, "history", history)
    metrics = [name for name in series if not name.startswith("val_") and name != "learning_rate"]
    metrics.sort(key=lambda name: (name != "loss", name != "accuracy"))
    if not metrics or len(series[metrics[0]]) == 0:
        raise ValueError("This history holds no epoch: the model has not been fitted yet.")
    with _style(()):
        size = (min(3.8 * len(metrics) + 1, 11.8), 4.1)
        figure, (axes,) = plt.subplots(1, len(metrics), squeeze=False, figsize=size)
        for axis, name in zip(axes, metrics):
            _draw_metric(axis, name, series)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
    return figure, axes


def _draw_metric(axis: Axes, name: str, series: Mapping) -> None:
    values = series[name], series.get("val_" + name, [])
    epochs = np.arange(1, len(values[0]) + 1)
    marker = "o" if len(epochs) == 1 else None
    for data, some in zip(("train", "validation"), values):
        if len(some):
            axis.plot(epochs, some, color=COLOURS[data], label=data, marker=marker)
    title = f"Top-{name[3:]} accuracy" if name.startswith("top") else name.replace("_", " ").capitalize()
    axis.set(title=title, xlabel="Epoch")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axis.margins(x=0.02)
    if name == "loss":
        axis.set_ylim(bottom=0)
    elif title.endswith("ccuracy"):
        axis.set_ylim(top=min(1.015, axis.get_ylim()[1]))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    monitor = next((each for each in ("val_accuracy", "val_loss") if each in series), None)
    if monitor:
        position = np.argmax if monitor == "val_accuracy" else np.argmin
        best = int(position(series[monitor])) + 1
        dashes = {"linewidth": 1.5, "linestyle": (0, (2, 2)), "zorder": 1}
        axis.axvline(best, color=INK, label=f"best epoch: {best}", **dashes)
        if len(values[1]):
            axis.plot(best, values[1][best - 1], "o", markersize=9, color=COLOURS["validation"])


# --- Predictions -------------------------------------------------------------------------


def predicted_probabilities(model: object, X: np.ndarray) -> np.ndarray:
    """Each image's probability for each class, whether the model gives these or logits.

    `X` has the shape (number, height, width, 1), the result (number, classes); it is float64.
    """
    from course.speed import fast_convolutions  # brings torch, which plots alone do not need

    with fast_convolutions():
        outputs = np.asarray(model.predict(X, batch_size=64, verbose=0), dtype=np.float64)
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs / outputs.sum(axis=1, keepdims=True)
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def plot_failed_predictions(
    model: object, X: np.ndarray, y: np.ndarray, class_names: Sequence[str]
) -> tuple[Figure, np.ndarray]:
    """Show ten images that a model misreads, titled "true not predicted (confidence)".

    The most confident mistakes come first, equally confident ones in the order of X; a figure without any
    says so. X, y and class_names are as in `plot_mandarin_characters`; axes have the shape (rows, 5).
    """
    images, y = _check_images(X, y)
    probabilities = predicted_probabilities(model, images[..., np.newaxis])
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != y)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:10]
    with _style(class_names) as names:
        rows = max(1, -(-len(shown) // 5))
        height = 1.35 * images.shape[1] / images.shape[2]
        figure, axes = plt.subplots(rows, 5, squeeze=False, figsize=(2.15 * 5, (height + 0.6) * rows))
        figure.get_layout_engine().set(h_pad=0.1)
        for axis in axes.flat[len(shown) :]:
            axis.axis("off")
        for axis, index in zip(axes.flat, shown):
            _show_image(axis, images[index], "gray")
            said = names[y[index]], f"not {names[predicted[index]]} ({confidence[index]:.0%})"
            lines = [" ".join(said)] if len(" ".join(said)) <= 16 else said
            size = name_size(lines, 2.15, 17)
            axis.set_title("\n".join(lines), loc="center", fontweight="normal", pad=6, fontsize=size)
        if len(shown) == 0:
            text = f"All {len(y):,} predictions are right."
            figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=20)
    return figure, axes
