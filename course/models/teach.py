"""Teach a pretrained network your own classes, from a folder of your photos.

The photos go once through EfficientNet-Lite0, which stays as ImageNet left it. What is learnt is
the last layer: a multinomial logistic regression on its 1,280 outputs. The accuracy that is printed
comes from cross-validation, so each photo is judged by a layer that has not seen it.

The command is `python -m tools.teach`.
"""

from __future__ import annotations

import functools
import hashlib
import io
import time
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.loaders import find_images
from course.models import efficientnet_lite
from course.photos import SUFFIXES, PhotoError, fit, load_photos, open_photo
from course.results import progress
from course.speed import fast_convolutions
from course.store import files

import keras
import numpy as np
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

FEWEST = 5  # photos of a class
FOLDS = 5
SIZE = (224, 224)
BATCH = 16
FORMAT = 2  # of a saved head
KEPT = ("class_names", "weights", "bias", "photos", "correct", "features", "least")
FAMILIAR = 0.95  # share of the photos taught that pass as familiar, each compared with the others
SHOWN = 10  # faulty files in one message


class TeachError(ValueError):
    """The folder, a photo or a saved head cannot be used; the message says what to do."""


@dataclass
class Taught:
    """A head for the pretrained network, and what cross-validation says of it."""

    class_names: list[str]  # sorted
    weights: np.ndarray  # (1280, classes), float32
    bias: np.ndarray  # (classes,), float32
    photos: np.ndarray  # (classes,), int: the number of photos that it was taught with
    correct: int  # how many of them were named right in cross-validation
    features: np.ndarray  # (photos, 1280), float16: what the network sees in them
    least: float  # how near the nearest of them must be to a familiar photo, -1 to 1
    seconds: float = 0.0
    left_out: Sequence[str] = ()  # files that were not used, each with the reason
    wrong: Sequence[tuple[str, str, str, float]] = ()  # misnamed: path, truth, answer, its probability

    @property
    def accuracy(self) -> float:
        """Share of the photos that cross-validation named right."""
        return self.correct / int(self.photos.sum())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, for photos that are independent of each other."""
        found = binomtest(self.correct, int(self.photos.sum())).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def summary(self) -> str:
        """Return the report that the command prints."""
        total = int(self.photos.sum())
        low, high = self.interval
        counts = ", ".join(f"{name} {count}" for name, count in zip(self.class_names, self.photos))
        lines = [
            f"{total} photos of {len(self.class_names)} classes: {counts}",
            f"Right in cross-validation: {self.correct} of {total} = {self.accuracy:.1%}, "
            f"95 % interval {low:.1%} to {high:.1%}",
            f"Always saying '{self.class_names[int(self.photos.argmax())]}' would give "
            f"{self.photos.max() / total:.1%}",
        ]
        for path, truth, answer, probability in list(self.wrong)[:5]:
            lines.append(f"  {path}: {truth}, read as {answer} ({probability:.0%})")
        if len(self.wrong) > 5:
            lines.append(f"  … and {len(self.wrong) - 5} more")
        if self.left_out:
            more = f" and {len(self.left_out) - SHOWN} more" if len(self.left_out) > SHOWN else ""
            lines.append(f"{len(self.left_out)} left out: {'; '.join(list(self.left_out)[:SHOWN])}{more}")
        lines.append(
            "The interval holds for photos like these, taken independently. Shots in series,\n"
            "one background a class or one camera a class make it too good."
        )
        return "\n".join(lines)

    def judge(self, paths: Iterable[str | PathLike]) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of each class of new photos, (n, k), and if one is like none taught, (n,).

        The second is a nearest-neighbour detector (Sun et al. 2022, "Out-of-distribution detection with
        deep nearest neighbors").
        """
        features = extract_features(load_photos(paths, SIZE)).astype("float64")
        probabilities = softmax(features @ self.weights + self.bias, axis=1)
        return probabilities, _nearness(features, self.features) < self.least

    def save(self, path: str | PathLike) -> Path:
        """Write the head to an .npz file, whole or not at all; TeachError if it cannot be written."""
        path, memory = Path(path), io.BytesIO()
        kept = {name: getattr(self, name) for name in KEPT}
        np.savez(memory, format=FORMAT, backbone=efficientnet_lite.WEIGHTS_SHA256, **kept)
        try:
            files.write_whole(path, memory.getvalue())
        except OSError as error:
            raise TeachError(f"{path} cannot be written: {error.strerror or error}") from error
        return path


