"""How fast does Keras train the two models of lecture 4, compared with a plain torch loop?

    python -m benchmarks.training [--images 2000] [--repeats 5] [--threads 2]

Same model, batch size, threads, optimiser, loss and data (synthetic images of the right shape and
type) for all; before anything is timed, Keras and the plain loop start from equal weights, see the
same batches, and must end with the same weights. "With metrics" means that accuracy and top-5
accuracy of each training batch are summed up, as `model.fit` does; the plain loop computes the
same two numbers. "In fit_or_load" also draws its progress bar.

Each repeat times all variants once, one after the other, so that whatever else the machine does
hits all of them; a ratio is the median over the repeats of the ratio within a repeat. Aim: to fit
the CNN through Keras takes at most 1.3 times as long as the plain loop. Logistic regression has
next to nothing to compute in a batch, so there the few milliseconds that Keras needs for each
batch show.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import time
from collections.abc import Callable

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import speed
from course.models import fitting

import keras
import numpy as np
import torch
from keras import layers
from tqdm import tqdm
from tqdm.keras import TqdmCallback

BATCH = 32
CLASSES = 55
PARAMETERS = {"logistic regression": 264_055, "CNN": 88_375}


def keras_model(kind: str, metrics: bool) -> keras.Model:
    """The lecture's model, compiled; both end in logits here, so that the loss is the same."""
    start = [layers.Input((80, 60, 1)), layers.Rescaling(1 / 255)]
    if kind == "CNN":
        body = [
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(4),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ]
    else:
        body = [layers.Flatten()]
    model = keras.Sequential([*start, *body, layers.Dense(CLASSES)])
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(5)] if metrics else None,
    )
    assert model.count_params() == PARAMETERS[kind], model.count_params()
    return model


def torch_model(kind: str) -> torch.nn.Module:
    """The same model in torch's own layers, which take channels first."""
    nn = torch.nn
    if kind == "CNN":
        net = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(4),
            nn.Flatten(), nn.Linear(960, 64), nn.ReLU(), nn.Linear(64, CLASSES),
        )  # fmt: skip
    else:
        net = nn.Sequential(nn.Flatten(), nn.Linear(4800, CLASSES))
    count = sum(weight.numel() for weight in net.parameters())
    assert count == PARAMETERS[kind], count
    return net


def copy_weights(model: keras.Model, net: torch.nn.Module) -> None:
    """Give the torch model the weights of the Keras model."""
    weights = [torch.tensor(value) for value in model.get_weights()]
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), weights, strict=True):
            if value.ndim == 4:  # height, width, in, out -> out, in, height, width
                value = value.permute(3, 2, 0, 1)
            elif value.ndim == 2 and value.shape[0] == 960:  # flattened 5 × 3 × 64, channels last
                value = value.reshape(5, 3, 64, -1).permute(3, 2, 0, 1).reshape(-1, 960)
            elif value.ndim == 2:
                value = value.T
            parameter.copy_(value)


def torch_epoch(net, optimiser, images, labels, metrics: bool, order=None) -> float:
    """One epoch of a plain training loop; returns the mean loss."""
    if order is None:
        order = torch.randperm(len(images))
    total = torch.zeros(())
    right = torch.zeros((), dtype=torch.int64)
    among_five = torch.zeros((), dtype=torch.int64)
    net.train()
    for start in range(0, len(images), BATCH):
        chosen = order[start : start + BATCH]
        batch, target = images[chosen].float() / 255, labels[chosen]
        logits = net(batch)
        loss = torch.nn.functional.cross_entropy(logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(chosen)
        if metrics:
            with torch.no_grad():
                right += (logits.argmax(1) == target).sum()
                among_five += (logits.topk(5).indices == target[:, None]).any(1).sum()
    return float(total) / len(images)


def adam(net) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), eps=1e-7)  # Keras's epsilon


