"""Fit the proportions of handwriting: ``python -m tools.handwriting.fit_proportions``.

Needs two folders that do not ship with the course: hanzi-writer-data's JSON files, and characters
drawn by hand in Tegaki's XML, one file a character (``tegaki-lab/data/train/tomoe-ja-kanji/s1`` of
the Tegaki project's repository: 6,356 characters drawn for Tomoe, LGPL 2.1). Writes
``data/proportions/proportions.npz``, from which all simulated writing follows: rebuild the archive
and all artefacts after it (``make data``, ``make train``).
"""

from __future__ import annotations

import argparse
import gzip
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

from course.store.files import write_whole

import numpy as np
import torch
from skimage.graph import MCP
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from tools.handwriting.proportions import HEADS, LAYERS, NODES, PROPORTIONS, SCALE, STEP, at_nodes, features
from tools.handwriting.strokes import printed_template, read_medians
from tools.handwriting.template import between, distances

SAMPLES = 48  # points of a stroke that are aligned
OTHER_FORM = 95.0  # a mean shift beyond this means another form of the character
HELD_OUT = 20  # one in so many characters is kept from the fit, to measure it


class Pair(NamedTuple):
    """A printed character beside the same one drawn by hand."""

    character: str
    seen: np.ndarray  # (S, F) float32, what the network sees
    shifts: np.ndarray  # (S, 5, 2) float32, stroke-data units


def read_drawn(path: Path) -> tuple[str, list[np.ndarray]]:
    """A character drawn by hand and its strokes, (k, 2) float64, y down, from Tegaki's XML."""
    content = path.read_bytes()
    root = ElementTree.fromstring(gzip.decompress(content) if path.suffix == ".gz" else content)
    strokes = [[(at.get("x"), at.get("y")) for at in each.iter("point")] for each in root.iter("stroke")]
    return root.findtext("utf8"), [np.array(points, float) for points in strokes]


def _even(points: np.ndarray) -> np.ndarray:
    """(48, 2) points at equal distances along a stroke."""
    travelled = np.concatenate([[0], np.cumsum(distances(points))])
    return between(np.linspace(0.0, travelled[-1], SAMPLES), travelled, points)


