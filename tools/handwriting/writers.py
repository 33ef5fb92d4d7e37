"""Simulated people: what holds for a writer, and one character as that writer's pen moves.

The movement is made the way a hand makes it. The strokes of a character are targets that the pen
visits in writing order, on the paper and above it; a low-pass filter stands for the inertia of the
hand (as in the minimum-jerk and sigma-lognormal accounts of handwriting: Flash and Hogan 1985,
Plamondon 1995). A slow writer rests at stroke ends and corners, which keeps them sharp; a fast
writer does not, so that corners turn into curves, ends point towards the next stroke, and the pen
stays on the paper between strokes. Running hand comes out of that, not out of a list of shapes.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import cv2
import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator as Random

from tools.handwriting.template import BENT, DOT, INSIDE, NA, ROLES, Template, between, distances

STEP = 9.0  # stroke-data units travelled between two samples of the pen at normal speed

# How strongly a kind of stroke varies in length, and the side at which it is held fixed:
# 0 start, 0.5 middle.
_LENGTH_SPREAD = np.array([0.16, 0.12, 0.16, 0.20, 0.24, 0.22, 0.06])
_ANCHOR = np.array([0.5, 0.35, 0.15, 0.15, 0.5, 0.5, 0.5])

# The log length, at most, by which a drawn-out stroke of each kind grows.
_FLOURISH = np.array([0.32, 0.55, 0.5, 0.5, 0.4, 0.4, 0.0])
_CROWDING = 0.012  # log length that each stroke beyond six takes from every stroke
_GAP_SPREAD = 20.0  # how much a gap varies within a character, stroke-data units


@dataclass(frozen=True)
class Writer:
    """A person's hand. Lengths are stroke-data units (the character's box is 1024 wide)."""

    fluency: float  # 0 careful print-like writing … 1 running hand
    sloppiness: float  # size of what differs from one character to the next
    slant: float  # horizontal shift per unit of height
    rise: float  # upward slope of horizontal strokes, beyond that of the model
    turn: float  # rotation of whole characters, radians
    stretch: float  # log of width over height, beyond that of the model
    warp: Array  # (2, 5) coefficients of a quadratic bend of the plane
    spacing: Array  # (2, 4) uneven spacing along x and along y: sine amplitudes
    part_scale: Array  # (7, 2) log scale of components by role
    part_shift: Array  # (7, 2) shift of components by role
    length: Array  # (7,) log length factor by kind of stroke
    angle: Array  # (7,) rotation by kind of stroke, radians
    bow: Array  # (7,) bend of straight strokes, share of the length
    inertia: float  # standard deviation of the filter, stroke-data units
    rest: float  # time at stroke ends, in units travelled
    corner_rest: float  # time at corners
    join: float  # readiness to stay on the paper between strokes
    reach: float  # distance over which the writer joins
    lead_out: float  # share of the way to the next stroke still drawn
    lead_in: float  # share of the way from the last stroke already drawn
    tremor: float
    hook: float  # log length of hooks; very negative drops them
    drop_hook: float  # probability of leaving a hook out
    round_box: float  # probability of closing 口 from the right in one movement
    corner_box: float  # probability of writing 口 as an L and a hooked bend
    short_last: float  # probability that a final 捺 becomes a long dot
    link_weight: float  # pressure on joins between strokes
    flourish: float  # probability of drawing out the longest free stroke
    gap: float  # how far strokes stop short of others that they should touch
    taper: float  # how much strokes thin out towards their end
    size: float  # normal score of the size of the writing
    grey: float  # normal score of the lightness of the ink
    width: float  # normal score of the thickness of the pen's line
    pen: int  # 0 ball pen, 1 gel pen, 2 felt tip
    crop: float  # normal score: how much white is left around a character
    by_hand: float  # proportions: 0 those of print, 1 those that people share


def _scaled(rng: Random, scale: float, *shape: int) -> Array:
    return rng.standard_normal(shape) * scale


def make_writer(rng: Random, ranks: Array | None = None) -> Writer:
    """Draw a person.

    ``ranks`` (6,) say where among all people this one stands, above 0 and below 1, in fluency, size, grey,
    line width, margin and shape; they are drawn when absent. Numbered people get evenly spread ranks, so
    that a small group already has the variety of a large one.
    """
    ranks = rng.random(6) if ranks is None else ranks
    score = [NormalDist().inv_cdf(float(r)) for r in ranks]
    fluency = rng.beta(*((1.6, 7.0), (4.0, 4.5), (7.0, 2.6))[bisect((0.36, 0.76), ranks[0])])
    sloppiness = np.clip(np.exp(rng.normal(-0.20, 0.26)) * (0.53 + 0.34 * fluency), 0.32, 1.15)
    pen = int(rng.choice(3, p=[0.35, 0.50, 0.15]))
    return Writer(
        fluency=fluency,
        sloppiness=float(sloppiness),
        slant=rng.normal(0.04, 0.15),
        rise=rng.normal(0.015, 0.072),
        turn=rng.normal(0.0, 0.052),
        stretch=-0.240 + 0.137 * score[5],
        warp=_scaled(rng, 0.032, 2, 5),
        spacing=_scaled(rng, 0.030, 2, 4),
        part_scale=_scaled(rng, 0.09, len(ROLES), 2),
        part_shift=_scaled(rng, 14.0, len(ROLES), 2),
        length=_scaled(rng, 0.55, 7) * _LENGTH_SPREAD + np.array([0, 0, -0.03, -0.12, 0.05, 0, 0]),
        angle=_scaled(rng, 0.050, 7),
        bow=_scaled(rng, 0.040, 7),
        inertia=float(5.0 + 42.0 * fluency**1.4 * np.exp(rng.normal(0.0, 0.35))),
        rest=float(70.0 * (1.0 - fluency) ** 2 * np.exp(rng.normal(0.0, 0.5))),
        corner_rest=float(60.0 * (1.0 - fluency) ** 2 * np.exp(rng.normal(-0.3, 0.8))),
        join=float(np.clip(fluency * 1.12 - 0.15 + rng.normal(0.0, 0.16), 0.0, 0.97)),
        reach=float(rng.uniform(260.0, 800.0)),
        lead_out=float(np.clip(rng.exponential(0.24) * (0.12 + fluency), 0.0, 0.65)),
        lead_in=float(np.clip(rng.exponential(0.12) * (0.1 + fluency), 0.0, 0.4)),
        tremor=float(rng.gamma(2.0, 1.1)),
        hook=rng.normal(-0.1, 0.45),
        drop_hook=float(rng.beta(0.9, 1.6)),
        round_box=float(np.clip(rng.normal(0.42 * fluency, 0.18), 0.0, 0.9)),
        corner_box=float(np.clip(rng.normal(0.10, 0.12), 0.0, 0.5)),
        short_last=float(rng.beta(0.9, 1.7)),
        link_weight=float(rng.uniform(0.45, 1.0)),
        flourish=float(rng.beta(1.4, 1.4)),
        gap=float(rng.uniform(55.0, 130.0) if rng.random() < 0.34 else rng.normal(36.0, 24.0)),
        taper=float(rng.beta(1.5, 2.5)),
        size=score[1],
        grey=score[2],
        width=score[3],
        pen=pen,
        crop=score[4],
        by_hand=float(1.2 * rng.beta(0.6, 0.6)),
    )


def make_learner(rng: Random) -> Writer:
    """Draw a learner: the right strokes, one by one and slowly, in the wrong proportions."""
    slow = {"fluency": 0.05, "inertia": 7.0, "rest": 50.0, "corner_rest": 35.0, "tremor": 4.0, "taper": 0.1}
    one_by_one = {"join": 0.0, "lead_out": 0.02, "lead_in": 0.0, "round_box": 0.0, "corner_box": 0.05}
    print_like = {"drop_hook": 0.45, "short_last": 0.15, "pen": 0, "sloppiness": 1.45}
    return replace(
        make_writer(rng),
        **slow,
        **one_by_one,
        **print_like,
        slant=rng.normal(0.0, 0.06),
        rise=rng.normal(-0.03, 0.03),
        turn=rng.normal(0.0, 0.03),
        stretch=rng.normal(-0.05, 0.08),
        warp=_scaled(rng, 0.05, 2, 5),
        part_scale=_scaled(rng, 0.19, len(ROLES), 2),
        part_shift=_scaled(rng, 50.0, len(ROLES), 2),
        spacing=_scaled(rng, 0.03, 2, 4),
        length=_scaled(rng, 0.8, 7) * _LENGTH_SPREAD,
    )


class Trace(NamedTuple):
    """The pen's movement over one character; ``M`` samples at equal times."""

    points: Array  # (M, 2) float32, stroke-data units, y down
    pressure: Array  # (M,) float32, 0 in the air, 1 on the paper
    speed: Array  # (M,) float32, 1 is the normal speed