def check_equal_training(kind: str, X: np.ndarray, y: np.ndarray) -> None:
    """Assert that all variants are the same algorithm.

    After ten equal batches the weights may differ by 1% of the way that they have moved. This takes
    plain gradient descent: Adam divides by the size of the gradient, so on these random images,
    where many gradients are almost zero, it would show nothing but rounding errors.
    """
    X, y = X[: 10 * BATCH], y[: 10 * BATCH]
    images, labels = torch.tensor(X).permute(0, 3, 1, 2), torch.tensor(y)
    for patch in (contextlib.nullcontext, speed.fast_convolutions):
        model, net, result = keras_model(kind, True), torch_model(kind), torch_model(kind)
        copy_weights(model, net)
        model.optimizer = keras.optimizers.SGD(0.01)
        descent = torch.optim.SGD(net.parameters(), lr=0.01)
        start = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
        torch_epoch(net, descent, images, labels, True, torch.arange(len(images)))
        with patch():
            model.fit(X, y, batch_size=BATCH, shuffle=False, verbose=0)
        copy_weights(model, result)
        ours, theirs = (
            torch.nn.utils.parameters_to_vector(one.parameters()).detach() for one in (result, net)
        )
        apart = float((ours - theirs).norm() / (theirs - start).norm())
        assert apart < 0.01, f"{kind}: Keras and the plain loop end {apart:.2%} apart"


def variants(kind: str, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """What is timed, by name: functions that train for one epoch."""
    images = torch.tensor(X).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(y)
    found: dict[str, Callable[[], object]] = {}
    for metrics in (True, False):
        suffix = "with metrics" if metrics else "without"
        net = torch_model(kind)
        optimiser = adam(net)
        found[f"plain torch loop, {suffix}"] = lambda net=net, optimiser=optimiser, metrics=metrics: (
            torch_epoch(net, optimiser, images, labels, metrics)
        )
        model = keras_model(kind, metrics)

        def fit(model=model):
            model.fit(X, y, batch_size=BATCH, verbose=0)

        def fit_fast(model=model):
            bar = TqdmCallback(verbose=0, desc="benchmark", tqdm_class=tqdm, file=io.StringIO())
            with speed.fast_convolutions():
                model.fit(X, y, batch_size=BATCH, verbose=0, callbacks=[bar])

        found[f"Keras as it comes, {suffix}"] = fit
        found[f"Keras in fit_or_load, {suffix}"] = fit_fast
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=fitting.DEFAULT_THREADS)
    parser.add_argument("--models", nargs="+", choices=list(PARAMETERS), default=list(PARAMETERS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    X = rng.integers(0, 256, (options.images, 80, 60, 1), dtype=np.uint8)
    y = rng.integers(0, CLASSES, options.images)
    print(
        f"Training speed: {options.images:,} images of 80 × 60, batches of {BATCH}, "
        f"{options.threads} threads on {os.cpu_count()} CPUs, {options.repeats} repeats; "
        f"Keras {keras.__version__}, torch {torch.__version__}"
    )
    for kind in options.models:
        check_equal_training(kind, X, y)
        timed = variants(kind, X, y)
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for repeat in range(options.repeats + 1):
            for name, train in timed.items():
                started = time.perf_counter()
                train()
                if repeat:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
        print(f"\n{kind}, {PARAMETERS[kind]:,} parameters")
        print(f"{'':<36}{'s per 1,000 images':>20}{'× plain loop':>14}{'(range)':>16}")
        for name, values in seconds.items():
            base = seconds["plain torch loop, " + name.rsplit(", ", 1)[1]]
            ratios = [value / other for value, other in zip(values, base, strict=True)]
            print(
                f"{name:<36}{statistics.median(values) / options.images * 1000:>20.2f}"
                f"{statistics.median(ratios):>14.2f}"
                f"{f'{min(ratios):.2f}–{max(ratios):.2f}':>16}",
                flush=True,
            )


if __name__ == "__main__":
    main()
