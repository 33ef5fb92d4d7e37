"""The PDFs of the lectures that tests/site/test_handouts.py leaves out."""

from __future__ import annotations

import pytest

from tests.site.test_handouts import SAMPLE, check_hand_outs
from tests.site.test_site import LECTURES


@pytest.mark.parametrize("lecture", [each for each in LECTURES if each not in SAMPLE])
def test_hand_outs_of_a_lecture(browser, site, lecture) -> None:
    check_hand_outs(browser, site, lecture)