def _nearness(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """For each row the largest cosine with a row of `known`, both less the mean of `known`: (n,)."""
    centred = [each - known.mean(axis=0, dtype="float64") for each in (features, known)]
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in centred)
    return (first @ second.T).max(axis=1)


def load_head(path: str | PathLike) -> Taught:
    """Read a head that `Taught.save` wrote; TeachError if the file is none, or of other weights."""
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT:
                raise ValueError(f"format {int(stored['format'])} is not {FORMAT}")
            backbone = str(stored["backbone"])
            names, weights, bias, photos, correct, features, least = (stored[name] for name in KEPT)
        if weights.shape != (efficientnet_lite.HEAD_CHANNELS, len(names)) or bias.shape != names.shape:
            raise ValueError(f"weights of the shape {weights.shape} for {len(names)} classes")
    except FileNotFoundError:
        raise TeachError(f"{path} does not exist: teach first, then predict") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise TeachError(
            f"{path} is no head that this command saved ({error or type(error).__name__}); teach again"
        ) from error
    if backbone != efficientnet_lite.WEIGHTS_SHA256:
        raise TeachError(f"{path} was taught on another version of the network; teach again")
    return Taught(names.tolist(), weights, bias, photos, int(correct), features, float(least))


# --- reading the folder ------------------------------------------------------------------------


def find_photos(folder: str | PathLike) -> tuple[dict[str, list[Path]], list[str]]:
    """Find the photos of each class: `folder/<class>/<photo>`.

    Returned are paths by class, both sorted, and what was left out, in words. TeachError says what is
    missing: the folder, a second class, or five photos of each class.
    """
    try:
        images, passed_over = find_images(folder)
    except OSError as error:
        told = f"{error.filename or folder} cannot be read ({error.strerror})"
        raise TeachError(f"{told}; name the folder that holds a folder for each class") from error
    except ValueError as error:
        raise TeachError(str(error)) from error
    wanted = f"wanted are two or more folders in it, one for each class, each with at least {FEWEST} photos"
    found = {name: sorted(map(Path, paths)) for name, paths in images.items()}
    if not any(found.values()):
        raise TeachError(f"no folder in {folder} holds a photo ({', '.join(sorted(SUFFIXES))}); {wanted}")
    if len(found) == 1:
        raise TeachError(f"{folder} holds one class only, '{next(iter(found))}'; {wanted}")
    left_out = [f"{name} is no photo inside a class's folder" for name in passed_over]
    if few := _too_few({name: len(photos) for name, photos in found.items()}):
        also = f" ({len(left_out)} left out: {'; '.join(left_out[:SHOWN])})" if left_out else ""
        raise TeachError(f"too few photos in {folder}: {few}; every class needs at least {FEWEST}{also}")
    return found, left_out


def _too_few(counts: dict[str, int]) -> str:
    return ", ".join(f"'{name}' {count}" for name, count in counts.items() if count < FEWEST)


