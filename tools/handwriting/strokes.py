"""Stroke data: hanzi-writer-data medians, cleaned into templates that a simulated hand can write.

The medians of hanzi-writer-data (https://hanziwriter.org, from the Make Me a Hanzi project and the
Arphic fonts, Arphic Public License) follow the middle of each stroke of a Kai-style printed font,
in writing order, in a box of 1024 units with y pointing up from -124 to 900. A printed stroke
starts and ends with the mark of a brush; a pen leaves none, so those marks are cut off here.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from course.paths import DATA

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from tools.handwriting.proportions import shift_by_hand
from tools.handwriting.template import BENT, DOT, FRAME, HENG, LEFT, NA, PIE, SHU, TI, Template, distances

STROKES = DATA / "strokes"  # the shipped stroke data, one JSON file a character


class StrokeDataError(ValueError):
    """Stroke data are missing, unreadable or hold no stroke."""


def read_medians(path: Path) -> list[np.ndarray]:
    """Medians of one hanzi-writer-data file: (k, 2) float64 for each stroke, y still pointing up.

    StrokeDataError if it is missing, or holds no list of strokes ``[[x, y], …]`` under the key ``medians``.
    """
    try:
        strokes = [np.array(stroke, float) for stroke in json.loads(path.read_text("utf-8"))["medians"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        advice = "Give --strokes a folder of hanzi-writer-data JSON files that has this character."
        raise StrokeDataError(f"Cannot read the medians of {path}: {error}. {advice}") from None
    for number, stroke in enumerate(strokes, start=1):
        listed = stroke.shape[1:] == (2,) and np.ptp(stroke, axis=0).any()
        if not listed or not np.abs(stroke).max() < 4096:  # nor is nan
            raise StrokeDataError(f"{path}: stroke {number} is no line of [x, y] near the character's box.")
    if not strokes:
        raise StrokeDataError(f"{path} holds no strokes.")
    return strokes


def _turns(points: np.ndarray) -> np.ndarray:
    """Absolute turning angle at the points, radians; 0 at both ends."""
    steps = np.diff(points, axis=0)
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    return np.pad(np.abs((np.diff(angle) + np.pi) % (2 * np.pi) - np.pi), 1)


def _without_brush_marks(points: np.ndarray) -> np.ndarray:
    """Cut the short bends with which a brush enters and leaves a stroke."""
    points = points[np.concatenate([[True], distances(points) > 1e-6])]
    for _ in ("start", "end"):
        # Where within the first few units the direction turns most decides what is a mark.
        travelled = np.cumsum(distances(points))
        inside = 1 + np.flatnonzero(travelled[:-1] < min(75.0, 0.22 * travelled[-1]))
        if len(points) > 3 and _turns(points)[inside].sum() > np.radians(38):
            points = points[inside[-1] :]
        points = points[::-1]
    return points


def _dense(points: np.ndarray, spacing: float = 34.0) -> tuple[np.ndarray, np.ndarray]:
    """Points at most ``spacing`` apart, the given ones among them, and whether each is a corner."""
    lengths, turns = distances(points), _turns(points)
    position = np.concatenate([[0], np.cumsum(lengths)])
    away = np.abs(position[:, None] - position)
    # A corner spread over several close points still turns as one: sum turns over 90 units.
    is_corner = (turns > 0) & (np.where(away < 45, turns, 0).sum(axis=1) > np.radians(48))
    for p in np.flatnonzero(is_corner):  # keep only the sharpest point of each bend
        near = away[p] < 60
        is_corner[p] = turns[p] >= turns[near].max() and not (near[:p] & is_corner[:p]).any()
    counts = np.maximum(1, np.ceil(lengths / spacing).astype(int))
    share = np.concatenate([np.arange(1, count + 1) / count for count in counts])[:, None]
    steps = share * np.repeat(np.diff(points, axis=0), counts, axis=0)
    dense = np.concatenate([points[:1], np.repeat(points[:-1], counts, axis=0) + steps])
    corner = np.zeros(len(dense), bool)
    corner[np.cumsum(counts)] = is_corner[1:]
    return dense, corner


def _kind(points: np.ndarray, corners: np.ndarray) -> int:
    length = distances(points).sum()
    if corners.any() and length > 130:
        return BENT
    if length < 175:
        return DOT
    dx, dy = points[-1] - points[0]
    angle = np.degrees(np.arctan2(dy, dx))  # y down: 0 right, 90 down
    return (TI, HENG, NA, SHU, PIE)[bisect((-22, 22, 72, 104), angle)]


@dataclass(frozen=True)
class _Strokes:
    """What the search for components knows of a character's strokes."""

    points: list[np.ndarray]  # (k, 2) each, closely spaced
    apart: np.ndarray  # (S, S) float: least distance between two strokes
    kind: np.ndarray  # (S,) int
    length: np.ndarray  # (S,) float
    boxes: list[tuple[int, int, int]]

    def of(self, group: np.ndarray) -> np.ndarray:
        """All points of a group of strokes, (n, 2)."""
        return np.concatenate([self.points[s] for s in group])

    def extent(self, group: np.ndarray) -> np.ndarray:
        """Where most of its points lie: a single long stroke of a component sweeps under the next."""
        return np.percentile(self.of(group), [8, 92], axis=0)

    def between(self, one: np.ndarray, other: np.ndarray) -> float:
        """Least distance between two groups of strokes."""
        return self.apart[np.ix_(one, other)].min()


