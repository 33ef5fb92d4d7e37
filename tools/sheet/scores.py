"""How well the networks of lecture 4 read a folder that was cut from sheets."""

from __future__ import annotations

import os
import warnings
from collections import Counter

from course.characters import CHARACTERS
from course.loaders import load_images_from_directory
from course.models.reading import stored_network
from course.plots import predicted_probabilities
from course.store.artefacts import ArtefactError

import pandas as pd
from scipy.stats import binomtest

from .layout import SheetError

NETWORKS = {"cnn": "CNN", "cnn_better": "better CNN"}
"""The networks as the repository stores them, and what lecture 4 calls them."""
SHOWN = 10  # characters in the report


def score(folder: str | os.PathLike) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let the shipped networks read the images of `folder/<character>/`.

    Returned are a table with a row for each network: images, how many are read right, that share and its
    95 % interval (Wilson's, for more images of this hand), and one with a row for each of the characters that
    the better network misreads: images, how many are read right, and what the others are read as.
    Characters that the networks were not taught are left out. SheetError if none is left, or if the networks
    are missing or were fitted to other characters.
    """
    names = sorted(CHARACTERS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of characters that nobody has written
            X, y, _ = load_images_from_directory(folder, class_names=names, skip_unknown=True)
        answers = {
            title: predicted_probabilities(stored_network(name, names), X).argmax(axis=1)
            for name, title in NETWORKS.items()
        }
    except (ArtefactError, OSError, ValueError) as error:
        raise SheetError(f"{folder} was not scored: {error}") from error
    networks = []
    for title, answer in answers.items():
        found = binomtest(int((answer == y).sum()), len(y))
        networks.append((title, len(y), found.k, found.statistic, *found.proportion_ci(method="wilson")))
    misread = []
    for k in sorted({*y[answer != y]}, key=lambda k: (answer[y == k] == k).mean()):
        own = answer[y == k]
        others = Counter(names[other] for other in own[own != k]).most_common()
        told = ", ".join(f"{name} ({count})" for name, count in others)
        misread.append((names[k], len(own), int((own == k).sum()), told))
    columns = ["network", "images", "right", "share", "from", "to"]
    return (
        pd.DataFrame(networks, columns=columns),
        pd.DataFrame(misread, columns=["character", "images", "right", "read as"]),
    )


def report(folder: str | os.PathLike) -> str:
    """Say the tables of `score` in words, for the terminal."""
    networks, misread = score(folder)
    lines = [
        f"The {network} reads {right} of {images} right: {share:.1%}, "
        f"95 % interval {low:.1%} to {high:.1%} for more of this hand."
        for network, images, right, share, low, high in networks.itertuples(index=False)
    ]
    if len(misread):
        lines.append(f"The better CNN misreads {len(misread)} characters, the worst of them:")
    lines += [
        f"  {character}: {right} of {images} right, else read as {others}"
        for character, images, right, others in misread.head(SHOWN).itertuples(index=False)
    ]
    return "\n".join(lines)
