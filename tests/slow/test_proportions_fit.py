"""Fitting where hands place strokes, from drawings that these tests make."""

import gzip

import numpy as np
import pytest

from tests.unit.test_proportions import SHIPPED, drawn_xml, other_file, squeezed  # noqa: F401
from tools.handwriting import fit_proportions
from tools.handwriting.strokes import STROKES, load_template


def test_a_fit_learns_what_the_drawings_share(tmp_path, capsys, other_file):  # noqa: F811
    """Drawings that are all narrower by a fifth: the network writes others narrower as well."""
    folder = tmp_path / "手 写"
    folder.mkdir()
    for number, character in enumerate(SHIPPED[:45]):
        text = drawn_xml(character, squeezed(character, 0.8))
        if number % 2:
            (folder / f"{ord(character)}.xml").write_text(text, encoding="utf-8")
        else:
            (folder / f"{ord(character)}.xml.gz").write_bytes(gzip.compress(text.encode()))
    out = tmp_path / "proportions.npz"
    fit_proportions.main(["--drawn", str(folder), "--strokes", str(STROKES), "--out", str(out)])
    assert "45 characters" in capsys.readouterr().out
    pairs = fit_proportions.make_pairs(folder, STROKES)
    network = fit_proportions.fit(pairs, size=4)  # as many steps as a full set has
    assert fit_proportions.deviation(network, pairs) < 0.5 * fit_proportions.deviation(None, pairs)
    out.write_bytes(fit_proportions.packed(pairs, network))
    other_file(out)
    narrower = {}
    for character in SHIPPED:
        template = load_template(character)
        before = np.ptp(template.points, axis=0)
        after = np.ptp(template.points + template.by_hand, axis=0)  # drawings are scaled as one
        narrower[character] = (after[0] / after[1]) / (before[0] / before[1])
    drawn, unseen = SHIPPED[:45], SHIPPED[45:]
    assert [narrower[c] for c in drawn] == pytest.approx([0.8] * 45, abs=0.05)
    # Of ten that nobody drew, at least half of the way on average, from so few examples.
    assert np.mean([narrower[c] for c in unseen]) < 0.9
