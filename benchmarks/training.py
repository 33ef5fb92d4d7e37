"""How fast does Keras train the two models of lecture 4, compared with a plain torch loop?

    python -m benchmarks.training [--images 2000] [--repeats 5] [--threads 2]

Keras trains the stored models. Same layers, batch size, threads, optimiser, metrics (accuracy and top-5
accuracy) and data (synthetic images of the right shape and type) for all. "In fit_or_load" also draws its
progress bar.

Each round times all variants once, one after the other; a ratio is the median over the rounds of the ratio
within a round. Aim: to fit the CNN through Keras takes at most 1.3 times as long as the plain loop.
Logistic regression has next to nothing to compute in a batch, so there the few milliseconds that Keras
needs for each batch show.

Then: how long does it take to teach a network one's own classes, those of `data/photos`? Aim: a hundred
photos in less than a minute on two cores.
"""

import io
import statistics
from collections.abc import Callable

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import speed
from course.models import fitting
from course.models.teach import teach
from course.paths import DATA

import keras
import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from benchmarks._common import options, ratio, rounds, show

BATCH, CLASSES = 32, 55
MODELS = {"logistic": "logistic regression", "cnn": "CNN"}


def torch_model(kind: str) -> nn.Module:
    """The same model in torch's own layers, which take channels first."""
    if kind == "logistic":
        return nn.Sequential(nn.Flatten(), nn.Linear(4800, CLASSES))
    parts = []
    for before, filters, pool in ((1, 16, 2), (16, 32, 2), (32, 64, 4)):
        parts += [nn.Conv2d(before, filters, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(pool)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(960, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def torch_epoch(net: nn.Module, optimiser: torch.optim.Optimizer, images, labels) -> None:
    """One epoch of a plain training loop."""
    total, right, among_five = torch.zeros(()), torch.zeros(()), torch.zeros(())
    order = torch.randperm(len(images))
    net.train()
    for start in range(0, len(images), BATCH):
        chosen = order[start : start + BATCH]
        batch, target = images[chosen].float() / 255, labels[chosen]
        logits = net(batch)
        loss = nn.functional.cross_entropy(logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            total += loss.detach() * len(chosen)
            right += (logits.argmax(1) == target).sum()
            among_five += (logits.topk(5).indices == target[:, None]).any(1).sum()


def variants(kind: str, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """What is timed, by name: functions that train for one epoch."""
    images, labels = torch.tensor(X).permute(0, 3, 1, 2).contiguous(), torch.tensor(y)
    net, (model, _) = torch_model(kind), fitting.load_artefact(kind)
    assert sum(weights.numel() for weights in net.parameters()) == model.count_params()
    optimiser = torch.optim.Adam(net.parameters(), eps=1e-7)  # Keras's epsilon

    def in_fit_or_load() -> None:
        bar = TqdmCallback(verbose=0, desc="benchmark", tqdm_class=tqdm, file=io.StringIO())
        with speed.fast_convolutions():
            model.fit(X, y, batch_size=BATCH, verbose=0, callbacks=[bar])

    return {
        "plain torch loop": lambda: torch_epoch(net, optimiser, images, labels),
        "Keras as it comes": lambda: model.fit(X, y, batch_size=BATCH, verbose=0),
        "Keras in fit_or_load": in_fit_or_load,
    }


def main() -> None:
    """Print the tables."""
    given = options(__doc__, images=2000, repeats=5, threads=fitting.DEFAULT_THREADS)
    torch.set_num_threads(given.threads)
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    X = rng.integers(0, 256, (given.images, 80, 60, 1), dtype=np.uint8)
    y = rng.integers(0, CLASSES, given.images)
    for kind, title in MODELS.items():
        timed = rounds(variants(kind, X, y), given.repeats)
        rows = [
            {"variant": name, "s per 1,000 images": statistics.median(taken) / given.images * 1000}
            | {"× plain loop": ratio(taken, timed["plain torch loop"])}
            for name, taken in timed.items()
        ]
        show(f"{title}, {given.images:,} images, {given.threads} threads", rows)
    folder = DATA / "photos"
    photos = len([*folder.glob("*/*.jpg")])
    taken = statistics.median(rounds({"teach": lambda: teach(folder)}, given.repeats)["teach"])
    show("Teaching", [{"photos": photos, "s": taken, "s a hundred": 100 * taken / photos, "aim": 60}])


if __name__ == "__main__":
    main()