def _shape(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places within the stroke's own box, and directions."""
    size = np.ptp(points, axis=0).max() + 1e-6
    place = (points - 0.5 * (points.max(axis=0) + points.min(axis=0))) / size
    heading = np.gradient(points, axis=0)
    return place, heading / (np.hypot(*heading.T)[:, None] + 1e-6)


def align(printed: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Where each point of a printed stroke went when the stroke was drawn.

    Dynamic time warping (Sakoe and Chiba 1978) on place, direction and progress, so that corners
    meet corners. Both are (48, 2), and so is the result; ends meet ends.
    """
    (place, heading), (place2, heading2) = _shape(printed), _shape(drawn)
    progress = np.linspace(0.0, 1.0, SAMPLES)
    cost = ((place[:, None] - place2) ** 2).sum(axis=2)
    cost += 0.12 * (1.0 - (heading[:, None] * heading2).sum(axis=2))
    cost += 0.3 * (progress[:, None] - progress) ** 2
    paths = MCP(np.maximum(cost, 0.0), offsets=[(1, 1), (1, 0), (0, 1)])  # what is below 0 bars the way
    paths.find_costs([(0, 0)])
    step, met = np.array(paths.traceback((SAMPLES - 1, SAMPLES - 1)))[::-1].T
    result = np.array([drawn[met[step == i]].mean(axis=0) for i in range(SAMPLES)])
    result[0], result[-1] = drawn[0], drawn[-1]
    return result


def make_pair(character: str, drawn: list[np.ndarray], factor: float, printed: Path) -> Pair | None:
    """The pair of a character, or None where ``printed``, the folder, has it otherwise or not at all.

    ``factor`` leads from the units of the drawn strokes to stroke-data units.
    """
    source = printed / f"{character}.json"
    if not source.exists():
        return None
    template = printed_template(character, read_medians(source))
    if template.strokes != len(drawn):
        return None
    outline = np.concatenate(drawn)
    middle = 0.5 * (outline.min(axis=0) + outline.max(axis=0))
    shares, places = at_nodes(template)
    progress = np.linspace(0.0, 1.0, SAMPLES)
    shifts = np.empty_like(places)
    for s, (start, stop) in enumerate(zip(template.first, template.last + 1)):
        there = align(_even(template.points[start:stop]), _even((drawn[s] - middle) * factor))
        shifts[s] = between(shares[s], progress, there) - places[s]
    if np.abs(shifts).mean() > OTHER_FORM:
        return None
    return Pair(character, features(template, places), shifts.astype(np.float32))


def make_pairs(drawn: Path, printed: Path) -> list[Pair]:
    """All pairs of drawn (*.xml, *.xml.gz) and printed (*.json) characters, in order of their code points."""
    characters = dict(map(read_drawn, sorted([*drawn.glob("*.xml"), *drawn.glob("*.xml.gz")])))
    heights = [np.ptp(np.concatenate(strokes)[:, 1]) for strokes in characters.values()]
    factor = 800.0 / float(np.median(heights))  # both medians are then alike
    found = [make_pair(c, characters[c], factor, printed) for c in tqdm(sorted(characters), "Pairing")]
    return [pair for pair in found if pair]


class Network(nn.Module):
    """Strokes (N, S, F) to the shifts of their nodes (N, S, 10), in units of 400."""

    def __init__(self, seen: int, wide: int = 48) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            wide, HEADS, 2 * wide, dropout=0.1, activation="relu", batch_first=True, norm_first=True
        )
        self.enter = nn.Linear(seen, wide)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(wide)
        self.leave = nn.Linear(wide, 2 * NODES)

    def forward(self, seen: torch.Tensor, absent: torch.Tensor) -> torch.Tensor:
        """``absent`` (N, S) marks where a character has fewer strokes than the longest."""
        inside = self.layers(self.enter(seen), src_key_padding_mask=absent)
        return self.leave(self.norm(inside))


def _batch(pairs: list[Pair]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    shifts = [torch.from_numpy(pair.shifts.reshape(len(pair.seen), -1) / SCALE) for pair in pairs]
    present = [torch.ones(len(pair.seen), dtype=torch.bool) for pair in pairs]
    columns = ([torch.from_numpy(pair.seen) for pair in pairs], shifts, present)
    seen, shifts, present = (pad_sequence(column, batch_first=True) for column in columns)
    return seen, shifts, ~present


def fit(pairs: list[Pair], epochs: int = 40, size: int = 64) -> Network:
    """Fit the network to pairs; Huber loss, AdamW, one cycle of the learning rate."""
    torch.manual_seed(1)
    network = Network(pairs[0].seen.shape[1])
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    batches = -(-len(pairs) // size)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=epochs * batches)
    for _ in tqdm(range(epochs), desc="Fitting"):
        for rows in torch.randperm(len(pairs)).split(size):
            seen, shifts, absent = _batch([pairs[row] for row in rows])
            loss = nn.functional.huber_loss(network(seen, absent)[~absent], shifts[~absent], delta=0.15)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
    return network.eval()


def deviation(network: Network | None, pairs: list[Pair]) -> float:
    """Root mean square of what is left of the shifts, stroke-data units; of all without network."""
    seen, shifts, absent = _batch(pairs)
    with torch.no_grad():
        rest = shifts if network is None else shifts - network(seen, absent)
    return float(rest[~absent].square().mean().sqrt()) * SCALE


def packed(pairs: list[Pair], network: Network) -> bytes:
    """The content of ``proportions.npz``."""
    shifts = np.concatenate([pair.shifts for pair in pairs])
    file = io.BytesIO()
    np.savez_compressed(
        file,
        characters=np.array("".join(pair.character for pair in pairs)),
        strokes=np.array([len(pair.seen) for pair in pairs], np.uint8),
        shifts=np.clip(np.round(shifts / STEP), -127, 127).astype(np.int8),
        **{name: values.numpy().astype(np.float16) for name, values in network.state_dict().items()},
    )
    return file.getvalue()


def main(arguments: list[str] | None = None) -> None:
    """Fit what the command line names, and say how good it is."""
    parser = argparse.ArgumentParser(description="Fit where hands place strokes, from drawn characters.")
    parser.add_argument("--drawn", type=Path, required=True, help="folder of Tegaki's .xml or .xml.gz")
    parser.add_argument("--strokes", type=Path, required=True, help="folder of hanzi-writer-data JSON files")
    parser.add_argument("--out", type=Path, default=PROPORTIONS, help="file to write (%(default)s)")
    choices = parser.parse_args(arguments)
    pairs = make_pairs(choices.drawn, choices.strokes)
    if not pairs:
        parser.error(f"no character in {choices.drawn} has stroke data in {choices.strokes}")
    held_out = pairs[::HELD_OUT]
    network = fit([pair for i, pair in enumerate(pairs) if i % HELD_OUT])
    write_whole(choices.out, packed(pairs, network))
    from_print, from_network = (f"{deviation(each, held_out):.1f}" for each in (None, network))
    print(f"{choices.out}: {len(pairs):,} characters; on {len(held_out)} kept from the fit, hands differ")
    print(f"from print by {from_print} units, from the network's prediction by {from_network}")


if __name__ == "__main__":
    main()