def _smooth(rows: Array, deviation: float) -> Array:
    """Gaussian filter along time; ``rows`` is (M, channels) float32, ends held."""
    if deviation < 0.3:
        return rows
    size = 2 * int(np.ceil(3.0 * deviation)) + 1
    return cv2.GaussianBlur(rows, (1, size), deviation, borderType=cv2.BORDER_REPLICATE)


def write(template: Template, writer: Writer, rng: Random) -> Trace:
    """Let ``writer`` write a character once; ``rng`` is the only source of randomness."""
    messy = writer.sloppiness * np.exp(rng.normal(0.0, 0.18))
    normal = rng.standard_normal((template.strokes, 8))
    chance = rng.random((template.strokes, 6))
    points = _vary_strokes(template, writer, messy, normal, chance)
    points = _meet(template, writer, points, messy, normal[:, 5:7])
    _vary_components(template, writer, points, messy, rng)
    points = _vary_whole(writer, points, messy, rng)
    return _move(template, writer, points, rng, chance)


def _vary_strokes(template: Template, writer: Writer, messy: float, normal: Array, chance: Array) -> Array:
    """Strokes of other length, direction, bend and place, about a point held fixed."""
    kind, stroke, along = template.kind, template.stroke, template.along
    points = template.points + writer.by_hand * template.by_hand
    free_start, free_end = template.free.T
    stretch = writer.length[kind] + _LENGTH_SPREAD[kind] * 0.55 * messy * normal[:, 0]
    crowding = _CROWDING * min(max(template.strokes - 6, 0), 14)
    stretch = np.exp((0.35 + 0.65 * template.free.mean(axis=1)) * stretch - crowding)
    if chance[-1, 5] < writer.flourish:
        reach = np.where(free_end & (kind != BENT), template.length, 0.0)
        longest = np.argmax(reach)
        if reach.any():
            stretch[longest] *= np.exp(_FLOURISH[kind[longest]] * chance[-1, 3])
    if chance[0, 5] < writer.short_last and kind[-1] == NA and template.length[-1] > 300:
        stretch[-1] *= 0.45 + 0.25 * chance[0, 4]
    angle = writer.angle[kind] + 0.040 * messy * normal[:, 1] * (1.0 + 0.9 * (kind == DOT))
    begin, end = points[template.first], points[template.last]
    # An end that touches another stroke stays where it is rather than the middle.
    anchor = np.where(free_start == free_end, _ANCHOR[kind], free_start)
    chord = end - begin
    fixed = begin + anchor[:, None] * chord
    bow = (writer.bow[kind] + 0.030 * messy * normal[:, 2]) * (kind != BENT)
    bulge = (4.0 * along * (1.0 - along)) * bow[stroke]
    x, y = (points - fixed[stroke]).T
    cosine, sine = (stretch * [np.cos(angle), np.sin(angle)])[:, stroke]
    x, y = cosine * x - sine * y, sine * x + cosine * y
    points = np.stack([x - bulge * chord[stroke, 1], y + bulge * chord[stroke, 0]], axis=1)
    return points + (fixed + normal[:, 3:5] * (10.0 * messy))[stroke]