def _beside(strokes: _Strokes, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Split strokes in a left and a right, or an upper and a lower group, with the first's role; or None."""
    best, least = None, np.inf
    total = np.ptp(strokes.of(members), axis=0)
    # A single stroke is no component, but for the bent one on the right of 乱.
    for cut in range(2, len(members)):
        first, second = members[:cut], members[cut:]
        single = len(second) == 1
        if single and (strokes.kind[second[0]] != BENT or len(members) < 4):
            continue
        # Level strokes alone stand close together without being a component.
        level = any((strokes.kind[group] == HENG).all() for group in (first, second))
        between = strokes.between(first, second)
        if between < (45.0 if level else 20.0):
            continue
        (low, high), (low2, high2) = strokes.extent(first), strokes.extent(second)
        overlap = np.minimum(high, high2) - np.maximum(low, low2)
        smaller = np.minimum(high - low, high2 - low2)
        apart = (overlap <= (0.05, 0.15) * smaller) & (low + high < low2 + high2)
        score = np.where(apart, (overlap - between) / total, np.inf)
        for axis in (0,) if single else (0, 1):
            if score[axis] < least:
                best, least = (first, second, LEFT + 2 * axis), score[axis]
    return best


def _frames(strokes: _Strokes, members: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
    """Positions of strokes that may be a frame, and the sides where they must enclose the rest: LTRB."""
    count, kind = len(members), strokes.kind[members]
    boxes = [box for box in strokes.boxes if tuple(members[:2]) == box[:2] and box[2] in members]
    if any(box[2] == members[-1] for box in boxes):  # 国: left, top and right, then the inside, the bottom
        yield np.array([0, 1, count - 1]), "LTRB"
    for dots in (0, 1):  # 同, 问: an upright and a bend, perhaps after a dot
        if boxes or count <= dots + 3 or (kind[:dots] != DOT).any():
            continue
        if kind[dots] in (SHU, PIE) and kind[dots + 1] == BENT:
            yield np.arange(dots + 2), "LTR"
    for size in range(2, min(6, count - 1)):  # 层, 病: a roof and what hangs from its left end
        body = members[:size][~np.isin(kind[:size], (DOT, TI))]
        if len(body) < 2 or strokes.kind[body[-1]] != PIE:
            continue
        if connected_components(strokes.apart[np.ix_(body, body)] < 90.0)[0] > 1:
            continue
        roof, start = strokes.of(body[:-1]), strokes.points[body[-1]][0]
        if np.hypot(*(roof - start).T).min() < 90.0 and start[0] - roof[:, 0].min() < 120.0:
            yield np.arange(size), "LT"
    for size in (2, 3):  # 过: what carries the rest, from the upper left to the lower right
        if count > size + 1 and kind[-2] == BENT and kind[-1] in (NA, HENG):
            base, rest = strokes.of(members[-size:]), strokes.of(members[:-size])
            wide = np.ptp(strokes.of(members), axis=0)[0]
            if strokes.length[members[-1]] > 0.6 * wide and base[:, 1].min() < rest[:, 1].mean():
                yield np.arange(count - size, count), "LB"
    if count > 3 and kind[0] == HENG and kind[-1] == BENT:  # 医: the top first, the rest last
        last = strokes.points[members[-1]]
        if last[-1, 0] - last[0, 0] > 0.4 * np.ptp(strokes.of(members), axis=0)[0]:
            yield np.array([0, count - 1]), "LTB"


def _around(strokes: _Strokes, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Split strokes in a frame and what stands inside it; the role of the first is FRAME."""
    best = None
    size = np.ptp(strokes.of(members), axis=0)
    for positions, sides in _frames(strokes, members):
        frame, inside = members[positions], np.delete(members, positions)
        if len(inside) < 2 or strokes.between(frame, inside) < 20.0:
            continue
        outline = strokes.of(frame)
        low, high = strokes.extent(inside)
        room = dict(zip("LTRB", (*low - outline.min(axis=0), *outline.max(axis=0) - high)))
        if (np.ptp(outline, axis=0) < 0.55 * size).any() or min(room[s] for s in sides) < 25.0:
            continue
        if best is None or len(inside) < len(best[1]):
            best = (frame, inside, FRAME)
    return best


def _components(strokes: _Strokes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two levels of components: the number of each stroke's component, and its role."""
    groups, role = [np.arange(len(strokes.points))], np.zeros(len(strokes.points), int)
    parts, roles = [], []
    for _ in range(2):
        smaller, part, role = [], np.empty_like(role), role.copy()
        for members in groups:
            split = _around(strokes, members) or _beside(strokes, members)
            if split:
                role[split[0]], role[split[1]] = split[2], split[2] + 1
            smaller += split[:2] if split else [members]
        groups = smaller
        for number, members in enumerate(groups):
            part[members] = number
        parts.append(part)
        roles.append(role)
    return parts, roles


def _find_boxes(points: list[np.ndarray], kinds: list[int]) -> list[tuple[int, int, int]]:
    """Boxes such as 口: an upright, a bend from its top, and a stroke that closes the bottom."""
    found = []
    for i, (upright, bend) in enumerate(zip(points, points[1:])):
        size = np.ptp(upright[:, 1])
        if kinds[i] not in (SHU, DOT, PIE, NA) or kinds[i + 1] != BENT or size <= 60:
            continue
        if np.hypot(*(upright[0] - bend[0])) > 0.45 * size or bend[:, 0].max() < upright[:, 0].max():
            continue
        closing = [
            (np.hypot(*(points[j][0] - upright[-1])), j)
            for j in range(i + 2, len(points))
            if kinds[j] in (HENG, DOT, TI) and (np.abs(points[j][-1] - bend[-1]) < 0.6 * size).all()
        ]
        distance, j = min(closing, default=(np.inf, 0))  # in 国 a stroke of what is inside comes near as well
        if distance < 0.45 * size:
            found.append((i, i + 1, j))
    return found


def _ends_in_hook(stroke: np.ndarray, travelled: np.ndarray, bend: int) -> bool:
    """Is the piece after a stroke's last corner short beside the whole stroke, and does it turn back?"""
    tip = stroke[-1] - stroke[bend]
    before = stroke[bend] - stroke[np.searchsorted(travelled, travelled[bend] - 90)]
    turn = np.dot(tip, before) / (np.hypot(*tip) * np.hypot(*before) + 1e-9)
    tail = travelled[-1] - travelled[bend]
    return tail < min(190.0, 0.36 * travelled[-1]) and turn < 0.25 and tip[1] < 0.25 * np.hypot(*tip)


def printed_template(character: str, medians: list[np.ndarray]) -> Template:
    """Template of a character from its medians (``y`` up, as read), ``by_hand`` all zero."""
    strokes, corners = zip(*(_dense(_without_brush_marks([-512, 388] + m * [1, -1])) for m in medians))
    counts = np.array([len(stroke) for stroke in strokes])
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    points = np.concatenate(strokes)
    number = np.repeat(np.arange(len(strokes)), counts)
    along, length, hook, kind, outer = [], [], [], [], []
    for start, stroke, corner in zip(first, strokes, corners):
        travelled = np.concatenate([[0], np.cumsum(distances(stroke))])
        length.append(travelled[-1])
        along.append(travelled / max(travelled[-1], 1e-9))
        bends = np.flatnonzero(corner)
        outer.append([min([0.5, *along[-1][bends[:1]]]), min([0.5, *1.0 - along[-1][bends[-1:]]])])
        hooked = len(bends) > 0 and _ends_in_hook(stroke, travelled, bends[-1])
        hook.append(start + bends[-1] if hooked else -1)
        upright = hooked and len(bends) == 1  # an upright with a hook is an upright
        kind.append(_kind(stroke[: bends[0] + 1], corner[: bends[0]]) if upright else _kind(stroke, corner))
    away = cdist(np.concatenate([points[first], points[last]]), points)
    away[np.tile(np.arange(len(strokes)), 2)[:, None] == number] = np.inf
    close = [_dense(stroke, 12.0)[0] for stroke in strokes]
    apart = np.array([[cdist(one, other).min() for other in close] for one in close])
    boxes = _find_boxes(strokes, kind)
    kind, length = np.array(kind), np.array(length)
    parts, roles = _components(_Strokes(close, apart, kind, length, boxes))
    of_points = {"stroke": number, "along": np.concatenate(along), "corner": np.concatenate(corners)}
    of_points |= {"points": points, "by_hand": np.zeros_like(points)}
    of_strokes = {"first": first, "last": last, "hook": np.array(hook), "kind": kind, "length": length}
    of_strokes |= {"free": (away.min(axis=1) > 62.0).reshape(2, -1).T, "outer": np.array(outer)}
    return Template(character, **of_points, **of_strokes, parts=parts, role=roles, boxes=boxes)


@cache
def load_template(character: str, folder: Path = STROKES) -> Template:
    """Template of ``character`` from ``folder``/<character>.json; errors as :func:`read_medians`."""
    template = printed_template(character, read_medians(folder / f"{character}.json"))
    return replace(template, by_hand=shift_by_hand(template))