def _read(
    found: dict[str, list[Path]], folder: Path, skip: bool, left_out: list[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read all photos: uint8 (n, 224, 224, 3), class numbers (n,) and names for messages."""
    images, faults = [], []
    seen: dict[str, tuple[int, str]] = {}  # class and name, by what the photo holds
    everything = [(k, path) for k, name in enumerate(found) for path in found[name]]
    for k, path in progress(everything, "reading photos", leave=False):
        name = path.relative_to(folder).as_posix()
        try:
            image = fit(open_photo(path), SIZE)
        except PhotoError as error:
            faults.append(str(error))
            continue
        other_class, other = seen.setdefault(hashlib.sha256(image.tobytes()).hexdigest(), (k, name))
        if other_class != k:
            raise TeachError(f"{name} and {other} are the same photo in two classes; remove one of them")
        if other == name:
            images.append(image)
        else:  # in cross-validation a copy would give its twin away
            left_out.append(f"{name} is a copy of {other}")
    if faults and not skip:
        more = [f"… and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise TeachError(
            f"{len(faults)} of {len(everything)} photos cannot be used:\n  "
            + "\n  ".join(faults[:SHOWN] + more)
            + "\nMend or remove them, or leave them out with --skip (in Python: skip=True)."
        )
    left_out += faults
    labels, names = zip(*seen.values()) if seen else ((), ())
    if few := _too_few({name: labels.count(k) for k, name in enumerate(found)}):
        raise TeachError(
            f"too few photos are left in {folder}, without copies and broken files: "
            f"{few}; every class needs at least {FEWEST} different photos"
        )
    return np.stack(images), np.array(labels), [*names]


# --- learning ----------------------------------------------------------------------------------


@functools.cache
def pretrained_backbone() -> keras.Model:
    """Build EfficientNet-Lite0 without its top, frozen, once a process: (n, 224, 224, 3) to (n, 1280)."""
    backbone = efficientnet_lite.EfficientNetLite0(include_top=False, pooling="avg")
    backbone.trainable = False
    return backbone


def extract_features(images: np.ndarray) -> np.ndarray:
    """Run images (n, 224, 224, 3), values 0 to 255, through the frozen network: float32 (n, 1280)."""
    backbone = pretrained_backbone()
    parts = []
    with fast_convolutions():
        for start in progress(range(0, len(images), BATCH), "looking at them", leave=False):
            part = efficientnet_lite.preprocess_input(images[start : start + BATCH])
            parts.append(backbone.predict_on_batch(part))
    return np.concatenate(parts).astype("float32")


def teach(folder: str | PathLike, *, seed: int = 123, skip: bool = False) -> Taught:
    """Teach the network the classes of a folder, and fit the head to all its photos.

    `seed` divides the photos for cross-validation; `skip` leaves those out that cannot be read. TeachError
    says what is wrong with the folder (see `find_photos`) or with photos in it.
    """
    started = time.perf_counter()
    folder = Path(folder)
    found, left_out = find_photos(folder)
    images, y, names = _read(found, folder, skip, left_out)
    features, class_names = extract_features(images), [*found]

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    head = LogisticRegression(C=1.0, max_iter=2000)  # a dense layer with softmax and a ridge penalty
    with threadpool_limits(1):  # the fits are small: with more threads they mostly wait for each other
        probabilities = cross_val_predict(head, features, y, cv=folds, method="predict_proba")
        head.fit(features, y)
    answers, likely = probabilities.argmax(axis=1), probabilities.max(axis=1).tolist()
    wrong = sorted(np.flatnonzero(answers != y), key=lambda i: -likely[i])

    weights, bias = _layer(head)
    kept = features.astype("float16")
    others = [_nearness(kept[[i]], np.delete(kept, i, axis=0))[0] for i in range(len(kept))]
    return Taught(
        class_names,
        weights,
        bias,
        photos=np.bincount(y),
        correct=int((answers == y).sum()),
        features=kept,
        least=float(np.quantile(others, 1 - FAMILIAR)),
        seconds=time.perf_counter() - started,
        left_out=left_out,
        wrong=[(names[i], class_names[y[i]], class_names[answers[i]], likely[i]) for i in wrong],
    )


def _layer(fitted: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """The fitted regression as a dense layer: weights (1280, k) and bias (k,)."""
    weights, bias = fitted.coef_, fitted.intercept_
    if len(weights) == 1:
        # Of two classes scikit-learn keeps one score, that of the second against the first.
        weights, bias = (np.vstack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2)
    return weights.T.astype("float32"), bias.astype("float32")
