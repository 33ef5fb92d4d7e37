"""Drawings of networks and of pooling show the shapes and numbers that they are given."""

import course  # noqa: F401
from course.figures import networks

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def small_cnn(size=8):
    return keras.Sequential(
        [
            keras.Input((size, 6, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(1000),
            keras.layers.Dense(3),
        ]
    )


def test_network_names_each_shape_of_the_model():
    found = texts(networks.draw_network(small_cnn()))
    assert found == [
        "input",
        "8 × 6\n× 1",
        "conv",
        "8 × 6\n× 4",
        "pool",
        "4 × 3\n× 4",
        "flatten",
        "48",
        "dense",
        "1,000",
        "dense",
        "3",
    ]


def test_blocks_are_to_scale():
    figure = networks.draw_network(small_cnn())
    fronts = [patch.get_xy()[:4] for patch in figure.axes[0].patches[::3]]
    sizes = [(np.ptp(corners[:, 0]), np.ptp(corners[:, 1])) for corners in fronts]
    # channels wide and rows high; 1,000 numbers fold into 13 columns of 80
    assert sizes == [(1, 8), (4, 8), (4, 4), (1, 48), (13, 80), (1, 3)]


def test_network_without_fixed_size_is_refused():
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="fixed size"):
        networks.draw_network(model)


def test_pooling_shows_maxima_and_means():
    values = np.array([[1, 3, 0, 2], [5, 7, 4, 2]])
    found = texts(networks.draw_pooling(values))
    assert found[:8] == ["1", "3", "0", "2", "5", "7", "4", "2"]
    assert found.count("max") == found.count("average") == 1
    assert found[found.index("max") - 2 : found.index("max")] == ["7", "4"]
    assert found[found.index("average") - 2 : found.index("average")] == ["4", "2"]


def test_pooling_needs_whole_blocks():
    with pytest.raises(ValueError):
        networks.draw_pooling(np.zeros((3, 4)))


def test_multichannel_pooling_names_its_shapes():
    found = texts(networks.draw_multichannel_pooling(6, 3))
    for shape in ("6 × 6 × 1", "6 × 6 × 3", "3 × 3 × 3"):
        assert shape in found
