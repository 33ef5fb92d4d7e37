"""Simulated handwriting of people who are not in the shipped archive is as close to real scans."""

from course.characters import CHARACTERS

import pytest

from tools.handwriting import compare, image_of, load_template, person


@pytest.mark.parametrize("scan", sorted(compare.REAL))
def test_statistics_agree_with_real_scans(scan):
    """As many writers as in the shipped set, other people; half as many images, so 25 %.

    Stroke widths jump between 2.83 and 4 pixels, 23 % of the real HWDB1.1 span and 27 % of the
    course's: a percentile that stands on the next step is off by a whole one. With 60 writers
    chance decides that. The shipped set is held to 15 % below.
    """
    images = (
        image_of(person(11, "Train", number), load_template(character), scan)
        for number in range(1, 151)
        for character in CHARACTERS[number % 2 :: 2]
    )
    table = compare.compare(images, scan)
    worst = table.xs("difference", level=1).loc[compare.BOUND].abs().max(axis=1)
    assert worst.max() < 25.0, worst
