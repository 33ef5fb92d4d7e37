"""How well networks that were fitted to simulated writing alone read real writing."""

import warnings
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from tools.casia.layout import CasiaError

NETWORKS = {
    "cnn": "CNN",
    "cnn_seed_124": "CNN, other seed",
    "cnn_better": "better CNN",
    "cnn_better_seed_124": "better CNN, other seed",
}
"""The networks of lecture 4 as the repository stores them, and what they are called there."""


class Score(NamedTuple):
    """How well one network reads one set of images."""

    network: str
    subset: str  # "Train" or "Test"
    images: int
    characters: int  # how many of the course's characters the set has
    accuracy: float  # share of the images, 0 to 1
    top5: float  # share whose character is among the five that the network thinks likeliest
    simulated: float  # the network's accuracy on simulated writers whom it has not seen


def read(folder: Path) -> list[Score]:
    """Let the shipped networks read the course's characters in a folder.

    They have seen neither `Train` nor `Test` of it, so both are judged. Other characters are left
    out. Nothing is fitted, and nothing is written below the folder but what loading may keep.

    Returns
    -------
    list of Score
        One for each network and set.

    Raises
    ------
    CasiaError
        There is no such folder, it holds none of the characters, images cannot be read, or the
        stored networks are missing or read other characters.
    """
    # Keras takes seconds to start, which imports of scans need not wait for.
    from course.characters import CHARACTERS
    from course.loaders import class_folders, load_images_from_directory
    from course.models.fitting import score
    from course.models.reading import stored_network
    from course.speed import fast_convolutions
    from course.store.artefacts import ArtefactError, artefact_entry

    folder, names = Path(folder), sorted(CHARACTERS)
    subsets = [subset for subset in ("Train", "Test") if (folder / subset).is_dir()]
    if not subsets:
        raise CasiaError(
            f"{folder} has neither a folder Train nor a folder Test. Name one that "
            "`python -m tools.casia` or `python -m tools.casia adopt` made."
        )
    scores = []
    try:
        sets = {}
        for subset in subsets:
            found = {label for label, _ in class_folders(folder / subset)}
            if not found.intersection(names):
                continue
            with warnings.catch_warnings():  # missing and other characters are counted below
                warnings.simplefilter("ignore", UserWarning)
                X, y, _ = load_images_from_directory(folder / subset, class_names=names, skip_unknown=True)
            sets[subset] = X, y
        if not sets:
            raise CasiaError(
                f"{folder} has no image of the course's {len(names)} characters, and "
                "the stored networks read no others."
            )
        total = len(NETWORKS) * sum(len(y) for _, y in sets.values())
        with tqdm(total=total, unit="image", desc="Reading", disable=None) as bar, fast_convolutions():
            for name, title in NETWORKS.items():
                model = stored_network(name, names)
                simulated = artefact_entry(name)["metrics"]["test"]["accuracy"]
                for subset, (X, y) in sets.items():
                    found = score(model, {subset: (X, y)})[subset]
                    counts = len(y), len(set(y.tolist()))
                    scores.append(Score(title, subset, *counts, found["accuracy"], found["top5"], simulated))
                    bar.update(len(y))
    except (ArtefactError, FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise CasiaError(str(error)) from error
    return scores


def table(scores: list[Score]) -> str:
    """The scores as lines of text, for a terminal."""
    titles = "network", "set", "images", "characters", "accuracy", "top 5", "simulated test"
    lines = ["{:<24}{:<7}{:>9}{:>12}{:>10}{:>8}{:>16}".format(*titles)]
    lines += ["{:<24}{:<7}{:>9,}{:>12}{:>10.3f}{:>8.3f}{:>16.3f}".format(*score) for score in scores]
    return "\n".join(lines)
