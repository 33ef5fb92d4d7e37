"""The shipped CNN for the browser: what "Draw it yourself" computes with.

    python -m tools.draw_yourself           write the files below again
    python -m tools.draw_yourself --check   fail where they are not what the code makes

From `cache/cnn.keras` and the shipped handwriting come

* `assets/js/draw-yourself-weights.js`: layers, float32 weights, the characters, and the look of the
  training images (size and grey of the ink, width of the line, margins), so that
  `assets/js/draw-yourself.js` can turn a reader's strokes into an image of the same kind;
* `assets/images/draw-yourself.svg`: the picture that stands in its place without JavaScript and in
  print.

Both hold their recipe: the SHA-256 of the model file and of the archive of handwriting, and a hash
of the code here. `up_to_date` compares it, names the ingredient that changed and makes the files
again; with `COURSE_STRICT=1` it fails instead, and with `COURSE_REFIT=1` it always makes them. Own
data (`COURSE_DATA`) and another cache (`COURSE_CACHE`) do not touch these files: the page shows the
network that ships.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import data, loaders
from course.characters import MEANINGS
from course.paths import ASSETS, CACHE, REPOSITORY
from course.store import artefacts, files, recipes

import keras
import numpy as np

from tools.handwriting.compare import measure

MODEL = CACHE / "cnn.keras"
WEIGHTS = ASSETS / "js" / "draw-yourself-weights.js"
PICTURE = ASSETS / "images" / "draw-yourself.svg"
REMEDY = "python -m tools.draw_yourself"

PAPER = 255
EVERY = 20  # one training image in so many is measured
EXAMPLE = "明"  # shown in the still picture, where the model knows it

_HEAD = (
    "// Made by `python -m tools.draw_yourself` from cache/cnn.keras. Do not edit.\n"
    "window.drawYourselfNetwork = "
)


class BrowserModelError(RuntimeError):
    """The files for the browser are missing, damaged or stale, or cannot be made."""


def up_to_date() -> dict[str, Any]:
    """Make the files for the browser where they are missing or stale.

    Returns:
        What the weights file holds, without the weights: "recipe", "classNames", "meanings",
        "look", "layers", "input".

    Raises:
        BrowserModelError: the files cannot be made; or with `COURSE_STRICT=1` (and without
            `COURSE_REFIT=1`) they are stale. The message names what changed and the remedy.
    """
    reasons = stale()
    refit = artefacts.switched_on("COURSE_REFIT")
    if reasons and artefacts.switched_on("COURSE_STRICT") and not refit:
        raise BrowserModelError(_stale_message(reasons))
    if reasons or refit:
        why = "; ".join(reasons or ["COURSE_REFIT is set"])
        print(f'Making the files of "Draw it yourself": {why}.', file=sys.stderr)
        write()
    content = read()
    content.pop("weights")
    return content


def stale() -> list[str]:
    """What makes the stored files stale, in words; an empty list where nothing does."""
    recipe = _recipe()
    try:
        stored = read()["recipe"]
    except BrowserModelError as error:
        return [str(error)]
    reasons = []
    for key, words in (
        ("model", f"{_name(MODEL)} changed"),
        ("handwriting", "the shipped handwriting changed"),
    ):
        if stored.get(key) != recipe[key]:
            reasons.append(words)
    before, after = stored.get("code") or {}, recipe["code"]
    changed = sorted(part for part in {*before, *after} if before.get(part) != after.get(part))
    if changed:
        reasons.append(f"the code changed: {', '.join(changed)}")
    try:
        picture = PICTURE.read_text(encoding="utf-8")
    except OSError as error:
        return [*reasons, f"{_name(PICTURE)} cannot be read ({error.strerror})"]
    if f"recipe {recipes.content_hash(recipe)}" not in picture:
        reasons.append(f"{_name(PICTURE)} belongs to another recipe")
    return reasons


def read() -> dict[str, Any]:
    """Return what the weights file holds; "weights" is the float32 array of all of them.

    Raises:
        BrowserModelError: it is missing or damaged.
    """
    try:
        text = WEIGHTS.read_text(encoding="utf-8")
        head, _, rest = text.partition("window.drawYourselfNetwork = ")
        content = json.loads(rest.strip().removesuffix(";"))
        content["weights"] = np.frombuffer(base64.b64decode(content["weights"]), "<f4")
        expected = sum(part["size"] for layer in content["layers"] for part in layer["weights"])
        if len(content["weights"]) != expected or not isinstance(content["recipe"], dict):
            raise ValueError("it does not hold as many weights as its layers need")
    except OSError as error:
        raise BrowserModelError(
            f"{_name(WEIGHTS)} cannot be read ({error.strerror}); make it: {REMEDY}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BrowserModelError(f"{_name(WEIGHTS)} is damaged ({error}); make it again: {REMEDY}") from error
    return content


def write() -> None:
    """Make both files anew from the shipped model and handwriting; each appears whole.

    Raises:
        BrowserModelError: no model, a layer that the browser's code does not know, or data that are
            not those of the model.
    """
    recipe = _recipe()
    try:
        model = artefacts.load_model(MODEL)
    except (OSError, ValueError) as error:
        raise BrowserModelError(f"{_name(MODEL)} cannot be loaded: {error}") from error
    folder = data._shipped_folder()
    height, width, _ = model.input_shape[1:]
    class_names = [label for label, _ in loaders.class_folders(folder / "Train")]
    _check_classes(model, folder, class_names)
    layers, weights = export(model)
    content = {
        "recipe": recipe,
        "input": [height, width],
        "classNames": class_names,
        "meanings": [list(MEANINGS.get(name, ("", ""))) for name in class_names],
        "look": look(folder / "Train"),
        "layers": layers,
        "weights": base64.b64encode(weights.astype("<f4").tobytes()).decode("ascii"),
    }
    picture = _picture(model, folder, class_names, recipes.content_hash(recipe))
    _write_if_new(PICTURE, picture)
    _write_if_new(WEIGHTS, _HEAD + json.dumps(content, ensure_ascii=False) + ";\n")


def export(model: keras.Model) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Describe a sequential model for the browser.

    Args:
        model: of Rescaling, Conv2D (stride 1, 3-D inputs, "same" or "valid"), MaxPooling2D, Flatten
            and Dense layers, the last of which gives logits.

    Returns:
        The layers, each a dict with "type", its options and for each array of weights "shape" and
        "size", and all weights as one float32 array, in the order of the layers.

    Raises:
        BrowserModelError: another layer or option; it is named.
    """
    layers, arrays = [], []
    for layer in model.layers:
        described = _describe(layer)
        values = [np.asarray(each, np.float32) for each in layer.get_weights()]
        described["weights"] = [{"shape": list(v.shape), "size": int(v.size)} for v in values]
        layers.append(described)
        arrays += [value.ravel() for value in values]
    if not layers or layers[-1]["type"] != "Dense" or layers[-1]["activation"] != "linear":
        raise BrowserModelError(f"The last layer of {_name(MODEL)} should be dense and give logits.")
    return layers, np.concatenate(arrays)


