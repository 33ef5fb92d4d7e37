"""What is on these photos? The three likeliest of ImageNet's 1,000 classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from types import ModuleType

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models.efficientnet_lite import decode_predictions
from course.models.weights import DownloadError, pretrained
from course.photos import load_photos

import keras
import numpy as np

TOP = 3


def classify_imagenet(
    paths: Iterable[str | PathLike],
    model_module: ModuleType,
    ModelClass: Callable[..., keras.Model],
    dims: int | tuple[int, int],
) -> list[list[tuple[str, str, float]]] | None:
    """Print the three likeliest ImageNet classes of each photo, with their probabilities.

        classify_imagenet(paths, efficientnet_lite, efficientnet_lite.EfficientNetLite0, 224)
        classify_imagenet(paths, keras.applications.mobilenet, keras.applications.MobileNet, 224)

    The module has the network's `preprocess_input`, the function builds it from `weights="imagenet"`; `dims`
    is the side of its input, or height and width. Weights of `keras.applications` come from Keras's cache or
    are downloaded. Where neither works, one printed line says so, and the result is None.
    """
    paths = [Path(path) for path in paths]
    height, width = (dims, dims) if isinstance(dims, int) else dims
    name = getattr(ModelClass, "__name__", str(ModelClass))
    photos = load_photos(paths, (height, width), "centre")
    try:
        model = pretrained(ModelClass)
    except DownloadError as error:
        print(f"{name}: left out, since its weights are not here and {error}.")
        return None
    # A copy: some of Keras's functions scale in place.
    inputs = model_module.preprocess_input(photos.astype("float32"))
    found = decode_predictions(model.predict(np.asarray(inputs), verbose=0), top=TOP)
    print(f"{name}:")
    widest = max(len(path.name) for path in paths)
    for path, best in zip(paths, found, strict=True):
        words = ", ".join(f"{label} {probability:.0%}" for _, label, probability in best)
        print(f"  {path.name:<{widest}}  {words}")
    return found
