"""A character as its writer knows it: points in strokes, strokes in components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Kinds of stroke that a hand treats alike; "bent" has a corner, "dot" is short.
KINDS = ("heng", "shu", "pie", "na", "dot", "ti", "bent")
HENG, SHU, PIE, NA, DOT, TI, BENT = range(len(KINDS))

# Where a component stands in its character.
ROLES = ("whole", "left", "right", "top", "bottom", "frame", "inside")
LEFT, TOP, FRAME, INSIDE = 1, 3, 5, 6


@dataclass(frozen=True)
class Template:
    """A character of ``S`` strokes and ``P`` points, before any hand has written it.

    Coordinates are stroke-data units with the origin in the middle of the box and y down.
    """

    character: str
    points: np.ndarray  # (P, 2) float64
    stroke: np.ndarray  # (P,) int: the stroke of each point
    along: np.ndarray  # (P,) float: share of the stroke's length written so far, 0 to 1
    corner: np.ndarray  # (P,) bool: the stroke turns sharply here
    first: np.ndarray  # (S,) int: index of each stroke's first point
    last: np.ndarray  # (S,) int: index of each stroke's last point
    hook: np.ndarray  # (S,) int: index of the corner where a final hook starts, or -1
    kind: np.ndarray  # (S,) int: one of KINDS
    free: np.ndarray  # (S, 2) bool: no other stroke passes near the start, the end
    outer: np.ndarray  # (S, 2) float: share of it before its first, after its last corner, at most 0.5
    length: np.ndarray  # (S,) float: arc length
    parts: list[np.ndarray]  # levels of components, each (S,) int
    role: list[np.ndarray]  # per level (S,) int, one of ROLES
    boxes: list[tuple[int, int, int]]  # (upright, bend, closing stroke) of each box
    by_hand: np.ndarray  # (P, 2) float64: from a point's place in print to that by hand

    @property
    def strokes(self) -> int:
        """Number of strokes."""
        return len(self.first)


def distances(points: np.ndarray) -> np.ndarray:
    """From each of the points (k, 2) to the next: (k - 1,)."""
    steps = points[1:] - points[:-1]
    return np.hypot(steps[:, 0], steps[:, 1])


def between(wanted: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Both columns of ``values`` (k, 2), known at ``known`` (k,), at ``wanted`` (n,): (n, 2)."""
    return np.stack([np.interp(wanted, known, values[:, axis]) for axis in (0, 1)], axis=1)
