"""The shipped CNN for the browser: what "Draw it yourself" computes with.

    python -m tools.draw_yourself           make the files below again where they are stale
    python -m tools.draw_yourself --check   fail where they are not what the code makes

From `cache/cnn.keras` and the shipped handwriting come

* `assets/js/draw-yourself-weights.js`: layers, float32 weights, the characters, what tells that a drawing
  is none of them, and the look of the training images (size and grey of the ink, width of the line, margins),
  so that `assets/js/draw-yourself.js` can turn a reader's strokes into an image of the same kind;
* `assets/images/draw-yourself.svg`: the picture that stands in its place without JavaScript and in print.

They are an artefact of `course.store`, whose manifest lies in `assets/`. Own data (`COURSE_DATA`) and another
cache (`COURSE_CACHE`) do not touch these files: the page shows the network that ships.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import data, loaders, plots
from course.characters import MEANINGS
from course.models import fitting
from course.paths import ASSETS, CACHE
from course.photos import read_picture
from course.store import artefacts, files, recipes
from course.store.artefacts import ArtefactError

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from tools.handwriting.compare import measure

MODEL = CACHE / "cnn.keras"
WEIGHTS = "js/draw-yourself-weights.js"
PICTURE = "images/draw-yourself.svg"

PAPER = 255
EVERY = 20  # one training image in so many is measured
KNOWN_AGAIN = 0.95  # share of the test images read right that pass as one of the characters
EXAMPLE = "明"  # shown in the still picture, where the model knows it

# The layers that assets/js/draw-yourself.js computes, and which options it takes for granted.
_LAST = {"data_format": "channels_last"}
KNOWN = {
    "Rescaling": {},
    "Conv2D": _LAST | {"strides": (1, 1), "dilation_rate": (1, 1), "groups": 1, "use_bias": True},
    "MaxPooling2D": _LAST | {"padding": "valid"},
    "Flatten": _LAST,
    "Dense": {"use_bias": True},
    "Dropout": {},
}

_HEAD = "// Made by `python -m tools.draw_yourself` from cache/cnn.keras. Do not edit.\n"
_NAME = "window.drawYourselfNetwork = "


def up_to_date(folder: Path = ASSETS) -> dict[str, Any]:
    """Make the files for the browser where they are missing or stale; returns what the weights file holds.

    "weights" is the float32 array of all weights. Raises ArtefactError as `artefacts.load_or_make` does, and
    where the model is missing, unknown to the browser's code, or fitted to other data than those that ship.
    """
    try:
        used = {"model": MODEL.read_bytes(), "handwriting": data.ARCHIVE.read_bytes()}
    except OSError as error:
        raise ArtefactError(
            f"{Path(error.filename).name} cannot be read ({error.strerror}): the page shows this network. "
            "Restore it with `git checkout`, or make it: make train, make data"
        ) from error
    recipe = {key: {"sha256": hashlib.sha256(value).hexdigest()} for key, value in used.items()}
    recipe |= {"code": recipes.code_of([export, familiarity, look, _picture])}
    return artefacts.load_or_make("draw_yourself", recipe, _make, _read, folder=folder)


def _read(folder: Path, entry: dict) -> dict[str, Any]:
    text = (folder / WEIGHTS).read_text(encoding="utf-8")
    content = json.loads(text.partition(_NAME)[2].strip().removesuffix(";"))
    content["weights"] = np.frombuffer(base64.b64decode(content["weights"]), "<f4")
    return content


def _make(folder: Path) -> dict:
    model = fitting.load_model(MODEL)
    shipped = data.shipped_folder()
    height, width, _ = model.input_shape[1:]
    class_names = [label for label, _ in loaders.class_folders(shipped / "Train")]
    X, y, _ = loaders.load_images_from_directory(shipped / "Test", class_names=class_names)
    entry = artefacts.read_manifest(CACHE)["artefacts"].get(MODEL.stem, {})
    if entry.get("score_data", {}).get("test") != fitting.data_fingerprint(X, y):
        raise ArtefactError(
            f"{MODEL.name} was fitted to other data than the shipped handwriting, so that its classes are "
            "not known. Fit it again (make train), or undo the change of the data."
        )
    layers, weights = export(model)
    train = loaders.load_images_from_directory(shipped / "Train", class_names=class_names)[:2]
    directions, least = familiarity(model, train, (X, y))
    content = {
        "input": [height, width],
        "classNames": class_names,
        "meanings": [list(MEANINGS.get(name, ("", ""))) for name in class_names],
        "familiar": {"least": round(least, 4), "directions": _text(directions)},
        "look": look(shipped / "Train"),
        "layers": layers,
        "weights": _text(weights),
    }
    files.write_whole(folder / PICTURE, _picture(model, shipped, class_names))
    files.write_whole(folder / WEIGHTS, f"{_HEAD}{_NAME}{json.dumps(content, ensure_ascii=False)};\n")
    return {}


def _text(array: np.ndarray) -> str:
    """Numbers as base64 of float32, little-endian."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def export(model: keras.Model) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Describe a sequential model for the browser; the last of its layers gives logits.

    Returns the layers, each a dict with "type", its options and for each array of weights "shape" and "size",
    and all weights as one float32 array, in that order. ArtefactError names a layer that is not in `KNOWN`.
    """
    layers, arrays = [], []
    for layer in model.layers:
        values = [np.asarray(each, np.float32) for each in layer.get_weights()]
        weights = [{"shape": list(value.shape), "size": int(value.size)} for value in values]
        layers.append(_describe(layer) | {"weights": weights})
        arrays += [value.ravel() for value in values]
    if not layers or layers[-1]["type"] != "Dense" or layers[-1]["activation"] != "linear":
        raise ArtefactError(f"The last layer of {MODEL.name} should be dense and give logits.")
    return layers, np.concatenate(arrays)


def _describe(layer: keras.layers.Layer) -> dict[str, Any]:
    kind, config = type(layer).__name__, layer.get_config()
    activation = config.get("activation", "linear")
    plain = kind in KNOWN and all(config[key] == value for key, value in KNOWN[kind].items())
    if kind == "MaxPooling2D":
        plain = plain and layer.pool_size == layer.strides
    if not plain or activation not in ("relu", "linear"):
        raise ArtefactError(
            f"assets/js/draw-yourself.js does not know the layer {layer.name} ({kind}, "
            f"{activation}) as {MODEL.name} uses it. Teach it there, and tools/draw_yourself.py."
        )
    described: dict[str, Any] = {"type": kind, "activation": activation}
    if kind == "Rescaling":
        described |= {"scale": float(config["scale"]), "offset": float(config["offset"])}
    if kind == "Conv2D":
        described["padding"] = layer.padding
    if kind == "MaxPooling2D":
        described["size"] = list(layer.pool_size)
    return described


def familiarity(model: keras.Model, train: tuple, test: tuple) -> tuple[np.ndarray, float]:
    """Return what tells that a drawing is none of the characters: directions, and the least cosine with one.

    `train` and `test` are images (n, h, w, 1) and labels (n,). The directions, float32 (classes, d), are
    those of each class's mean features, as the last layer gets them. `KNOWN_AGAIN` of the test images that
    are read right reach the least (nearest class mean: Lee et al. 2018, "A simple unified framework for
    detecting out-of-distribution samples", here by angle).
    """
    body = keras.Model(model.inputs[0], [model.layers[-1].input, model.outputs[0]])

    def features(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, logits = body.predict(X.astype("float32"), batch_size=128, verbose=0)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), logits.argmax(axis=1)

    known, y = features(train[0])[0], train[1]
    means = np.stack([known[y == k].mean(axis=0) for k in range(model.output_shape[-1])])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    found, answers = features(test[0])
    nearest = (found @ means.T).max(axis=1)[answers == test[1]]
    return means, float(np.quantile(nearest, 1 - KNOWN_AGAIN))


def look(train_folder: Path) -> dict[str, float]:
    """Measure what a drawing must look like to be an image of the same kind.

    Part of the scans are cut at the ink, the others have margins of paper. The commoner kind is
    measured. Medians over its images:

    ``inkSize`` square root of the ink box's area, ``lineWidth`` width of the line (see
    `tools.handwriting.compare.measure`), ``left, top, right, bottom`` margins, all in pixels of
    the scan, and ``grey``, the median grey level of the ink.
    """
    rows, framed = [], []
    for paths in loaders.find_images(train_folder)[0].values():
        for image_path in paths[::EVERY]:
            image = np.asarray(read_picture(image_path).convert("L"))
            if not (image < 200).any():
                continue
            inked = np.argwhere(image < PAPER)
            (top, left), (bottom, right) = inked.min(0), inked.max(0) + 1
            margins = {"left": left, "top": top}
            margins |= {"right": image.shape[1] - right, "bottom": image.shape[0] - bottom}
            found = measure(image)
            size = np.sqrt((bottom - top) * (right - left))
            line = {"lineWidth": found["stroke_width_px"], "grey": found["median_ink_grey"]}
            rows.append({"inkSize": size, **line, **margins})
            framed.append(min(margins.values()) > 0)
    chosen = [row for row, each in zip(rows, framed) if each == (np.mean(framed) >= 0.5)]
    return {key: round(float(np.median([row[key] for row in chosen])), 2) for key in rows[0]}


def _picture(model: keras.Model, folder: Path, class_names: list[str]) -> str:
    """One handwritten character, its five likeliest classes and its first feature maps, as SVG."""
    name = EXAMPLE if EXAMPLE in class_names else class_names[0]
    height, width = model.input_shape[1:3]
    paths = loaders.find_images(folder / "Test")[0][name]
    images = np.stack([loaders.preprocess_image(path, height, width) for path in paths])
    probabilities = plots.predicted_probabilities(model, images)
    # The first one that it reads right: this picture explains, it is no score.
    right = probabilities.argmax(1) == class_names.index(name)
    image, chances = images[right.argmax()], probabilities[right.argmax()]
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    maps = keras.Model(model.inputs[0], first.output)(image[np.newaxis].astype("float32"))
    maps = keras.ops.convert_to_numpy(maps)[0]
    best = chances.argsort()[::-1][:5]
    with matplotlib.rc_context(plots._STYLE):
        figure = plt.figure(figsize=(11.2, 4.2))
        left, middle, right_part = figure.subfigures(1, 3, width_ratios=[1, 1.15, 2.2])
        axis = left.subplots()
        plots._show_image(axis, image[..., 0], "gray")
        axis.set_title("Drawn")
        axis = middle.subplots()
        axis.barh([class_names[k] for k in best], chances[best], color=plots.BLUE)
        axis.invert_yaxis()
        axis.set(xlim=(0, 1), xticks=[0, 1], title="Read as", xlabel="Probability")
        axis.tick_params(axis="y", labelsize=20)
        columns = -(-maps.shape[-1] // 2)
        axes = right_part.subplots(2, columns, squeeze=False)
        right_part.suptitle("First-layer feature maps", x=0.02, ha="left", fontsize=17, fontweight="bold")
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, channel in zip(axes.flat, np.moveaxis(maps, -1, 0)):
            axis.imshow(channel, cmap="Blues", vmin=0, vmax=maps.max())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        plt.close(figure)
    return text.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 1 where the files are stale or not made."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.draw_yourself", description='Make the files of "Draw it yourself".'
    )
    parser.add_argument("--check", action="store_true", help="only say whether they are stale")
    if parser.parse_args(arguments).check:
        os.environ["COURSE_STRICT"] = "1"
    try:
        up_to_date()
    except ArtefactError as error:
        print(f"error: {error}\nThe command that makes them: python -m tools.draw_yourself", file=sys.stderr)
        return 1
    print('The files of "Draw it yourself" are up to date.')
    return 0


if __name__ == "__main__":
    sys.exit(main())