def _describe(layer: keras.layers.Layer) -> dict[str, Any]:
    kind = type(layer).__name__
    config = layer.get_config()
    activation = config.get("activation", "linear")
    plain = {
        "Rescaling": lambda: np.ndim(config["scale"]) == 0 and np.ndim(config["offset"]) == 0,
        "Conv2D": lambda: (
            tuple(layer.strides) == (1, 1)
            and tuple(layer.dilation_rate) == (1, 1)
            and layer.groups == 1
            and layer.padding in ("same", "valid")
            and layer.use_bias
            and layer.data_format == "channels_last"
        ),
        "MaxPooling2D": lambda: (
            layer.pool_size == layer.strides
            and layer.padding == "valid"
            and layer.data_format == "channels_last"
        ),
        "Flatten": lambda: layer.data_format == "channels_last",
        "Dense": lambda: layer.use_bias,
        "Dropout": lambda: True,
    }
    if kind not in plain or not plain[kind]() or activation not in ("relu", "linear"):
        raise BrowserModelError(
            f"assets/js/draw-yourself.js does not know the layer {layer.name} ({kind}, "
            f"{activation}) as {_name(MODEL)} uses it. Teach it there, and tools/draw_yourself.py."
        )
    described: dict[str, Any] = {"type": kind, "activation": activation}
    if kind == "Rescaling":
        described |= {"scale": float(config["scale"]), "offset": float(config["offset"])}
    if kind == "Conv2D":
        described["padding"] = layer.padding
    if kind == "MaxPooling2D":
        described["size"] = list(layer.pool_size)
    return described


def _check_classes(model: keras.Model, folder: Path, class_names: list[str]) -> None:
    """The model must have been scored on the shipped test set with these very class names."""
    X, y, _ = loaders.load_images_from_directory(folder / "Test", class_names=class_names)
    try:
        manifest = json.loads((CACHE / artefacts.MANIFEST).read_text(encoding="utf-8"))
        recorded = manifest["artefacts"][MODEL.stem]["score_data"]["test"]
    except (OSError, ValueError, KeyError) as error:
        raise BrowserModelError(
            f"{_name(CACHE / artefacts.MANIFEST)} does not say on which data {MODEL.name} was "
            "scored. Fit it again: make train"
        ) from error
    if model.output_shape[-1] != len(class_names) or recorded != artefacts.data_fingerprint(X, y):
        raise BrowserModelError(
            f"{_name(MODEL)} was fitted to other data than the shipped handwriting, so that its "
            "classes are not known. Fit it again (make train), or undo the change of the data."
        )


