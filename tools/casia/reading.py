"""How well networks that were fitted to simulated writing alone read real writing."""

import warnings
from pathlib import Path

from course.characters import CHARACTERS
from course.loaders import class_folders, load_images_from_directory
from course.models.fitting import score
from course.models.reading import stored_network
from course.speed import fast_convolutions
from course.store.artefacts import ArtefactError, artefact_entry

import pandas as pd
from tqdm import tqdm

from tools.casia.layout import MADE_BY, SPLITS, CasiaError

NETWORKS = {
    "cnn": "CNN",
    "cnn_seed_124": "CNN, other seed",
    "cnn_better": "better CNN",
    "cnn_better_seed_124": "better CNN, other seed",
}
"""The networks of lecture 4 as the repository stores them, and what they are called there."""


def read(folder: Path) -> pd.DataFrame:
    """Let the shipped networks read the course's characters in a folder.

    They have seen neither `Train` nor `Test` of it, so both are judged. Other characters are left
    out. Nothing is fitted, and nothing is written below the folder but what loading may keep.

    The table has a row for each network and set: how many images and how many of the course's characters
    the set has, the share of images that the network reads right, the share whose character is among the
    five that it thinks likeliest, and its accuracy on simulated writers whom it has not seen. CasiaError if
    there is nothing to read, images cannot be read, or the networks are missing or read other characters.
    """
    names, sets, rows = sorted(CHARACTERS), {}, []
    try:
        for subset in (subset for subset in SPLITS if (folder / subset).is_dir()):
            if {label for label, _ in class_folders(folder / subset)}.isdisjoint(names):
                continue
            with warnings.catch_warnings():  # missing and other characters are counted below
                warnings.simplefilter("ignore", UserWarning)
                X, y, _ = load_images_from_directory(folder / subset, class_names=names, skip_unknown=True)
            sets[subset] = X, y
        if not sets:
            raise CasiaError(
                f"{folder} has no image of the course's {len(names)} characters in Train or Test. "
                f"Name a folder that `{MADE_BY}` or `{MADE_BY} adopt` made."
            )
        with fast_convolutions():
            for name, title in tqdm(NETWORKS.items(), unit="network", desc="Reading", disable=None):
                found = score(stored_network(name, names), sets)
                simulated = artefact_entry(name)["metrics"]["test"]["accuracy"]
                for subset, (_, y) in sets.items():
                    counts, own = (len(y), len(set(y.tolist()))), found[subset]
                    rows.append((title, subset, *counts, own["accuracy"], own["top5"], simulated))
    except (ArtefactError, FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise CasiaError(str(error)) from error
    columns = ["network", "set", "images", "characters", "accuracy", "top 5", "simulated test"]
    return pd.DataFrame(rows, columns=columns)
