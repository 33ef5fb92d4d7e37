"""Faster convolutions on the CPU: the same sums, without needless copies of the images."""

from __future__ import annotations

import contextlib
import warnings

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
import keras
import torch


def _channels_to_front(inputs: torch.Tensor) -> torch.Tensor:
    """View (n, spatial..., channels) as (n, channels, spatial...), without copying."""
    return inputs.movedim(-1, 1)


@contextlib.contextmanager
def fast_convolutions():
    """Keep images in the memory layout that they have, while this context lasts.

    Keras stores an image as height × width × channels, torch's operations expect channels first.
    Keras 3.15 therefore copies the input of each convolution into torch's layout, for convolutions
    straight back again, and pools in the slower layout. torch's operations work on any layout: a
    view with the axes renamed gives the same numbers and saves the copies, both in the forward and
    in the backward pass. `benchmarks/training.py` measures what that gains.

    In another version of Keras, where the function to be replaced is not found, nothing happens.
    """
    from keras.src.backend.torch import nn

    original = getattr(nn, "_transpose_spatial_inputs", None)
    if original is None:
        warnings.warn(
            f"Keras {keras.__version__} has no _transpose_spatial_inputs: fitting works, but "
            "course/speed.py cannot make it faster.",
            stacklevel=3,
        )
        yield
        return
    nn._transpose_spatial_inputs = _channels_to_front
    try:
        yield
    finally:
        nn._transpose_spatial_inputs = original
