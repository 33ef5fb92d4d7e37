"""Stroke data: hanzi-writer-data medians, cleaned into templates that a simulated hand can write.

The medians of hanzi-writer-data (https://hanziwriter.org, from the Make Me a Hanzi project and the
Arphic fonts, Arphic Public License) follow the middle of each stroke of a Kai-style printed font,
in writing order, in a box of 1024 units with y pointing up from -124 to 900. A printed stroke
starts and ends with the mark of a brush; a pen leaves none, so those marks are cut off here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from course.paths import DATA

import numpy as np

from tools.handwriting.proportions import shift_by_hand
from tools.handwriting.template import (
    BENT,
    DOT,
    FRAME,
    HENG,
    LEFT,
    NA,
    PIE,
    SHU,
    TI,
    TOP,
    Template,
    distances,
)

STROKES = DATA / "strokes"
"""Folder with the shipped stroke data, one JSON file a character."""

UNIT = 1024.0
"""Side of the box in which a character is drawn, in stroke-data units."""


class StrokeDataError(ValueError):
    """Stroke data are missing, unreadable or hold no stroke."""


def read_medians(path: Path) -> list[np.ndarray]:
    """Medians of one hanzi-writer-data file.

    Parameters
    ----------
    path : Path
        A JSON file with the key ``medians``: a list of strokes, each a list of ``[x, y]``.

    Returns
    -------
    list of ndarray (k, 2) float64, y still pointing up.

    Raises
    ------
    StrokeDataError
        When the file is missing, is not such JSON, or holds no stroke.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StrokeDataError(
            f"There are no stroke data for '{path.stem}': {path} does not exist. Give --strokes a "
            "folder of hanzi-writer-data JSON files that has this character."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StrokeDataError(f"Cannot read the stroke data {path}: {error}.") from None
    medians = content.get("medians") if isinstance(content, dict) else None
    if not isinstance(medians, list) or not medians:
        raise StrokeDataError(f"{path} holds no strokes: expected a list under the key 'medians'.")
    strokes = []
    for number, median in enumerate(medians, start=1):
        try:
            stroke = np.asarray(median, dtype=np.float64)
        except (TypeError, ValueError):
            stroke = np.empty(0)
        if stroke.ndim != 2 or stroke.shape[1] != 2 or not np.isfinite(stroke).all():
            raise StrokeDataError(f"{path}: stroke {number} is not a list of [x, y] numbers.")
        if len(stroke) < 2 or np.abs(stroke).max() > 4 * UNIT:
            raise StrokeDataError(
                f"{path}: stroke {number} is shorter than two points or far outside the character's box."
            )
        strokes.append(stroke)
    return strokes


def _turns(points: np.ndarray) -> np.ndarray:
    """Absolute turning angle at the inner points, radians."""
    steps = np.diff(points, axis=0)
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    return np.abs((np.diff(angle) + np.pi) % (2 * np.pi) - np.pi)


def _without_brush_marks(points: np.ndarray) -> np.ndarray:
    """Cut the short bends with which a brush enters and leaves a stroke."""
    keep = np.concatenate([[True], distances(points) > 1e-6])
    points = points[keep]
    for reverse in (False, True):
        if reverse:
            points = points[::-1]
        if len(points) > 3:
            total = distances(points).sum()
            limit = min(75.0, 0.22 * total)
            # Where within the first few units the direction turns most decides what is a mark.
            travelled = np.cumsum(distances(points))
            turns = _turns(points)
            inside = np.flatnonzero(travelled[:-1] < limit)
            if len(inside) and turns[inside].sum() > np.radians(38):
                points = points[inside[-1] + 1 :]
        if reverse:
            points = points[::-1]
    return points


def _dense(points: np.ndarray, spacing: float = 34.0) -> tuple[np.ndarray, np.ndarray]:
    """Points at most ``spacing`` apart, the given ones among them, and whether each is a corner."""
    lengths = distances(points)
    pieces, corners = [points[:1]], [np.zeros(1, bool)]
    # A corner spread over several close points still turns as one: sum turns over 70 units.
    turns = np.zeros(len(points))
    turns[1:-1] = _turns(points) if len(points) > 2 else 0
    position = np.concatenate([[0], np.cumsum(lengths)])
    turning = turns > 0
    total = np.zeros(len(points))
    total[turning] = [turns[np.abs(position - p) < 45].sum() for p in position[turning]]
    is_corner = total > np.radians(48)
    for p in np.flatnonzero(is_corner):  # keep only the sharpest point of each bend
        near = np.abs(position - position[p]) < 60
        if turns[p] < turns[near].max() or (near[:p] & is_corner[:p]).any():
            is_corner[p] = False
    for a, b, length, corner in zip(points[:-1], points[1:], lengths, is_corner[1:]):
        count = max(1, int(np.ceil(length / spacing)))
        share = np.arange(1, count + 1)[:, None] / count
        pieces.append(a + share * (b - a))
        mark = np.zeros(count, bool)
        mark[-1] = corner
        corners.append(mark)
    return np.concatenate(pieces), np.concatenate(corners)


def _kind(points: np.ndarray, corners: np.ndarray) -> int:
    length = distances(points).sum()
    if corners.any() and length > 130:
        return BENT
    if length < 175:
        return DOT
    dx, dy = points[-1] - points[0]
    angle = np.degrees(np.arctan2(dy, dx))  # y down: 0 right, 90 down
    if -22 <= angle <= 22:
        return HENG
    if 72 <= angle <= 104:
        return SHU
    if 104 < angle <= 180:
        return PIE
    if 22 < angle < 72:
        return NA
    return TI if angle < 0 else PIE


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

    def between(self, one: np.ndarray, other: np.ndarray) -> float:
        """Least distance between two groups of strokes."""
        return float(self.apart[np.ix_(one, other)].min())

    def linked(self, group: np.ndarray) -> bool:
        """Does each stroke of the group touch another, so that all hang together?"""
        reached = np.zeros(len(group), bool)
        reached[0] = True
        near = self.apart[np.ix_(group, group)] < 90.0
        for _ in group:
            reached |= near[reached].any(axis=0)
        return bool(reached.all())


def _extent(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where most of the points lie: a single long stroke of a component sweeps under the next."""
    low, high = np.percentile(points, [8, 92], axis=0)
    return low, high


def _beside(strokes: _Strokes, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Split strokes in a left and a right, or an upper and a lower component.

    Components are written one after the other, the left and the upper one first, so only cuts in
    the order of writing count. Returns both groups and the role of the first (that of the second
    is the next one), or None.
    """
    best = None
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
        (low, high), (low2, high2) = _extent(strokes.of(first)), _extent(strokes.of(second))
        for axis, allowed in ((0, 0.05), (1, 0.15)):
            if single and axis == 1:
                continue
            overlap = min(high[axis], high2[axis]) - max(low[axis], low2[axis])
            smaller = min(high[axis] - low[axis], high2[axis] - low2[axis])
            if overlap > allowed * smaller or low[axis] + high[axis] >= low2[axis] + high2[axis]:
                continue
            score = (overlap - between) / total[axis]
            if best is None or score < best[0]:
                best = (score, first, second, (LEFT, TOP)[axis])
    return None if best is None else best[1:]


def _frames(strokes: _Strokes, members: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
    """Strokes that may be a frame around the others, as positions among ``members``.

    With each the sides on which it must enclose them: left, top, right, bottom.
    """
    count, kind = len(members), strokes.kind[members]
    boxes = [box for box in strokes.boxes if tuple(members[:2]) == box[:2] and box[2] in members]
    for box in boxes:
        if box[2] == members[-1]:  # 国: left, top and right, then what is inside, then the bottom
            yield np.array([0, 1, count - 1]), "LTRB"
    for dots in (0, 1):  # 同, 问: an upright and a bend, perhaps after a dot
        if (
            not boxes
            and count > dots + 3
            and kind[dots] in (SHU, PIE)
            and kind[dots + 1] == BENT
            and (not dots or kind[0] == DOT)
        ):
            yield np.arange(dots + 2), "LTR"
    for size in range(2, min(6, count - 1)):  # 层, 病: a roof and what hangs from its left end
        body = [i for i in range(size) if kind[i] not in (DOT, TI)]
        if len(body) < 2 or kind[body[-1]] != PIE or not strokes.linked(members[body]):
            continue
        roof, start = strokes.of(members[body[:-1]]), strokes.points[members[body[-1]]][0]
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
        low, high = _extent(strokes.of(inside))
        left, top = low - outline.min(axis=0)
        right, bottom = outline.max(axis=0) - high
        room = {"L": left, "T": top, "R": right, "B": bottom}
        if (np.ptp(outline, axis=0) < 0.55 * size).any() or min(room[s] for s in sides) < 25.0:
            continue
        if best is None or len(inside) < len(best[1]):
            best = (frame, inside, FRAME)
    return best


def _components(strokes: _Strokes, levels: int = 2) -> tuple[list, list]:
    count = len(strokes.points)
    part, role = np.zeros(count, int), np.zeros(count, int)
    parts, roles = [], []
    for _ in range(levels):
        next_part, next_role, number = np.zeros(count, int), role.copy(), 0
        for label in np.unique(part):
            members = np.flatnonzero(part == label)
            split = None
            if len(members) > 2:
                split = _around(strokes, members) or _beside(strokes, members)
            if split is None:
                next_part[members] = number
                number += 1
                continue
            for value, group in enumerate(split[:2]):
                next_part[group] = number
                next_role[group] = split[2] + value
                number += 1
        part, role = next_part, next_role
        parts.append(part)
        roles.append(role)
    return parts, roles


def _find_boxes(points: list[np.ndarray], kinds: list[int]) -> list[tuple[int, int, int]]:
    """Boxes such as 口: an upright, a bend from its top, and a stroke that closes the bottom."""
    found = []
    for i in range(len(points) - 2):
        upright, bend = points[i], points[i + 1]
        size = np.ptp(upright[:, 1])
        near = 0.45 * size
        if kinds[i] not in (SHU, DOT, PIE, NA) or kinds[i + 1] != BENT or size <= 60:
            continue
        if np.hypot(*(upright[0] - bend[0])) > near or bend[:, 0].max() < upright[:, 0].max():
            continue
        closing = [
            j
            for j in range(i + 2, len(points))
            if kinds[j] in (HENG, DOT, TI)
            and np.hypot(*(points[j][0] - upright[-1])) < near
            and (np.abs(points[j][-1] - bend[-1]) < 0.6 * size).all()
        ]
        if closing:  # in 国 a stroke of what is inside comes near as well
            found.append((i, i + 1, min(closing, key=lambda j: np.hypot(*(points[j][0] - upright[-1])))))
    return found


def _ends_in_hook(stroke: np.ndarray, travelled: np.ndarray, bend: int) -> bool:
    """Is the piece after a stroke's last corner short beside the whole stroke, and does it turn back?"""
    tip = stroke[-1] - stroke[bend]
    before = stroke[bend] - stroke[np.searchsorted(travelled, travelled[bend] - 90)]
    turn = np.dot(tip, before) / (np.hypot(*tip) * np.hypot(*before) + 1e-9)
    tail = travelled[-1] - travelled[bend]
    return tail < min(190.0, 0.36 * travelled[-1]) and turn < 0.25 and tip[1] < 0.25 * np.hypot(*tip)


def printed_template(character: str, medians: list[np.ndarray]) -> Template:
    """Template from medians (``y`` up, as read by :func:`read_medians`), ``by_hand`` all zero."""
    strokes, corners = [], []
    for median in medians:
        flipped = np.column_stack([median[:, 0] - 512.0, 388.0 - median[:, 1]])
        dense, corner = _dense(_without_brush_marks(flipped))
        strokes.append(dense)
        corners.append(corner)
    counts = np.array([len(s) for s in strokes])
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    points = np.concatenate(strokes)
    corner = np.concatenate(corners)
    along, length, hook, kind, opening, closing = [], [], [], [], [], []
    for s, stroke in enumerate(strokes):
        travelled = np.concatenate([[0], np.cumsum(distances(stroke))])
        length.append(travelled[-1])
        along.append(travelled / max(travelled[-1], 1e-9))
        kind.append(_kind(stroke, corners[s]))
        bends = np.flatnonzero(corners[s])
        opening.append(min([0.5, *along[-1][bends[:1]]]))
        closing.append(min([0.5, *1.0 - along[-1][bends[-1:]]]))
        hooked = len(bends) > 0 and _ends_in_hook(stroke, travelled, bends[-1])
        hook.append(first[s] + bends[-1] if hooked else -1)
        if hook[-1] >= 0 and len(bends) == 1:  # an upright with a hook is an upright
            kind[-1] = _kind(stroke[: bends[-1] + 1], corners[s][: bends[-1]])
    free_start, free_end = [], []
    for s, stroke in enumerate(strokes):
        others = np.concatenate([o for t, o in enumerate(strokes) if t != s] or [[[9e9, 9e9]]])
        for end, target in ((stroke[0], free_start), (stroke[-1], free_end)):
            target.append(np.hypot(*(others - end).T).min() > 62.0)
    boxes = _find_boxes(strokes, kind)
    close = [_dense(stroke, 12.0)[0] for stroke in strokes]
    apart = np.zeros((len(close), len(close)))
    for s, one in enumerate(close):
        for t, other in enumerate(close[:s]):
            apart[s, t] = apart[t, s] = np.hypot(*(one[:, None] - other).T).min()
    parts, roles = _components(_Strokes(close, apart, np.array(kind), np.array(length), boxes))
    return Template(
        character=character,
        points=points,
        stroke=np.repeat(np.arange(len(strokes)), counts),
        along=np.concatenate(along),
        corner=corner,
        first=first,
        last=last,
        hook=np.array(hook),
        kind=np.array(kind),
        free_start=np.array(free_start),
        free_end=np.array(free_end),
        opening=np.array(opening),
        closing=np.array(closing),
        length=np.array(length),
        parts=tuple(parts),
        role=tuple(roles),
        boxes=tuple(boxes),
        by_hand=np.zeros_like(points),
    )


def make_template(character: str, medians: list[np.ndarray]) -> Template:
    """Template of a character from its medians (``y`` up, as read by :func:`read_medians`)."""
    template = printed_template(character, medians)
    return replace(template, by_hand=shift_by_hand(template))


@cache
def load_template(character: str, folder: Path = STROKES) -> Template:
    """Template of ``character`` from ``folder``/<character>.json.

    Raises
    ------
    StrokeDataError
        When the stroke data are missing, unreadable or empty.
    """
    if len(character) != 1:
        raise StrokeDataError(f"'{character}' is not a single character.")
    return make_template(character, read_medians(Path(folder) / f"{character}.json"))
