"""Photos of the handwriting sheet under every condition that the benchmark knows, and every way up."""

import pytest

from tests.unit.test_sheet import check_photo, check_turned, first, readings, second, simulation  # noqa: F401


# Of the hardest the benchmark says how many photos are read; some are not.
@pytest.mark.parametrize("name", sorted({*simulation.CONDITIONS} - {"small photo, partial blur"}))
def test_boxes_are_cut_in_simulated_photos(name):
    check_photo(name)


@pytest.mark.parametrize("turns", [2, 3])
def test_any_orientation_is_found(first, readings, turns):  # noqa: F811
    check_turned(first, readings, turns)
