"""The drawings: their numbers are right, they draw without a warning, bad input is named."""

import io
import re
import warnings

import matplotlib

matplotlib.use("Agg")

from course.figures import (
    KERNEL,
    OUTPUT,
    draw_cells,
    draw_channels,
    draw_layer,
    draw_pointwise,
    draw_sliding,
    draw_tensor_ranks,
    draw_uses,
    sheet,
    show_frames,
    show_pictures,
    show_planes,
    tint,
    write,
)
from course.figures.networks import cross_correlate
from course.figures.primitives import Cells, draw_stack, outline
from course.figures.style import SMALL, THICKEST, ink_on
from course.plots import use_course_style

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from scipy.signal import correlate2d

GRID = np.arange(25).reshape(5, 5)
EDGES = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


@pytest.fixture(autouse=True)
def tidy():
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def svg(figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def words(figure) -> list[str]:
    """All texts of a figure, with a plain minus sign."""
    return [text.get_text().replace("−", "-") for axis in figure.axes for text in axis.texts]


def numbers(figure) -> list[float]:
    return [float(each) for each in words(figure) if re.fullmatch(r"-?\d+(\.\d+)?", each)]


# --- What is computed --------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.data(), height=st.integers(1, 4), width=st.integers(1, 4), padding=st.integers(0, 2))
def test_cross_correlation_is_scipys(data, height, width, padding):
    rows = data.draw(st.integers(height, 8))
    columns = data.draw(st.integers(width, 8))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = rng.integers(-9, 10, (rows, columns))
    kernel = rng.integers(-9, 10, (height, width))
    theirs = correlate2d(np.pad(values, padding), kernel, "valid")
    assert np.array_equal(cross_correlate(values, kernel, padding), theirs)


# --- Primitives --------------------------------------------------------------------------


def test_cells_show_their_numbers_and_know_their_places():
    figure, axis = sheet(8, 6)
    cells = draw_cells(axis, np.array([[1, -2.5], [np.nan, 4]]), 1, 2)
    assert words(figure) == ["1", "-2.5", "4"]
    assert (cells.right, cells.bottom) == (3, 4)
    assert cells.middle == (2, 3)
    svg(figure)


def test_cells_are_filled_with_the_colours_given():
    _, axis = sheet(4, 4)
    draw_cells(axis, (1, 3), fill=np.array([[[0, 0, 0], [255, 255, 255], [255, 163, 177]]]))
    colours = [
        patch.get_facecolor()[:3]
        for patch in axis.patches
        if isinstance(patch, Rectangle) and patch.get_fill()
    ]
    assert colours[0] == (0, 0, 0) and colours[1] == (1, 1, 1)
    assert np.allclose(colours[2], np.array([255, 163, 177]) / 255)


def test_small_print_is_refused():
    with pytest.raises(ValueError, match="too small to read"):
        write(sheet(4, 4)[1], 0, 0, "small print", fontsize=9)


def test_stack_is_drawn_from_the_back_and_returned_from_the_front():
    _, axis = sheet(8, 8)
    planes = draw_stack(axis, 3, 2, 2, 1, 4, step=0.5)
    assert [plane.left for plane in planes] == [1, 1.5, 2]
    assert [plane.top for plane in planes] == [4, 3.5, 3]


def test_text_can_be_read_on_any_fill():
    def luminance(colour):
        c = np.array(to_rgb(colour))
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    for level in np.linspace(0, 1, 52):
        colour = (level, level, level)
        low, high = sorted((luminance(colour), luminance(ink_on(colour))))
        assert (high + 0.05) / (low + 0.05) > 3
    assert tint("#000000", 0.25) == (0.75, 0.75, 0.75)


# --- Drawings ----------------------------------------------------------------------------


def test_tensor_ranks_are_named_and_counted():
    figure = draw_tensor_ranks(list("abcde"), ["()", "(1,)", "(2, 2)", "(3, 3, 3)", "(4, 3, 3, 3)"])
    assert [word for word in words(figure) if word.startswith("rank")] == [f"rank {k}" for k in range(5)]
    svg(figure)


def test_pictures_keep_their_pixels():
    picture = np.arange(48).reshape(4, 4, 3)
    figure = show_pictures([picture, picture[..., 0]], ["colour", "grey"])
    colour, grey = (axis.images[0] for axis in figure.axes)
    assert np.array_equal(colour.get_array(), picture)
    assert np.array_equal(grey.get_array(), picture[..., 0]) and grey.get_clim() == (0, 255)
    assert {image.get_interpolation() for image in (colour, grey)} == {"none"}
    svg(figure)


def test_colours_beyond_a_byte_are_cut_off_not_wrapped():
    figure = show_pictures([np.full((2, 2, 3), 300), np.full((2, 2, 3), -5)])
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in figure.axes] == [255, 0]


@pytest.mark.parametrize(
    "call, words_of_error",
    [
        (lambda: show_pictures([GRID], ["a", "b"]), "2 titles for 1"),
        (lambda: show_pictures([GRID], frames=["red", "blue"]), "2 frames for 1"),
        (lambda: draw_tensor_ranks(list("abcd"), list("abcde")), "shorter"),
        (lambda: draw_sliding(GRID, EDGES, 9), "9 is out of bounds"),
        (lambda: cross_correlate(GRID, np.ones((6, 1))), "cannot be larger"),
        (lambda: draw_channels(np.ones((3, 3, 3)), np.ones((3, 3, 2)), 0), "shape"),
    ],
)
def test_what_does_not_fit_together_is_refused(call, words_of_error):
    with pytest.raises(ValueError, match=words_of_error):
        call()


