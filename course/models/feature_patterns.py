"""Activation maximisation: images that make one channel or one class of a fitted CNN respond most.

The idea and the regularisers follow Olah, Mordvintsev and Schubert (2017), Feature Visualization,
Distill, https://distill.pub/2017/feature-visualization/: gradient ascent on the image, with

* *transformation robustness*: each step sees the image shifted, turned and scaled at random, so
  that a pattern must survive what a hand would do to it;
* a *total variation* penalty, which prefers few and long edges to speckle;
* a *blur* between the free parameters and the image, which takes the highest frequencies away;
* and, since our images are ink on paper, a price on ink.

The patterns of a stored model are kept as `cache/feature_patterns.npz`, by the one store.
"""

from __future__ import annotations

from collections.abc import Sequence

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models import fitting
from course.results import compute_or_load
from course.store import artefacts

import keras
import numpy as np
import torch

SEED = 123
CLASSES_SHOWN = 12

STEPS = 160
LEARNING_RATE = 0.08
PULL = 0.1  # mean absolute gradient of the response, per pixel with values 0 to 1
TOTAL_VARIATION = 0.02  # price of one unit of total variation, image values 0 to 1
INK_PRICE = 0.02  # price of one black pixel
BLUR = 1.0  # pixels, standard deviation
SHIFT = 4  # pixels, largest shift each way
TURN = 0.08  # radians, standard deviation
SCALE = 0.05  # standard deviation of the factor


def activation_maximisation(
    model: keras.Model, layer: keras.layers.Layer, units: Sequence[int], *, seed: int, steps: int = STEPS
) -> np.ndarray:
    """Find images that make given channels or classes of a layer respond most.

    For a layer with feature maps, a unit is a channel and its response the mean over the map (the "channel
    objective" of Olah et al., 2017); for a dense layer it is one output. The model is a plain sequence of
    layers that takes images (height, width, 1), 0 (ink) to 255 (paper); those returned are uint8 (units,
    height, width). `seed` draws the starting noise and the transformations, `steps` are those of Adam.
    """
    layers = model.layers[: model.layers.index(layer) + 1]
    generator = torch.Generator().manual_seed(seed)
    rows, chosen = torch.arange(len(units)), torch.tensor(list(units))

    # Free numbers; a sigmoid makes grey levels of them, so none can leave 0 to 1.
    free = 1.5 + 0.3 * torch.randn((len(units), 1, *model.input_shape[1:3]), generator=generator)
    free.requires_grad_()
    optimiser = torch.optim.Adam([free], lr=LEARNING_RATE)
    for _ in range(steps):
        image = torch.sigmoid(_blurred(free))
        response = _transformed(image, generator).movedim(1, -1) * 255
        for each in layers:
            response = each(response)
        response = response.flatten(1, -2).mean(1) if response.ndim > 2 else response
        price = TOTAL_VARIATION * _total_variation(image) + INK_PRICE * (1 - image).sum((1, 2, 3))
        (uphill,) = torch.autograd.grad(response[rows, chosen].sum(), image, retain_graph=True)
        (costs,) = torch.autograd.grad(price.sum(), image, retain_graph=True)
        # Layers differ in scale, prices do not: a response counts by its direction alone.
        uphill = PULL * uphill / uphill.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
        (free.grad,) = torch.autograd.grad(image, free, costs - uphill)
        optimiser.step()
    with torch.no_grad():
        image = torch.sigmoid(_blurred(free))[:, 0]
    return (255 * image).round().to(torch.uint8).numpy()


def _blurred(values: torch.Tensor) -> torch.Tensor:
    reach = int(3 * BLUR + 0.5)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / BLUR) ** 2)
    weights = weights / weights.sum()
    padded = torch.nn.functional.pad(values, (reach,) * 4, mode="replicate")
    return torch.nn.functional.conv2d(padded, (weights[:, None] * weights)[None, None])


def _transformed(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift, turn and scale a batch (n, 1, height, width); what comes in at the edges is paper."""
    height, width = image.shape[2:]
    angle = TURN * torch.randn((), generator=generator)
    factor = 1 + SCALE * torch.randn((), generator=generator)
    right, down = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator)
    across = torch.stack([factor * torch.cos(angle), -torch.sin(angle), 2 * right / width])
    upright = torch.stack([torch.sin(angle), factor * torch.cos(angle), 2 * down / height])
    matrices = torch.stack([across, upright]).expand(len(image), -1, -1)
    grid = torch.nn.functional.affine_grid(matrices, image.shape, align_corners=False)
    return 1 - torch.nn.functional.grid_sample(1 - image, grid, align_corners=False)


def _total_variation(image: torch.Tensor) -> torch.Tensor:
    down = (image[:, :, 1:] - image[:, :, :-1]).abs().sum((1, 2, 3))
    return down + (image[..., 1:] - image[..., :-1]).abs().sum((1, 2, 3))


# --- the patterns of a stored model ------------------------------------------------------------


def feature_patterns(name: str = "cnn") -> dict[str, tuple[list[int], np.ndarray]]:
    """Return patterns of the convolutional layers and the classes of a model that `fit_or_load` has stored.

    For "conv 1", "conv 2", … the numbers of all channels, for "classes" those of twelve classes, spread
    evenly; and their patterns as of `activation_maximisation`. ArtefactError without such a model, or as
    `course.store.artefacts.load_or_make`.
    """
    fitted = artefacts.artefact_entry(name)["files"][f"{name}.keras"]
    model = {"name": name, "sha256": fitted["sha256"]}
    found = compute_or_load("feature_patterns", _make, {"model": model})
    titles = enumerate(found["titles"].tolist())
    return {title: (found[f"units_{i}"].tolist(), found[f"images_{i}"]) for i, title in titles}


def _make(model: dict[str, str]) -> dict[str, np.ndarray]:
    network, _ = fitting.load_artefact(model["name"])
    convolutions = [each for each in network.layers if isinstance(each, keras.layers.Conv2D)]
    shown = {f"conv {k}": (each, range(each.output.shape[-1])) for k, each in enumerate(convolutions, 1)}
    classes = network.output_shape[-1]
    spread = np.linspace(0, classes - 1, min(classes, CLASSES_SHOWN)).round().astype(int)
    shown["classes"] = network.layers[-1], spread.tolist()
    arrays = {"titles": np.array([*shown])}
    for i, (layer, units) in enumerate(shown.values()):
        images = activation_maximisation(network, layer, units, seed=SEED)
        arrays |= {f"units_{i}": np.array(units), f"images_{i}": images}
    return arrays
