"""Faster convolutions on the CPU: the same sums, without needless copies of the images."""

from __future__ import annotations

import contextlib
import warnings

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)

import keras
import torch


@contextlib.contextmanager
def fast_convolutions():
    """Make Keras's convolution and pooling layers faster on the CPU while this context lasts.

    Keras 3.15 stores the channels of an image last, torch expects them first: so Keras copies the input of
    each convolution into torch's layout and back again, and adds the bias in a pass of its own. A view with
    the axes renamed gives the same numbers without those passes. `benchmarks/training.py` measures the gain.
    With a Keras of other internals there is a warning, and nothing is faster.
    """
    try:
        from keras.src.backend.torch import nn
        from keras.src.layers.convolutional.base_conv import BaseConv

        slow_transpose, slow_call = nn._transpose_spatial_inputs, BaseConv.call
    except (ImportError, AttributeError):
        told = f"course/speed.py does not know Keras {keras.__version__}: training works, but is not faster."
        warnings.warn(told, stacklevel=3)
        yield
        return

    def call(layer, inputs):
        usual = layer.rank == 2 and layer.use_bias and layer.data_format == "channels_last"
        # torch pads unevenly for even kernels only with a copy: Keras does it as well
        odd = layer.padding == "same" and all(size % 2 for size in layer.kernel_size)
        fits = usual and tuple(layer.strides) == (1, 1) and (odd or layer.padding == "valid")
        return _convolve(layer, inputs) if fits else slow_call(layer, inputs)

    nn._transpose_spatial_inputs, BaseConv.call = _channels_to_front, call
    try:
        yield
    finally:
        nn._transpose_spatial_inputs, BaseConv.call = slow_transpose, slow_call


def _channels_to_front(inputs: torch.Tensor) -> torch.Tensor:
    """View (n, spatial..., channels) as (n, channels, spatial...), without copying."""
    return inputs.movedim(-1, 1)


def _convolve(layer: keras.layers.Conv2D, inputs: torch.Tensor) -> torch.Tensor:
    """Convolve (n, height, width, channels) images and add the bias in one operation."""
    kernel = keras.ops.convert_to_tensor(layer.kernel).permute(3, 2, 0, 1)
    outputs = torch.nn.functional.conv2d(
        _channels_to_front(keras.ops.convert_to_tensor(inputs)),
        kernel.contiguous(memory_format=torch.channels_last),
        keras.ops.convert_to_tensor(layer.bias),
        padding=layer.padding,
        dilation=layer.dilation_rate,
        groups=layer.groups,
    ).movedim(1, -1)
    return outputs if layer.activation is None else layer.activation(outputs)
