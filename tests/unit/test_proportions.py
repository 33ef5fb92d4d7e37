"""Where hands place strokes: the pairs, the network in numpy, and what it does to characters."""

import dataclasses

import numpy as np
import pytest
import torch

from tools.handwriting import fit_proportions, person, proportions
from tools.handwriting.strokes import STROKES, load_template, printed_template, read_medians
from tools.handwriting.writers import write

SHIPPED = sorted(path.stem for path in STROKES.glob("*.json"))


@pytest.fixture
def other_file(monkeypatch):
    """Reads proportions from another file for the length of a test."""

    def use(path):
        monkeypatch.setattr(proportions, "PROPORTIONS", path)
        proportions._stored.cache_clear()
        load_template.cache_clear()

    yield use
    monkeypatch.undo()
    proportions._stored.cache_clear()
    load_template.cache_clear()


def drawn_xml(character, strokes) -> str:
    lines = "".join(
        "<stroke>" + "".join(f'<point x="{x:.1f}" y="{y:.1f}" />' for x, y in stroke) + "</stroke>"
        for stroke in strokes
    )
    return f'<?xml version="1.0"?><character><utf8>{character}</utf8><strokes>{lines}</strokes></character>'


def squeezed(character, wide):
    """The shipped strokes of a character, y down, narrower by a factor."""
    template = printed_template(character, read_medians(STROKES / f"{character}.json"))
    return [template.points[a:b] * [wide, 1.0] for a, b in zip(template.first, template.last + 1)]


@pytest.mark.parametrize(
    "corners, expected",
    [
        ([], [0, 0.25, 0.5, 0.75, 1]),
        ([0.4], [0, 0.2, 0.4, 0.7, 1]),
        ([0.2, 0.6], [0, 0.2, 0.4, 0.6, 1]),
        ([0.2, 0.4, 0.8], [0, 0.2, 0.4, 0.8, 1]),
        ([0.2, 0.4, 0.6, 0.8], [0, 0.2, 0.6, 0.8, 1]),
    ],
)
def test_nodes_are_the_ends_and_the_corners(corners, expected):
    along = np.linspace(0, 1, 11)
    corner = np.isin(along.round(6), corners)
    assert proportions.nodes(along, corner) == pytest.approx(expected)


def test_numpy_computes_what_pytorch_computes():
    torch.manual_seed(3)
    template = load_template("国")
    _, places = proportions.at_nodes(template)
    seen = proportions.features(template, places)
    network = fit_proportions.Network(seen.shape[1]).eval()
    weights = {name: value.numpy().astype(np.float64) for name, value in network.state_dict().items()}
    with torch.no_grad():
        expected = network(torch.from_numpy(seen)[None], torch.zeros(1, len(seen), dtype=torch.bool))[
            0
        ].numpy()
    found = proportions.network(seen, weights)
    assert found.shape == (8, 5, 2) and np.abs(found).max() > 10
    assert found.reshape(8, 10) == pytest.approx(expected * proportions.SCALE, abs=0.01)


@pytest.mark.parametrize("character", SHIPPED)
def test_hands_move_every_shipped_character_a_little(character):
    shift = load_template(character).by_hand
    assert np.isfinite(shift).all() and np.abs(shift).max() <= proportions.LIMIT
    assert 5 < np.abs(shift).mean() < 120


