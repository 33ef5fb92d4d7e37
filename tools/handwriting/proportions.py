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

from functools import cache

from course.paths import DATA

import numpy as np
from scipy.special import softmax

from tools.handwriting.template import KINDS, ROLES, Template, between

# The stored shifts of drawn characters and the network's parameters.
PROPORTIONS = DATA / "proportions" / "proportions.npz"
NODES = 5  # points of a stroke that move
SCALE = 400.0  # stroke-data units in one unit of the network
STEP = 4.0  # stroke-data units in one unit of the stored shifts
HEADS, LAYERS = 4, 2
LIMIT = 260.0  # no node moves farther along x or y, stroke-data units


def nodes(along: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Where on a stroke its five nodes lie: both ends, its corners, and points between them.

    ``along`` and ``corner`` (k,) are those of :class:`Template`, of one stroke; the result is (5,).
    """
    bends = along[corner & (along > 0.02) & (along < 0.98)]
    match bends.tolist():
        case []:
            inner = [0.25, 0.5, 0.75]
        case [bend]:
            inner = [bend / 2, bend, (1 + bend) / 2]
        case [one, other]:
            inner = [one, (one + other) / 2, other]
        case _:
            inner = bends[[0, len(bends) // 2, -1]]
    return np.array([0.0, *inner, 1.0])


def at_nodes(template: Template) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of all strokes: their shares (S, 5) as :func:`nodes` gives them, and their places.

    Places (S, 5, 2) are stroke-data units from the middle of the character.
    """
    middle = 0.5 * (template.points.min(axis=0) + template.points.max(axis=0))
    shares, places = [], []
    for start, stop in zip(template.first, template.last + 1):
        along = template.along[start:stop]
        shares.append(nodes(along, template.corner[start:stop]))
        places.append(between(shares[-1], along, template.points[start:stop] - middle))
    return np.array(shares), np.array(places)


def features(template: Template, places: np.ndarray) -> np.ndarray:
    """What the network sees of each stroke: (S, F) float32.

    Its nodes (``places``, from :func:`at_nodes`), its kind, the role and the box of its component on
    each level, the number of strokes, size and shape of the character, the stroke's number, and whether
    it has a hook and free ends.
    """
    count = template.strokes
    places = places / SCALE
    boxes = np.empty((count, len(template.parts), 4))
    for level, part in enumerate(template.parts):
        for label in np.unique(part):
            inside = places[part == label].reshape(-1, 2)
            boxes[part == label, level] = [*inside.min(axis=0), *inside.max(axis=0)]
    wide, high = np.maximum(np.ptp(places.reshape(-1, 2), axis=0), 0.05)
    number = np.arange(count)
    return np.column_stack(
        [
            places.reshape(count, -1),
            np.eye(len(KINDS))[template.kind],
            *(np.eye(len(ROLES))[role] for role in template.role),
            boxes.reshape(count, -1),
            np.tile([wide, high, count / 10.0, np.log(wide / high)], (count, 1)),
            number / 10.0,
            number / count,
            template.hook >= 0,
            template.free,
        ]
    ).astype(np.float32)


@cache
def _stored() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Shifts of drawn characters, and the network's parameters by name."""
    with np.load(PROPORTIONS) as content:
        arrays = dict(content)
    characters = str(arrays.pop("characters"))
    ends = np.cumsum(arrays.pop("strokes"), dtype=np.int64)
    shifts = np.split(arrays.pop("shifts"), ends[:-1])
    return dict(zip(characters, shifts)), {name: array.astype(float) for name, array in arrays.items()}


def network(seen: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Predict how far a hand moves each node: (S, 5, 2) float64, stroke-data units.

    The same computation as ``fit_proportions.Network`` in numpy, so that no process that writes
    characters has to load PyTorch. ``seen`` is from :func:`features`, ``weights`` are named as in PyTorch.
    """

    def linear(x, name):
        return x @ weights[f"{name}weight"].T + weights[f"{name}bias"]

    def normalised(x, name):
        x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(x, name):
        joined = np.split(linear(x, f"{name}.in_proj_"), 3, axis=1)
        query, key, value = (part.reshape(len(x), HEADS, -1).transpose(1, 0, 2) for part in joined)
        share = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[2]), axis=2)
        return linear((share @ value).transpose(1, 0, 2).reshape(len(x), -1), f"{name}.out_proj.")

    x = linear(seen, "enter.")
    for layer in range(LAYERS):
        name = f"layers.layers.{layer}"
        x = x + attention(normalised(x, f"{name}.norm1"), f"{name}.self_attn")
        inner = linear(normalised(x, f"{name}.norm2"), f"{name}.linear1.")
        x = x + linear(np.maximum(inner, 0.0), f"{name}.linear2.")
    return linear(normalised(x, "norm"), "leave.").reshape(len(seen), NODES, 2) * SCALE


def shift_by_hand(template: Template) -> np.ndarray:
    """How far a hand moves each point of a printed character: (P, 2) float64, stroke-data units."""
    drawn, weights = _stored()
    shares, places = at_nodes(template)
    moved = drawn.get(template.character)
    if moved is not None and moved.shape == places.shape:
        moved = moved * STEP
    else:  # never drawn, or these stroke data have other strokes
        # Rounded, so that the last bits of another processor's sums don't change any pixel.
        moved = network(features(template, places), weights).round(1)
    moved = np.clip(moved, -LIMIT, LIMIT)
    strokes = zip(template.first, template.last + 1, shares, moved)
    return np.concatenate([between(template.along[a:b], share, shift) for a, b, share, shift in strokes])
