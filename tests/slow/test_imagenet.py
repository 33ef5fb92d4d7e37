"""The largest of lecture 7's networks of Keras."""

from tests.unit.test_imagenet import runs_from_the_cache


def test_inception_v3_runs_from_the_cache(tmp_path, monkeypatch, capsys) -> None:
    runs_from_the_cache(tmp_path, monkeypatch, capsys, "inception_v3", "InceptionV3", 299)