def _vary_components(template: Template, writer: Writer, points: Array, messy: float, rng: Random) -> None:
    """Squeeze, enlarge, move and turn components, in place."""
    for part, role, amount in zip(template.parts, template.role, (messy, 0.7 * messy)):
        if not part.any():
            continue
        wobble = rng.standard_normal((part.max() + 1, 6))
        for p in range(len(wobble)):
            r = role[np.argmax(part == p)]
            which = (part == p)[template.stroke]
            block = points[which]
            centre = 0.5 * (block.min(0) + block.max(0))
            scale = np.exp(writer.part_scale[r] + 0.068 * amount * wobble[p, :2])
            if r == INSIDE:  # what stands in a frame is fitted into it
                scale = np.minimum(scale, 1.04)
            lean, tilt = 0.05 * amount * wobble[p, 2], 0.035 * amount * wobble[p, 3]
            matrix = np.array([[scale[0], lean], [tilt, scale[1]]])
            move = 0.7 * writer.part_shift[r] + 17.0 * amount * wobble[p, 4:6]
            points[which] = (block - centre) @ matrix.T + centre + move


def _vary_whole(writer: Writer, points: Array, messy: float, rng: Random) -> Array:
    """Uneven spacing and bends of the plane, then slant, slope and shape of the whole character."""
    unit = points / 400.0
    uneven = min(messy, 1.1)
    coefficients = writer.spacing + 0.020 * uneven * rng.standard_normal((2, 4))
    slow, fast = 1.6 * unit, 3.1 * unit
    waves = np.stack([np.sin(slow), np.cos(slow), np.sin(fast), np.cos(fast)], axis=2)
    unit = unit + (waves * coefficients).sum(axis=2) * 1.6
    warp = writer.warp + 0.025 * uneven * rng.standard_normal((2, 5))
    x, y = unit.T
    basis = np.stack([x * y, x * x - 0.3, y * y - 0.3, x * x * y, x * y * y], axis=1)
    unit = unit + np.clip(basis, -1.2, 1.2) @ warp.T
    whole = np.array([0.040, 0.025, 0.022, 0.075]) * messy * rng.standard_normal(4)
    slant, rise, turn, shape = whole + [writer.slant, writer.rise, writer.turn, writer.stretch]
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, sine], [-sine, cosine]]) @ np.array([[1.0, -slant], [-rise, 1.0]])
    return (unit * 400.0) @ (matrix * np.exp([0.5 * shape, -0.5 * shape])).T