def test_a_drawn_character_gets_its_own_shift_and_others_the_prediction(monkeypatch):
    drawn, _ = proportions._stored()
    some = next(c for c in SHIPPED if c in drawn)
    template = load_template(some)
    shares, _ = proportions.at_nodes(template)
    along = template.along[template.first[0] : template.last[0] + 1]
    for node, share in enumerate(shares[0]):
        if (at := np.flatnonzero(np.abs(along - share) < 1e-9)).size:
            assert template.by_hand[template.first[0] + at[0]] == pytest.approx(
                np.clip(drawn[some][0, node] * proportions.STEP, -260, 260)
            )

    def fail(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(proportions, "network", fail)
    medians = read_medians(STROKES / f"{some}.json")
    proportions.shift_by_hand(printed_template(some, medians))
    with pytest.raises(AssertionError, match="was asked"):  # the same character with other strokes
        proportions.shift_by_hand(printed_template(some, medians[:-1]))
    with pytest.raises(AssertionError, match="was asked"):
        proportions.shift_by_hand(printed_template("\N{HIRAGANA LETTER A}", medians))


def test_the_network_predicts_drawn_characters_better_than_print_does():
    """On what is shipped; how it does on characters kept from the fit is printed by the fit."""
    drawn, weights = proportions._stored()
    left, whole = [], []
    for character in SHIPPED:
        template = load_template(character)
        _, places = proportions.at_nodes(template)
        if character not in drawn or drawn[character].shape != places.shape:
            continue
        true = drawn[character] * proportions.STEP
        found = proportions.network(proportions.features(template, places), weights)
        left.append(((true - found) ** 2).mean())
        whole.append((true**2).mean())
    assert len(left) > 30 and np.mean(left) < 0.8 * np.mean(whole)


def test_a_writer_leans_to_print_or_to_what_hands_share():
    """Halfway between, a character has the mean of both proportions."""
    template, who = load_template("国"), person(5, "Train", 3).hand
    traces = [
        write(
            template,
            dataclasses.replace(who, by_hand=share, fluency=0.0, tremor=0.0),
            np.random.default_rng(1),
        ).points
        for share in (0.0, 0.5, 1.0)
    ]
    sizes = np.array([np.ptp(points, axis=0) for points in traces])
    assert np.abs(sizes[2] - sizes[0]).max() > 5
    assert sizes[1] == pytest.approx((sizes[0] + sizes[2]) / 2, abs=12)
    hands = [person(5, "Train", number).hand.by_hand for number in range(1, 200)]
    assert min(hands) < 0.1 and max(hands) > 1.0 and 0.4 < np.mean(hands) < 0.8


def test_corners_meet_corners():
    """A bend drawn with a shorter first half still meets the printed bend at its corner."""
    printed = fit_proportions._even(np.array([[0, 0], [300, 0], [300, 300]], float))
    drawn = fit_proportions._even(np.array([[0, 0], [150, 0], [150, 330]], float))
    there = fit_proportions.align(printed, drawn)
    corner = np.argmin(np.hypot(*(printed - [300, 0]).T))
    assert there[corner] == pytest.approx([150, 0], abs=25)
    assert np.array_equal(there[[0, -1]], drawn[[0, -1]])


def test_a_pair_holds_how_far_each_node_was_moved():
    """Drawn half as large and narrower by a fifth: every node goes a fifth of its way to the middle."""
    pair = fit_proportions.make_pair("国", [0.5 * s for s in squeezed("国", 0.8)], 2.0, STROKES)
    _, places = proportions.at_nodes(load_template("国"))
    assert pair.shifts == pytest.approx(places * [-0.2, 0.0], abs=15)
    assert fit_proportions.make_pair("国", squeezed("口", 1.0), 1.0, STROKES) is None  # other strokes
    assert fit_proportions.make_pair("あ", squeezed("口", 1.0), 1.0, STROKES) is None  # not in print


def test_folders_without_a_pair_are_explained(tmp_path, capsys):
    (tmp_path / "1.xml").write_text(drawn_xml("人", squeezed("人", 1.0)), encoding="utf-8")
    out = tmp_path / "proportions.npz"
    with pytest.raises(SystemExit):
        fit_proportions.main(["--drawn", str(tmp_path), "--strokes", str(tmp_path), "--out", str(out)])
    assert "has stroke data in" in capsys.readouterr().err and not out.exists()


def test_missing_proportions_are_named(tmp_path, other_file):
    other_file(tmp_path / "proportions.npz")
    with pytest.raises(FileNotFoundError, match="proportions.npz"):
        load_template("人")
