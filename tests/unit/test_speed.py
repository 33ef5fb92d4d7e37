"""Convolutions in another memory order: the lecture's layers; tests/slow tries every other kind."""

import course  # noqa: F401
from course import speed

import pytest

from tests.slow.test_fast_convolutions import test_fast_convolutions_change_no_result as same_numbers


def test_fast_convolutions_change_no_result_of_the_lectures_layers():
    same_numbers("as in the lecture")


def test_unknown_version_of_keras_is_only_slower(monkeypatch):
    from keras.src.backend.torch import nn

    monkeypatch.delattr(nn, "_transpose_spatial_inputs")
    with pytest.warns(UserWarning, match="not faster"), speed.fast_convolutions():
        pass