def _meet(template: Template, writer: Writer, points: Array, messy: float, normal: Array) -> Array:
    """Let ends that should touch another stroke stop short or run past; corners stay in place."""
    stroke, along = template.stroke, template.along
    gap = (writer.gap + _GAP_SPREAD * messy * normal) / template.length[:, None]
    gap = np.where(template.free, 0.0, np.clip(gap, -0.10, 0.6 * template.outer))
    # How much of its gap each point takes over: all at the end, nothing from the corner on.
    way = np.stack([along, 1.0 - along], axis=1) / template.outer[stroke]
    before, after = (gap[stroke] * np.clip(1.0 - way, 0.0, 1.0)).T
    wanted = along + before - after
    inside = np.clip(wanted, 0.0, 1.0)
    beyond = (wanted - inside) * template.length[stroke]
    met = between(2.0 * stroke + inside, 2.0 * stroke + along, points)
    for rows, neighbours in ((template.first, template.first + 1), (template.last, template.last - 1)):
        heading = points[rows] - points[neighbours]
        heading /= np.maximum(np.hypot(heading[:, 0], heading[:, 1]), 1e-6)[:, None]
        met[rows] += np.abs(beyond[rows])[:, None] * heading
    return met


def _order(template: Template, writer: Writer, chance: Array) -> tuple[list[Array], list[int], set[int]]:
    """Strokes as index arrays, the order in which they are written, and which follow without a stop."""
    dropped = (template.hook >= 0) & (chance[:, 0] < writer.drop_hook)
    ends = np.where(dropped, template.hook, template.last)
    runs = [np.arange(start, end + 1) for start, end in zip(template.first, ends)]
    order, tied = list(range(template.strokes)), set()
    for upright, bend, closing in template.boxes:
        draw = chance[upright, 1]
        if draw < writer.round_box:
            runs[closing] = runs[closing][::-1]
            if closing == bend + 1:
                tied.add(closing)
        elif draw < writer.round_box + writer.corner_box and closing == bend + 1:
            order.remove(closing)
            order.insert(order.index(bend), closing)
            tied.add(closing)
    if template.strokes > 2 and chance[0, 3] < 0.06 * writer.fluency:
        at = 1 + int(chance[0, 2] * (len(order) - 2))  # now and then two strokes change places
        order[at], order[at + 1] = order[at + 1], order[at]
    return runs, order, tied