# --- the look of the training images -----------------------------------------------------------


def look(train_folder: Path) -> dict[str, float]:
    """Measure what a drawing must look like to be an image of the same kind.

    Part of the scans are cut at the ink, the others have margins of paper. The commoner kind is
    measured. Medians over its images:

    ``inkSize`` square root of the ink box's area, ``lineWidth`` width of the line (see
    `tools.handwriting.compare.measure`), ``left, top, right, bottom`` margins, all in pixels of
    the scan, and ``grey``, the median grey level of the ink.

    Raises:
        ValueError: a folder without images (see `course.loaders.class_folders`).
    """
    rows = []
    for _, path in loaders.class_folders(train_folder):
        for entry in loaders._image_entries(str(path))[::EVERY]:
            image = np.asarray(loaders._read_grey_array(entry.path))
            inked = np.argwhere(image < PAPER)
            if not (image < 200).any():
                continue
            (top, left), (last_row, last_column) = inked.min(0), inked.max(0)
            found = measure(image)
            rows.append(
                {
                    "inkSize": float(np.sqrt((last_row - top + 1) * (last_column - left + 1))),
                    "lineWidth": found["stroke_width_px"],
                    "grey": found["median_ink_grey"],
                    "left": left,
                    "top": top,
                    "right": image.shape[1] - 1 - last_column,
                    "bottom": image.shape[0] - 1 - last_row,
                }
            )
    if not rows:
        raise ValueError(f"{train_folder} holds no image with ink.")
    framed = [min(row[side] for side in ("left", "top", "right", "bottom")) > 0 for row in rows]
    kind = np.mean(framed) >= 0.5
    chosen = [row for row, each in zip(rows, framed) if each == kind]
    return {key: round(float(np.median([row[key] for row in chosen])), 2) for key in rows[0]}


# --- the still picture -------------------------------------------------------------------------


def _picture(model: keras.Model, folder: Path, class_names: list[str], recipe: str) -> str:
    """One handwritten character, its five likeliest classes and its first feature maps, as SVG."""
    from course import plots

    import matplotlib
    import matplotlib.pyplot as plt

    name = EXAMPLE if EXAMPLE in class_names else class_names[0]
    height, width = model.input_shape[1:3]
    files = loaders._image_entries(str(folder / "Test" / name))
    images = np.stack([loaders.preprocess_image(each.path, height, width) for each in files])
    probabilities = plots.predicted_probabilities(model, images)
    # The first one that it reads right: this picture explains, it is no score.
    right = probabilities.argmax(1) == class_names.index(name)
    image, chances = images[right.argmax()], probabilities[right.argmax()]
    maps = image[np.newaxis].astype("float32")
    for layer in model.layers:
        maps = layer(maps)
        if isinstance(layer, keras.layers.Conv2D):
            break
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
    return re.sub(r"<svg ", f"<!-- recipe {recipe} -->\n<svg ", text.getvalue(), count=1)


# --- recipe and files --------------------------------------------------------------------------


def _recipe() -> dict[str, Any]:
    archive = next((path for path in data.ARCHIVES if path.exists()), None)
    try:
        return {
            "model": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
            "handwriting": data._sha256(archive) if archive else None,
            "code": {
                function.__qualname__: recipes.code_hash(function)
                for function in (export, _describe, look, _picture, measure, loaders.preprocess_image)
            }
            | {"constants": recipes.content_hash([EVERY, EXAMPLE, PAPER])},
        }
    except OSError as error:
        raise BrowserModelError(
            f"{_name(MODEL)} cannot be read ({error.strerror}): it is the network that the page "
            "shows. Restore it with `git checkout`, or fit it: make train"
        ) from error


def _stale_message(reasons: list[str]) -> str:
    listed = "".join(f"\n  - {reason}" for reason in reasons)
    return (
        f'The files of "Draw it yourself" are not what the code makes:{listed}\nMake them '
        f"again with `{REMEDY}` (`make train` does it too), or undo the change."
    )


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else str(path)


def _write_if_new(path: Path, text: str) -> None:
    """Leave a file that holds the text already as it is: its date is that of its content."""
    if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
        files.write_whole(path, text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 1 where the files are stale or not made."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.draw_yourself", description='Make the files of "Draw it yourself".'
    )
    parser.add_argument("--check", action="store_true", help="only say whether they are stale")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            reasons = stale()
            print(_stale_message(reasons) if reasons else "The files are up to date.")
            return 1 if reasons else 0
        write()
    except (BrowserModelError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in (WEIGHTS, PICTURE):
        print(f"{_name(path)}: {path.stat().st_size / 1000:,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
