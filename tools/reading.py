"""How well the networks of lecture 4, which were fitted to simulated writing alone, read a folder."""

import warnings
from pathlib import Path

from course.characters import CHARACTERS
from course.loaders import load_images_from_directory
from course.models.reading import stored_network
from course.plots import predicted_probabilities
from course.store.artefacts import ArtefactError, artefact_entry

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from tqdm import tqdm

NETWORKS = {
    "cnn": "CNN",
    "cnn_seed_124": "CNN, other seed",
    "cnn_better_seed_124": "better CNN, other seed",
    "cnn_better": "better CNN",
}
"""The networks as the repository stores them, and what lecture 4 calls them."""


class ReadingError(ValueError):
    """A folder cannot be read; the message says why."""


def score(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let the shipped networks read `folder/<character>/`, or its sets, `folder/Train/<character>/` and Test.

    Nothing is fitted. Characters that the networks were not taught are left out. ReadingError if none is
    left, images cannot be read, or the networks are missing or read other characters.

    Returns
    -------
    tuple of pandas.DataFrame
        A row for each network and set: images, accuracy and its 95 % interval (Wilson's, for more images of
        these hands), the share whose character is among the likeliest five, and the accuracy on simulated
        writers who were not in the fit. Then a row for each character that the better CNN misreads, the worst
        first: images of all sets, accuracy, and as what it reads the others.
    """
    folder, names, rows, misread = Path(folder), np.array(sorted(CHARACTERS)), [], []
    paths = [folder / each for each in ("Train", "Test") if (folder / each).is_dir()] or [folder]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of characters that nobody has written
            how = {"class_names": list(names), "skip_unknown": True}
            sets = {path.name: load_images_from_directory(path, **how)[:2] for path in paths}
        for name, title in tqdm(NETWORKS.items(), unit="network", desc="Reading", disable=None):
            network, answers = stored_network(name, names), []
            simulated = artefact_entry(name)["metrics"]["test"]["accuracy"]
            for subset, (X, y) in sets.items():
                likeliest = predicted_probabilities(network, X).argsort(axis=1)[:, ::-1]
                found = binomtest(int((likeliest[:, 0] == y).sum()), len(y))
                top = (likeliest[:, :5] == y[:, None]).any(axis=1).mean()
                interval = found.proportion_ci(method="wilson")
                rows.append((title, subset, len(y), found.statistic, *interval, top, simulated))
                answers.append(pd.Series(names[likeliest[:, 0]], names[y]))
    except (ArtefactError, OSError, ValueError) as error:
        raise ReadingError(f"{folder} was not read: {error}") from error
    for character, own in pd.concat(answers).groupby(level=0):
        others = own[own != character].value_counts()
        if len(others):
            told = ", ".join(f"{other} ({count})" for other, count in others.items())
            misread.append((character, len(own), (own == character).mean(), told))
    misread = pd.DataFrame(misread, columns=["character", "images", "accuracy", "read as"])
    columns = ["network", "set", "images", "accuracy", "from", "to", "top 5", "simulated test"]
    return pd.DataFrame(rows, columns=columns), misread.sort_values("accuracy")


def report(folder: str | Path) -> str:
    """The tables of `score` for the terminal."""
    networks, misread = (each.to_string(index=False, float_format="{:.3f}".format) for each in score(folder))
    return f"{networks}\n'from' and 'to': 95 % interval\n\nThe better CNN misreads:\n{misread}"
