"""Where a hand places the strokes of a character, beside where print has them.

Print fills its square: every character is as wide as the next, level strokes reach from edge to
edge. Hands don't: they write many characters narrow, falling strokes straight and alike, hooks
short. What people agree on is no jitter about print, so it is taken from people: from characters
drawn by hand for the Tomoe project, stroke by stroke, each paired with the medians of the same
character in hanzi-writer-data (``tools.handwriting.fit_proportions``).

Five nodes of each stroke move, and what lies between moves with them. For a character that was
drawn, its own shift is stored. For any other, a small transformer (Vaswani et al. 2017, layers
normalised first) fitted to those drawn looks at all strokes at once and predicts it.
"""

from __future__ import annotations

import zipfile
from functools import lru_cache

from course.paths import DATA

import numpy as np

from tools.handwriting.template import KINDS, ROLES, Template, between

PROPORTIONS = DATA / "proportions" / "proportions.npz"
"""The stored shifts of drawn characters and the network's parameters."""

NODES = 5  # points of a stroke that move
SCALE = 400.0  # stroke-data units in one unit of the network
STEP = 4.0  # stroke-data units in one unit of the stored shifts
HEADS = 4
LIMIT = 260.0  # no node moves farther along x or y, stroke-data units


class ProportionsError(ValueError):
    """The file with the proportions is missing or damaged."""


def nodes(along: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Where on a stroke its nodes lie: both ends, its corners, and points between them.

    Parameters
    ----------
    along : ndarray (k,) float
        Share of the stroke's length at each of its points, rising from 0 to 1.
    corner : ndarray (k,) bool
        Does the stroke turn sharply there?

    Returns
    -------
    ndarray (5,) float, shares of the length, rising from 0 to 1.
    """
    bends = along[corner & (along > 0.02) & (along < 0.98)]
    if len(bends) == 0:
        inner = [0.25, 0.5, 0.75]
    elif len(bends) == 1:
        inner = [bends[0] / 2, bends[0], (1 + bends[0]) / 2]
    elif len(bends) == 2:
        inner = [bends[0], bends.mean(), bends[1]]
    else:
        inner = [bends[0], bends[len(bends) // 2], bends[-1]]
    return np.array([0.0, *inner, 1.0])


def at_nodes(template: Template) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of all strokes.

    Returns
    -------
    shares : ndarray (S, 5) float, as :func:`nodes` gives them
    places : ndarray (S, 5, 2) float, stroke-data units from the middle of the character
    """
    middle = 0.5 * (template.points.min(axis=0) + template.points.max(axis=0))
    shares, places = [], []
    for start, stop in zip(template.first, template.last + 1):
        along = template.along[start:stop]
        shares.append(nodes(along, template.corner[start:stop]))
        places.append(between(shares[-1], along, template.points[start:stop] - middle))
    return np.array(shares), np.array(places)


def features(template: Template, places: np.ndarray) -> np.ndarray:
    """What the network sees of each stroke.

    Its nodes, its kind, the role and the box of its component on each level, its number, whether
    it has a hook and free ends, and the number of strokes, size and shape of the character.

    Parameters
    ----------
    template : Template
    places : ndarray (S, 5, 2) float
        From :func:`at_nodes`.

    Returns
    -------
    ndarray (S, F) float32
    """
    count = template.strokes
    places = places / SCALE
    boxes = []
    for part in template.parts:
        box = np.empty((count, 4))
        for label in np.unique(part):
            members = part == label
            inside = places[members].reshape(-1, 2)
            box[members] = [*inside.min(axis=0), *inside.max(axis=0)]
        boxes.append(box)
    wide, high = np.maximum(np.ptp(places.reshape(-1, 2), axis=0), 0.05)
    whole = np.tile([wide, high, count / 10.0, np.log(wide / high)], (count, 1))
    number = np.arange(count)
    single = np.stack(
        [number / 10.0, number / count, template.hook >= 0, template.free_start, template.free_end], axis=1
    )
    return np.concatenate(
        [
            places.reshape(count, -1),
            np.eye(len(KINDS))[template.kind],
            *(np.eye(len(ROLES))[role] for role in template.role),
            *boxes,
            whole,
            single,
        ],
        axis=1,
    ).astype(np.float32)


@lru_cache(maxsize=1)
def _stored() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Shifts of drawn characters, and the network's parameters by name."""
    try:
        with np.load(PROPORTIONS, allow_pickle=False) as content:
            arrays = dict(content)
        characters = str(arrays.pop("characters"))
        ends = np.cumsum(arrays.pop("strokes"), dtype=np.int64)
        shifts = np.split(arrays.pop("shifts"), ends[:-1])
    except FileNotFoundError:
        raise ProportionsError(f"{PROPORTIONS} does not exist. Restore it with git.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ProportionsError(f"Cannot read {PROPORTIONS}: {error}. Restore it with git.") from None
    return (
        dict(zip(characters, shifts)),
        {name: values.astype(np.float64) for name, values in arrays.items()},
    )


def _linear(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normalised(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    x = x - x.mean(axis=1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _attention(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    joined = x @ weights[f"{name}.in_proj_weight"].T + weights[f"{name}.in_proj_bias"]
    query, key, value = (
        part.reshape(len(x), HEADS, -1).transpose(1, 0, 2) for part in np.split(joined, 3, axis=1)
    )
    score = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[2])
    share = np.exp(score - score.max(axis=2, keepdims=True))
    share /= share.sum(axis=2, keepdims=True)
    mixed = (share @ value).transpose(1, 0, 2).reshape(len(x), -1)
    return _linear(mixed, weights, f"{name}.out_proj")


def network(seen: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Let the network predict how far a hand moves each node.

    The same computation as ``fit_proportions.Network`` in numpy, so that no process that writes
    characters has to load PyTorch.

    Parameters
    ----------
    seen : ndarray (S, F) float32, from :func:`features`
    weights : dict of ndarray float64, named as in PyTorch

    Returns
    -------
    ndarray (S, 5, 2) float64, stroke-data units
    """
    x = _linear(seen, weights, "enter")
    layer = 0
    while f"layers.layers.{layer}.norm1.weight" in weights:
        name = f"layers.layers.{layer}"
        x = x + _attention(_normalised(x, weights, f"{name}.norm1"), weights, f"{name}.self_attn")
        inner = _linear(_normalised(x, weights, f"{name}.norm2"), weights, f"{name}.linear1")
        x = x + _linear(np.maximum(inner, 0.0), weights, f"{name}.linear2")
        layer += 1
    shift = _linear(_normalised(x, weights, "norm"), weights, "leave")
    return shift.reshape(len(seen), NODES, 2) * SCALE


def shift_by_hand(template: Template) -> np.ndarray:
    """How far a hand moves each point of a printed character: (P, 2) float64, stroke-data units.

    Raises
    ------
    ProportionsError
        When the stored proportions are missing or damaged.
    """
    drawn, weights = _stored()
    shares, places = at_nodes(template)
    moved = drawn.get(template.character)
    if moved is not None and moved.shape == places.shape:
        moved = moved * STEP
    else:  # never drawn, or these stroke data have other strokes
        # Rounded, so that the last bits of another processor's sums don't change any pixel.
        moved = network(features(template, places), weights).round(1)
    moved = np.clip(moved, -LIMIT, LIMIT)
    shift = np.empty_like(template.points)
    for s, (start, stop) in enumerate(zip(template.first, template.last + 1)):
        shift[start:stop] = between(template.along[start:stop], shares[s], moved[s])
    return shift