def _vertices(
    template: Template, writer: Writer, points: Array, rng: Random, chance: Array
) -> tuple[Array, Array, Array, float]:
    """The pen's way: vertices, times (units of travel), 0 a stroke, 1 above the paper, 2 a join; its pace."""
    runs, order, tied = _order(template, writer, chance)
    pace = np.exp(rng.normal(0.0, 0.20))
    rest = writer.rest / pace
    places, times, kinds, clock = [], [0.0], [0.0], 0.0
    joins = rng.random(len(order))
    spots = rng.exponential(1.0, (len(order), 2))
    for s, chance_of_join, (stay, settle) in zip(order, joins, spots):
        run, hook = points[runs[s]], template.hook[s]
        if 0 <= hook < runs[s][-1]:
            tail = runs[s] > hook
            run[tail] = points[hook] + (run[tail] - points[hook]) * np.exp(writer.hook)
        if places:
            distance = np.hypot(*(run[0] - places[-1][-1]))
            likely = writer.join * np.exp(-((distance / writer.reach) ** 2))
            if s in tied or chance_of_join < likely or distance < 25.0 * writer.fluency:
                link, travel, calm = 2.0, 0.9 * distance, 0.35
            else:
                link, travel, calm = 1.0, 0.75 * distance, 1.0
            left = clock + rest * stay * calm
            arrived = left + (travel + 1e-3)
            clock = arrived + rest * 0.8 * settle * calm
            places += [places[-1][-1:], run[:1]]
            times += [left, arrived, clock + 1e-3]
            kinds += [0.0, link, 0.0]
        # Short strokes take more than their share of time (isochrony).
        tempo = min(max((template.length[s] / 420.0) ** 0.45, 0.45), 1.25)
        moments = clock + 2e-3 + np.cumsum(distances(run) / tempo)
        # A corner is reached, rested at, and left.
        sharp = template.corner[runs[s]][1:] * (writer.corner_rest / pace)
        moments[1:] += np.cumsum(sharp)[:-1]
        clock = moments[-1] + sharp[-1]
        twice = 1 + (sharp != 0.0)
        moments = np.repeat(moments, twice)
        moments[np.cumsum(twice) - 1] += sharp
        places += [run[:1], np.repeat(run[1:], twice, axis=0)]
        times += moments.tolist()
        kinds += [0.0] * len(moments)
    return np.concatenate(places), np.array(times), np.array(kinds), pace


def _move(template: Template, writer: Writer, points: Array, rng: Random, chance: Array) -> Trace:
    """Turn target points into the pen's movement."""
    places, times, kinds, pace = _vertices(template, writer, points, rng, chance)
    sampled = np.clip(np.arange(-3, int(times[-1] / STEP) + 4) * STEP, 0.0, times[-1])
    path = between(sampled, times, places).astype(np.float32)
    # Pressure: on strokes 1; in the air 0 but for the drawn ends of the way; joins in between.
    segment = np.clip(np.searchsorted(times, sampled), 1, len(times) - 1)
    link = kinds[segment]
    share = (sampled - times[segment - 1]) / np.maximum(times[segment] - times[segment - 1], 1e-3)
    # One share for the whole character: that of its first stroke, which short_last uses too. A share of
    # its own for each stroke that the pen leaves was surely meant, as everywhere else in `chance`. The
    # mend changes most images, so that it waits until the archive is made anew.
    out = writer.lead_out * (0.3 + 1.4 * chance[0, 4])
    drawn = ((share < out) & (out > 0.02)) | (share > 1.0 - writer.lead_in)
    pressure = np.select([link == 0.0, link == 2.0], [1.0, writer.link_weight], 0.6 * drawn)
    inertia = writer.inertia * pace / STEP
    noise = _smooth(rng.standard_normal((len(path), 3)).astype(np.float32), 3.5)
    path = _smooth(path, inertia) + noise[:, :2] * (writer.tremor * 2.4)
    drift = _smooth(noise[:, 2:], 12.0)[:, 0] * 5.0
    pressure = _smooth(pressure[:, None].astype(np.float32), max(0.6, 0.30 * inertia))[:, 0]
    speed = np.pad(distances(path) / STEP, (1, 0), "edge")
    speed = _smooth(speed[:, None], 2.5)[:, 0]
    varied = np.clip(pressure * (1.0 + 0.12 * drift), 0.2, 1.4)
    return Trace(path, np.where(pressure > 0.34, varied, np.float32(0)), speed)
