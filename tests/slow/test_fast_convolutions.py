"""Convolutions in another memory order: the same numbers for every kind of layer."""

import course  # noqa: F401
from course import speed

import keras
import numpy as np
import pytest
from keras import layers

LAYERS = {
    "as in the lecture": lambda: [
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
    ],
    "even kernel": lambda: [layers.Conv2D(4, (2, 4), padding="same")],
    "valid, dilated": lambda: [layers.Conv2D(4, 3, dilation_rate=(2, 1), activation="tanh")],
    "strides": lambda: [layers.Conv2D(4, 3, strides=2, padding="same")],
    "groups": lambda: [layers.Conv2D(4, 3, groups=2)],
    "no bias": lambda: [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization()],
    "depthwise": lambda: [layers.DepthwiseConv2D(3), layers.SeparableConv2D(4, 3)],
    "transposed": lambda: [layers.Conv2DTranspose(3, 3, strides=2)],
    "average pooling": lambda: [layers.AveragePooling2D(3, strides=2, padding="same")],
    "max pooling, same": lambda: [layers.MaxPooling2D(2, strides=1, padding="same")],
}


@pytest.mark.parametrize("case", LAYERS)
def test_fast_convolutions_change_no_result(case):
    rng = np.random.default_rng(0)
    images = rng.random((5, 9, 6, 2)).astype("float32")
    labels = np.arange(5) % 3
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((9, 6, 2)), *LAYERS[case](), layers.Flatten(), layers.Dense(3)])
    start = model.get_weights()

    def results():
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        logits = model.predict(images, verbose=0)
        model.fit(images, labels, epochs=3, shuffle=False, verbose=0)
        return [logits, *model.get_weights()]

    from keras.src.backend.torch import nn

    plain, original = results(), nn._transpose_spatial_inputs
    with speed.fast_convolutions():
        assert nn._transpose_spatial_inputs is not original
        fast = results()
    assert nn._transpose_spatial_inputs is original
    for ours, theirs in zip(fast, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