def test_planes_are_the_channels_in_order():
    photo = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    figure = show_planes(photo)
    for k, axis in enumerate(figure.axes[1:]):
        assert np.array_equal(axis.images[0].get_array(), photo[..., k])
    svg(figure)


@pytest.mark.parametrize("padding", [0, 1])
def test_sliding_shows_the_right_outputs_and_sum(padding):
    outputs = cross_correlate(GRID, EDGES, padding)
    step = outputs.size // 2
    figure = draw_sliding(GRID, EDGES, step, padding=padding)
    shown = numbers(figure)
    assert shown[-(step + 1) :] == outputs.flat[: step + 1].tolist()
    sum_written = words(figure)[-1]
    left, right = sum_written.replace("\n", " ").split("=")
    assert eval(left.replace("×", "*")) == float(right) == outputs.flat[step]
    svg(figure)


def test_sliding_fills_all_outputs_where_asked():
    outputs = cross_correlate(GRID, EDGES)
    figure = draw_sliding(GRID, EDGES, 0, all_outputs=True)
    assert numbers(figure)[-9:] == outputs.ravel().tolist()


def test_footprint_lies_over_the_inputs_that_it_uses():
    figure = draw_sliding(GRID, EDGES, 5)  # row 1, column 2
    frames = [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle)
        and not patch.get_fill()
        and np.allclose(patch.get_edgecolor()[:3], to_rgb(KERNEL))
        and patch.get_linewidth() == THICKEST
    ]
    assert len(frames) == 1
    grid = [patch for patch in figure.axes[0].patches if patch.get_width() == 5][0]
    assert np.subtract(frames[0].get_xy(), grid.get_xy()).tolist() == [2, 1]
    assert frames[0].get_width() == frames[0].get_height() == 3


def test_uses_are_counted():
    shown = numbers(draw_uses(7, 9, (3, 3), (2, 3)))
    expected = np.zeros((7, 9), int)
    for row in (0, 2, 4):
        for column in (0, 3, 6):
            expected[row : row + 3, column : column + 3] += 1
    assert shown == expected.ravel().tolist()
    assert set(numbers(draw_uses(9, 9, (3, 3), (3, 3)))) == {1}
    assert 0 in numbers(draw_uses(9, 9, (3, 3), (4, 4)))


def test_channels_are_added_with_the_bias():
    rng = np.random.default_rng(3)
    window, weights = rng.integers(0, 9, (3, 3, 3)), rng.integers(-2, 3, (3, 3, 3))
    figure = draw_channels(window, weights, -4)
    sums = (window * weights).sum(axis=(0, 1))
    assert set(sums) <= set(numbers(figure))
    assert numbers(figure)[-1] == (window * weights).sum() - 4
    assert "with the bias -4" in words(figure)
    svg(figure)


def test_layers_name_their_channels():
    figure = draw_layer(6, 4)
    assert {"filter 1", "filter 4", "input: 6 channels", "output: 4 channels"} <= set(words(figure))
    svg(figure)
    figure = draw_pointwise(300, 175)
    assert {"300 channels", "175 channels"} <= set(words(figure))
    assert any("300 weights" in each for each in words(figure))
    svg(figure)


def test_drawings_are_the_same_from_run_to_run():
    use_course_style()
    assert svg(draw_sliding(GRID, EDGES)) == svg(draw_sliding(GRID, EDGES))


def test_every_text_is_legible():
    for figure in (
        draw_sliding(GRID, EDGES),
        draw_layer(6, 4),
        draw_pointwise(3, 2),
        draw_uses(7, 9, (3, 3), (2, 3)),
        draw_tensor_ranks(list("abcde"), list("abcde")),
        draw_channels(np.ones((3, 3, 3)), np.ones((3, 3, 3)), 0),
    ):
        sizes = [text.get_fontsize() for axis in figure.axes for text in axis.texts]
        assert min(sizes) >= SMALL


def test_texts_lie_inside_of_their_sheet():
    for figure in (
        draw_sliding(GRID, EDGES),
        draw_sliding(GRID, EDGES, padding=1),
        draw_layer(6, 4),
        draw_pointwise(300, 175),
        draw_uses(7, 9, (3, 3), (2, 3)),
        draw_tensor_ranks(["a\nb"] * 5, ["(32, 272, 320, 3)"] * 5),
        draw_channels(np.ones((3, 3, 3)), np.ones((3, 3, 3)), 0),
    ):
        figure.canvas.draw()
        width, height = figure.canvas.get_width_height()
        for text in figure.axes[0].texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text.get_text()


# --- Animations --------------------------------------------------------------------------


def test_frames_are_shown_in_order_and_closed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    frames = [draw_sliding(GRID, EDGES, step) for step in range(3)]
    show_frames(iter(frames))
    assert shown == frames
    assert not plt.get_fignums()


def test_frames_of_different_size_would_jump(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda figure: None)
    with pytest.raises(ValueError, match="Frame 2"):
        show_frames([sheet(4, 4)[0], sheet(4, 5)[0]])


def test_outline_may_lie_on_padding():
    _, axis = sheet(8, 8)
    outline(axis, Cells(2, 2, 3, 3), -1, -1, 3, 3, colour=OUTPUT)
    assert axis.patches[-1].get_xy() == (1, 1)
