"""The shared plots: what they show, and that they draw without a warning."""

import io
import os
import subprocess
import sys
import types
import warnings

import matplotlib

matplotlib.use("Agg")

from course import plots
from course.characters import CHARACTERS
from course.paths import REPOSITORY
from course.plots import (
    name_size,
    names_in_plots,
    plot_failed_predictions,
    plot_history,
    plot_mandarin_characters,
    predicted_probabilities,
    use_course_style,
)

import matplotlib.pyplot as plt
import numpy as np
import pytest

NAMES = list("人大太犬")


@pytest.fixture(autouse=True)
def tidy():
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def images(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images whose every pixel is the image's position."""
    X = (
        np.zeros((len(labels), 8, 6, 1), np.uint8)
        + np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    )
    return X, np.array(labels)


class Model:
    """Answers with the scores given, whatever it is asked."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)

    def predict(self, X, batch_size, verbose):
        assert X.ndim == 4 and X.shape[3] == 1
        return self.scores


def shown(axis) -> int:
    return int(axis.images[0].get_array()[0, 0])


def drawn(axis) -> bool:
    return bool(axis.images)


def save(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


# --- Characters --------------------------------------------------------------------------


def test_characters_are_shown_by_class_under_their_names():
    X, y = images([2, 0, 2, 1, 0, 0, 2, 2])
    figure, axes = plot_mandarin_characters(X, y, NAMES, n=3)
    assert [axis.get_title() for axis in axes[0]] == ["太", "人", "大"]
    assert [shown(axis) for axis in axes[:, 0]] == [0, 2, 6]
    assert [shown(axis) for axis in axes[:, 1]] == [1, 4, 5]
    assert [drawn(axis) for axis in axes[:, 2]] == [True, False, False]
    assert axes[0, 0].images[0].get_cmap().name == "gray"
    assert axes[0, 0].images[0].get_clim() == (0, 255)
    save(figure)


def test_without_a_colour_map_matplotlibs_own_is_shown():
    X, y = images([0, 1])
    _, axes = plot_mandarin_characters(X, y, NAMES, n=2, cmap=None)
    assert axes[0, 0].images[0].get_cmap().name == "viridis"


def test_fewer_classes_than_asked_for_are_no_error():
    X, y = images([1, 1])
    _, axes = plot_mandarin_characters(X[..., 0], y, NAMES, n=5)
    assert axes.shape == (3, 1)


def test_nothing_to_plot_is_said():
    X, y = images([0, 1])
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n={n}"):
            plot_mandarin_characters(X, y, NAMES, n)
    with pytest.raises(ValueError, match="0 images"):
        plot_mandarin_characters(X[:0], y[:0], NAMES)


def test_a_single_image_is_explained():
    X, y = images([0])
    for function in (plot_mandarin_characters, lambda *a: plot_failed_predictions(Model([]), *a)):
        with pytest.raises(ValueError, match=r"not \(8, 6, 1\).*X\[i:i\+1\]"):
            function(X[0], y, NAMES)
        with pytest.raises(ValueError, match="one label for each image"):
            function(X, np.array([0, 1]), NAMES)


# --- Training curves ---------------------------------------------------------------------

HISTORY = {
    "accuracy": [0.2, 0.5, 0.8, 0.9],
    "loss": [3.0, 2.0, 1.0, 0.5],
    "top5": [0.5, 0.8, 0.9, 1.0],
    "learning_rate": [1, 1, 1, 1],
    "val_accuracy": [0.2, 0.6, 0.4, 0.5],
    "val_loss": [3.0, 2.0, 1.5, 1.8],
    "val_top5": [0.5, 0.8, 0.8, 0.8],
}


@pytest.mark.parametrize("wrap", [dict, lambda curves: types.SimpleNamespace(history=curves)])
def test_history_shows_loss_and_each_metric(wrap):
    figure, axes = plot_history(wrap(HISTORY))
    assert [axis.get_title(loc="left") for axis in axes] == ["Loss", "Accuracy", "Top-5 accuracy"]
    train, validation = axes[1].get_lines()[:2]
    assert train.get_ydata().tolist() == HISTORY["accuracy"]
    assert train.get_xdata().tolist() == [1, 2, 3, 4]
    assert train.get_color() == plots.COLOURS["train"]
    assert validation.get_ydata().tolist() == HISTORY["val_accuracy"]
    assert validation.get_color() == plots.COLOURS["validation"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["train", "validation", "best epoch: 2"]
    for axis in axes:
        assert axis.get_xlabel() == "Epoch"
        assert all(float(tick).is_integer() for tick in axis.get_xticks())
    save(figure)


def test_without_accuracy_the_best_epoch_is_that_of_the_loss():
    figure, _ = plot_history({name: values for name, values in HISTORY.items() if name != "val_accuracy"})
    assert figure.legends[0].get_texts()[-1].get_text() == "best epoch: 3"


def test_history_without_validation_or_with_one_epoch():
    figure, axes = plot_history({"loss": [1.0]})
    assert len(axes) == 1 and axes[0].get_lines()[0].get_marker() == "o"
    assert len(figure.legends[0].get_texts()) == 1
    save(figure)


@pytest.mark.parametrize("history", [{}, {"loss": []}])
def test_an_empty_history_is_explained(history):
    with pytest.raises(ValueError, match="no epoch"):
        plot_history(history)


# --- Predictions -------------------------------------------------------------------------

PROBABILITIES = np.array(
    [
        [0.97, 0.01, 0.01, 0.01],  # wrong: 大
        [0.10, 0.60, 0.20, 0.10],  # right: 大
        [0.20, 0.20, 0.20, 0.40],  # wrong: 太
        [0.05, 0.05, 0.80, 0.10],  # wrong: 犬
    ]
)
TRUE = [1, 1, 2, 3]


@pytest.mark.parametrize("scores", [PROBABILITIES, np.log(PROBABILITIES) + 3])
def test_probabilities_come_from_softmax_or_logits(scores):
    found = predicted_probabilities(Model(scores), images(TRUE)[0])
    np.testing.assert_allclose(found, PROBABILITIES, atol=1e-6)


def test_large_logits_do_not_overflow():
    found = predicted_probabilities(Model([[1e4, 0.0], [-1e4, 0.0]]), images([0, 1])[0])
    np.testing.assert_allclose(found, [[1, 0], [0, 1]])


def test_failed_predictions_are_titled_true_not_predicted_most_confident_first():
    X, y = images(TRUE)
    figure, axes = plot_failed_predictions(Model(PROBABILITIES), X, y, NAMES)
    assert axes.shape == (1, 5)
    titles = [axis.get_title() for axis in axes.flat if drawn(axis)]
    assert titles == ["大 not 人 (97%)", "犬 not 太 (80%)", "太 not 犬 (40%)"]
    assert [shown(axis) for axis in axes.flat[:3]] == [0, 3, 2]
    save(figure)


def test_equally_confident_ones_keep_their_order_and_ten_are_shown():
    X, y = images([0] * 12)
    scores = np.tile([0.2, 0.8, 0.0, 0.0], (12, 1))
    _, axes = plot_failed_predictions(Model(scores), X, y, NAMES)
    assert axes.shape == (2, 5)
    assert [shown(axis) for axis in axes.flat] == list(range(10))


def test_a_model_without_mistakes_is_said_to_make_none():
    X, y = images([0, 1])
    figure, axes = plot_failed_predictions(Model(np.eye(4)[:2]), X, y, NAMES)
    assert "All 2 predictions are right." in [text.get_text() for text in figure.texts]
    assert not any(drawn(axis) for axis in axes.flat)
    save(figure)


# --- Style -------------------------------------------------------------------------------


def test_the_style_shows_chinese_and_repeats_to_the_byte():
    use_course_style()

    def draw():
        figure, axis = plt.subplots()
        axis.barh(list(CHARACTERS[:5]), [1, -2, 3, 4, 5])
        axis.set(title="Errors by character: 人 − α", xlabel="Number")
        return save(figure)

    assert draw() == draw()


def test_plots_need_no_style_and_leave_none_behind():
    before = dict(matplotlib.rcParams)
    plot_history(HISTORY)
    assert dict(matplotlib.rcParams) == before


def test_any_names_of_classes_fit_above_their_images():
    names = ["a very long name of a class of pictures", "$aver & more $", "Straße_7", "Дом"]
    drawn_names = names_in_plots(names)
    assert drawn_names == ["a very l…ictures", r"\$aver & more \$", "Straße_7", "Дом"]
    X, y = images([0, 1, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, axes = plot_mandarin_characters(X, y, names, n=4)
        save(figure)
        save(plot_failed_predictions(Model(np.eye(4)[[1, 0, 3, 2]]), X, y, names)[0])
    figure.canvas.draw()
    widths = [axis.title.get_window_extent().width for axis in axes[0]]
    assert max(widths) <= 1.2 * figure.dpi
    assert name_size(["人"], 1.2, 26) == 26 and name_size([], 1, 17) == 17


def test_a_system_font_found_for_the_classes_serves_later_plots(monkeypatch):
    beyond = chr(0x9F98)
    monkeypatch.setattr(plots.fonts, "_system_font_with", lambda character: "DejaVu Serif")
    X, y = images([0, 1])
    plot_mandarin_characters(X, y, ["人", "大", beyond], n=2)
    assert matplotlib.rcParams["font.family"][-1] == "DejaVu Serif"


def test_importing_the_plots_is_enough_for_chinese_labels():
    code = (
        "import warnings; warnings.simplefilter('error'); "
        "import matplotlib; matplotlib.use('Agg'); "
        "import course.plots, matplotlib.pyplot as plt; "
        "plt.title('\\u4eba'); plt.gcf().canvas.draw(); "
        "assert plt.rcParams['font.family'] == ['sans-serif', 'Course Kai']"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert result.returncode == 0 and result.stderr == b"", result.stderr.decode()
