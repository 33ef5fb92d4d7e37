"""The one store behind all doors: what is stored is loaded, refused by name, made again, never lost."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import course  # noqa: F401
from course.models import feature_patterns
from course.models.fitting import fit_or_load
from course.models.searches import Data, Search, search_or_load, trials_table
from course.results import compute_or_load
from course.store import artefacts, files
from course.store.artefacts import ArtefactError, ArtefactWarning, load_or_make

import keras
import keras_tuner
import numpy as np
import pytest

SETTINGS = ("COURSE_STRICT", "COURSE_REFIT", "COURSE_DATA", "COURSE_NOTEBOOK", "COURSE_THREADS")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

# --- the doors: each takes one ingredient, returns arrays or numbers, and counts how often it makes ------

made: list[str] = []
X = np.random.default_rng(0).integers(0, 256, (12, 12, 10, 1)).astype("uint8")
Y = np.arange(12) % 3


def build():
    made.append("fit")
    conv = keras.layers.Conv2D(2, 3, padding="same")
    model = keras.Sequential([keras.Input((12, 10, 1)), conv, keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def by_fit(epochs=1, name="cnn"):
    model, history = fit_or_load(name, build, X, Y, seed=1, epochs=epochs, batch_size=6)
    return [*model.get_weights(), history.history["loss"]]


def table(x, rate):
    made.append("compute")
    return {"scores": x * rate, "n": len(x)}


def by_compute(rate=1):
    found = compute_or_load("scores", table, {"x": np.arange(3.0), "rate": rate})
    return [found["scores"], found["n"]]


def data():
    return Data(X[:8, 0, :, 0] / 255, Y[:8] * 1.0, X[8:, 0, :, 0] / 255, Y[8:] * 1.0)


def build_searched(hp):
    made.append("search")
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


def by_search(seed=1):
    tuner = search_or_load(
        Search("tiny", keras_tuner.RandomSearch, build_searched, data, "val_loss", 1, seed, 1, 4)
    )
    return [trials_table(tuner).to_numpy(float), *tuner.get_best_models(1)[0].get_weights()]


def by_patterns(price=0.02):
    by_fit(name="shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_patterns, "INK_PRICE", price)
        patch.setattr(feature_patterns, "STEPS", 2)
        found = feature_patterns.feature_patterns("shown")
    assert list(found) == ["conv 1", "classes"]
    return [part for pair in found.values() for part in pair]


def by_hand(number=1):
    def make(folder: Path) -> dict:
        made.append("hand")
        (folder / "deep" / "er").mkdir(parents=True)
        for each in ("by_hand.txt", "deep/er/a", f"deep/only_{number}"):
            (folder / each).write_text(f"{each} {number}", encoding="utf-8")
        return {"note": number}

    def load(folder: Path, entry: dict) -> list[int]:
        assert entry["note"] == number
        return [int((folder / "by_hand.txt").read_text(encoding="utf-8").split()[-1])]

    return load_or_make("by_hand", {"number": number}, make, load)


@dataclasses.dataclass
class Door:
    call: callable
    name: str
    other: object  # another value of the ingredient
    words: str  # how the reason names the change

    def same(self, one, another) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(one, another, strict=True))


DOORS = {
    "fit": Door(by_fit, "cnn", 2, "epochs: 1 → 2"),
    "compute": Door(by_compute, "scores", 2, "argument rate: 1 → 2"),
    "search": Door(by_search, "tiny", 2, "seed: 1 → 2"),
    "patterns": Door(by_patterns, "feature_patterns", 0.5, "INK_PRICE changed"),
    "hand": Door(by_hand, "by_hand", 2, "number: 1 → 2"),
}


@pytest.fixture(params=DOORS)
def door(request):
    return DOORS[request.param]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache 中文"
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(folder))
    monkeypatch.setenv("COURSE_THREADS", "1")
    monkeypatch.setattr(artefacts, "_made", set())
    made.clear()
    return folder


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """All doors' artefacts in one cache."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as settings:
        for variable in SETTINGS:
            settings.delenv(variable, raising=False)
        settings.setenv("COURSE_CACHE", str(folder))
        settings.setenv("COURSE_THREADS", "1")
        results = {key: each.call() for key, each in DOORS.items()}
    return folder, results


@pytest.fixture
def stored(cache, made_once):
    shutil.copytree(made_once[0], cache)
    return cache


def contents(folder):
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def files_of(door, folder):
    return list(artefacts.read_manifest(folder)["artefacts"][door.name]["files"])


def making(capsys) -> str:
    """What was said of making, or an empty string if nothing was made."""
    return "".join(line for line in capsys.readouterr().err.splitlines() if line.startswith("Making"))


@pytest.fixture
def refused(monkeypatch):
    """The reasons of strict mode, which writes nothing."""

    def refuse(door, *arguments) -> str:
        before = contents(artefacts.cache_folder())
        with monkeypatch.context() as strict:
            strict.setenv("COURSE_STRICT", "1")
            with pytest.raises(ArtefactError, match="COURSE_STRICT is set") as caught:
                door.call(*arguments)
        assert contents(artefacts.cache_folder()) == before
        assert "make train" in str(caught.value)
        return str(caught.value)

    return refuse


# --- a match, and none -----------------------------------------------------------------------------------


def test_what_is_stored_is_loaded_and_nothing_is_written_or_said(door, stored, made_once, capfd) -> None:
    before = contents(stored)
    capfd.readouterr()
    key = next(key for key, each in DOORS.items() if each is door)
    assert door.same(door.call(), made_once[1][key])
    assert contents(stored) == before and capfd.readouterr().err == ""
    entries = artefacts.read_manifest(stored)["artefacts"].values()
    recorded = {name for each in entries for name in each["files"]}
    assert set(before) == {"manifest.json", *recorded}, "nothing else is left behind"


def test_strict_without_anything_stored_makes_nothing(door, cache, refused) -> None:
    if door.name == "feature_patterns":
        by_fit(name="shown")
    made.clear()
    assert "no stored artefact of this name" in refused(door)
    assert not {"compute", "hand"} & {*made}


def test_a_change_is_named_refused_and_made_again(door, stored, refused, capsys) -> None:
    message = refused(door, door.other)
    assert door.words in message and message.count("\n  - ") == 1
    capsys.readouterr()
    first = door.call(door.other)
    assert door.words in making(capsys)
    assert door.same(door.call(door.other), first) and making(capsys) == ""
    for each in DOORS.values():
        if each is not door:
            each.call()
    assert making(capsys) == ""


def test_patterns_belong_to_their_model(stored, refused) -> None:
    by_fit(name="shown", epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "by_fit", lambda name: None)
        assert "model" in refused(DOORS["patterns"])


def test_what_the_new_one_does_not_have_is_gone(stored) -> None:
    by_hand(2)
    assert (stored / "deep" / "only_2").is_file() and not (stored / "deep" / "only_1").exists()


# --- damage ----------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage, words", [(truncate, "damaged"), (swap_byte, "damaged"), (Path.unlink, "is missing")]
)
def test_each_damaged_file_is_named(door, stored, refused, damage, words) -> None:
    for name in files_of(door, stored):
        kept = (stored / name).read_bytes()
        damage(stored / name)
        message = refused(door)
        assert name in message and words in message
        (stored / name).write_bytes(kept)


def test_damage_is_mended(door, stored, capsys) -> None:
    truncate(stored / files_of(door, stored)[0])
    capsys.readouterr()
    first = door.call()
    assert "damaged" in making(capsys)
    assert door.same(door.call(), first) and making(capsys) == ""


@pytest.mark.parametrize("content", ["{", "{}", "[1]", '{"format": 1}', "null"])
def test_a_damaged_manifest_is_named_and_kept_aside(stored, refused, capsys, content) -> None:
    (stored / "manifest.json").write_text(content, encoding="utf-8")
    assert "manifest.json is damaged" in refused(DOORS["hand"])
    assert by_hand() == [1]
    assert "manifest.json is damaged" in making(capsys)
    assert (stored / "manifest.json.damaged").read_text(encoding="utf-8") == content
    assert list(artefacts.read_manifest(stored)["artefacts"]) == ["by_hand"]


def change_manifest(folder, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(manifest["artefacts"])
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_a_file_that_cannot_be_read_is_named(door, stored, refused) -> None:
    """The right SHA-256, but not what the reader expects: a pickle, say."""
    for name in files_of(door, stored):
        (stored / name).write_bytes(b"\x80\x04no model, no archive, no table")
        record = artefacts._recorded(stored / name)
        change_manifest(stored, lambda all: all[door.name]["files"].update({name: record}))
    if door.name != "tiny":  # KerasTuner reads its own files
        assert "cannot be loaded" in refused(door)


def test_pickles_are_not_loaded(stored, refused) -> None:
    np.savez(stored / "scores.npz", scores=np.array([{"a": 1}], dtype=object))
    record = artefacts._recorded(stored / "scores.npz")
    change_manifest(stored, lambda all: all["scores"]["files"].update({"scores.npz": record}))
    assert "scores.npz cannot be loaded" in refused(DOORS["compute"])


# --- nothing is lost -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full disk", "interruption"])
def test_a_failure_at_any_step_of_storing_leaves_all_as_it_was(stored, error) -> None:
    before = contents(stored)
    reached = number = 0
    while number == reached:
        number += 1
        reached = 0

        def step(function):
            def wrapped(*arguments, **options):
                nonlocal reached
                target = arguments[1] if len(arguments) > 1 else options.get("dir", "")
                if stored in Path(target).parents or stored == Path(target):
                    reached += 1
                    if reached == number:
                        raise error
                return function(*arguments, **options)

            return wrapped

        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            patch.setattr(os, "replace", step(os.replace))
            patch.setattr(shutil, "copytree", step(shutil.copytree))
            patch.setattr(tempfile, "mkdtemp", step(tempfile.mkdtemp))
            patch.setattr(tempfile, "mkstemp", step(tempfile.mkstemp))
            with contextlib.suppress(KeyboardInterrupt):
                assert by_hand(2) == [2], "what was made is shown, stored or not"
        if reached >= number:
            assert contents(stored) == before, f"step {number}"
            if error is FULL:
                assert "could not be stored" in str(said[0].message)
            number = reached = number
    assert number > 8 and contents(stored) != before


def test_a_full_disk_is_survived(door, stored, monkeypatch) -> None:
    before = contents(stored)

    def full(*_, **__):
        raise FULL

    monkeypatch.setattr(files, "move_together", full)
    with pytest.warns(ArtefactWarning, match="No space left on device"):
        door.call(door.other)
    assert contents(stored) == before
    monkeypatch.setenv("COURSE_REFIT", "1")
    monkeypatch.setattr(artefacts, "_made", set())
    with pytest.raises(ArtefactError, match="No space left on device"):
        door.call(door.other)
    assert contents(stored) == before


def test_an_error_of_what_makes_it_is_not_mistaken_for_a_full_disk(stored) -> None:
    before = contents(stored)

    def make(folder: Path) -> dict:
        (folder / "half").write_text("half", encoding="utf-8")
        raise FileNotFoundError("claims.csv")

    with pytest.raises(FileNotFoundError, match=r"^claims\.csv$"):
        load_or_make("by_hand", {"number": 2}, make, lambda folder, entry: None)
    assert contents(stored) == before


INTERRUPTED = {
    "fit": (keras.Model, "fit"),
    "compute": (sys.modules[__name__], "table"),
    "search": (keras_tuner.RandomSearch, "search"),
    "patterns": (feature_patterns, "activation_maximisation"),
}


@pytest.mark.parametrize("key", INTERRUPTED)
def test_an_interruption_while_making_leaves_all_as_it_was(stored, monkeypatch, capsys, key) -> None:
    before = contents(stored)

    def table(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(*INTERRUPTED[key], table)
    with pytest.raises(KeyboardInterrupt):
        DOORS[key].call(DOORS[key].other)
    assert "what was stored before is unchanged" in capsys.readouterr().err
    assert contents(stored) == before


def is_readable(path) -> bool:
    try:
        return bool(Path(path).read_bytes())
    except OSError:
        return False


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="folder permissions of POSIX systems")
def test_a_cache_that_can_only_be_read(door, made_once, monkeypatch, capsys) -> None:
    with tempfile.TemporaryDirectory() as outer, contextlib.ExitStack() as stack:
        folder = shutil.copytree(made_once[0], Path(outer, "cache"))
        monkeypatch.setenv("COURSE_CACHE", str(folder))
        before = contents(folder)
        os.chmod(outer, 0o755)
        for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            each.chmod(0o555)
            stack.callback(each.chmod, 0o755)
        if os.geteuid() == 0:  # nothing is read-only for root, so the calls run as "nobody"
            os.seteuid(65534)
            stack.callback(os.seteuid, 0)
        if not (os.access(os.path.relpath(folder), os.R_OK, effective_ids=True) and is_readable(__file__)):
            pytest.skip("the checkout lies where this user may not read")
        capsys.readouterr()
        door.call()
        assert making(capsys) == "", "loading needs no writing"
        with pytest.warns(ArtefactWarning, match="cannot be written.*denied"):
            changed = door.call(door.other)
        assert not door.same(changed, made_once[1][next(k for k, each in DOORS.items() if each is door)])
        monkeypatch.setenv("COURSE_REFIT", "1")
        with pytest.raises(ArtefactError, match="cannot be written"):
            door.call()
        assert contents(folder) == before


def test_a_cache_that_cannot_be_a_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(ArtefactWarning, match="cannot be written.*can be made, but not stored"):
        assert by_hand() == [1]
    assert artefacts.artefact_entry("by_hand")["note"] == 1


# --- settings --------------------------------------------------------------------------------------------


def test_refit_makes_anew_once_a_process_even_if_strict(door, stored, monkeypatch, capsys) -> None:
    before = contents(stored)
    monkeypatch.setenv("COURSE_REFIT", "1")
    monkeypatch.setenv("COURSE_STRICT", "1")
    capsys.readouterr()
    door.call()
    assert f"Making '{door.name}': COURSE_REFIT is set." in making(capsys)
    assert set(contents(stored)) == set(before)
    door.call()
    assert making(capsys) == ""


def test_own_data_leave_what_is_shipped_alone(door, stored, tmp_path, monkeypatch, capsys, refused) -> None:
    shipped = contents(stored)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    capsys.readouterr()
    door.call()
    assert making(capsys) == "", "what is shipped fits"
    assert "own-data" in refused(door, door.other)
    first = door.call(door.other)
    assert door.same(door.call(door.other), first)
    assert making(capsys).count("Making") == 1
    after = contents(stored)
    own = {name for name in after if name.startswith("own-data/")}
    assert own and {name: after[name] for name in after if name not in own} == shipped
    monkeypatch.delenv("COURSE_DATA")
    door.call()
    assert making(capsys) == "", "switching back needs no refit"


def test_what_is_found_asks_for_no_setting_of_own_data(door, stored, monkeypatch) -> None:
    # A page that shows it need not run again when such a setting changes.
    monkeypatch.setattr(artefacts, "own_data", lambda: pytest.fail("nobody needs to know"))
    door.call()


def test_two_sets_of_own_data_have_two_folders(cache, monkeypatch) -> None:
    monkeypatch.setenv("COURSE_NOTEBOOK", "mine")
    for values in (np.arange(3.0), np.arange(4.0)):
        compute_or_load("scores", table, {"x": values, "rate": 1})
    assert len(list((cache / "own-data").iterdir())) == 2
    assert artefacts.artefact_entry("scores")["recipe"]["argument x"]["array"] == "float64 4"


# --- names and arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil", "No name", "", "a/b", "manifest.json", "a-b"])
def test_a_name_that_cannot_be_a_files_is_refused(name) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        compute_or_load(name, table, {"x": np.arange(3.0), "rate": 1})


def test_a_result_may_be_called_manifest(cache) -> None:
    for _ in range(2):
        assert compute_or_load("manifest", table, {"x": np.arange(3.0), "rate": 1})["n"] == 3
    assert made == ["compute"]


def test_an_unknown_artefact_is_named(stored) -> None:
    with pytest.raises(ArtefactError, match="'nobody'.*known: by_hand, cnn"):
        artefacts.artefact_entry("nobody")


def test_what_is_no_ingredient_or_no_result_is_refused(cache) -> None:
    with pytest.raises(TypeError, match="a set cannot be part of a recipe"):
        compute_or_load("scores", table, {"x": {1}, "rate": 1})
    with pytest.raises(TypeError, match="Python objects or a mask under 'a'"):
        compute_or_load("scores", lambda: {"a": [object()]})
    with pytest.raises(TypeError, match="made of functions"):
        compute_or_load("scores", "table")
    assert not (cache / "manifest.json").exists()


ARGUMENTS = {"x": np.arange(3.0), "rate": 0.5, "more": {"a": [1, None], "b": np.float32(1)}}


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(rate=0.25), "argument rate: 0.5 → 0.25"),
        (dict(rate=0.5000000001), "argument rate: 0.5 → 0.5000000001"),
        (dict(x=np.array([0.0, 1.0, 9.0])), "argument x: sha256 changed"),
        (dict(x=np.arange(4.0)), "float64 3 → float64 4"),
        (dict(x=np.arange(3, dtype="float32")), "float64 3 → float32 3"),
        (dict(more={"a": [1, 2], "b": np.float32(1)}), "argument more: a [1, none] → [1, 2]"),
        (dict(more={"a": [1, None], "b": np.float32(1.0000001)}), "argument more: b sha256 changed"),
        (dict(extra=0), "argument extra: none → 0"),
    ],
)
def test_each_argument_is_an_ingredient(refused, change, words) -> None:
    def call(arguments):
        return compute_or_load("arguments", lambda **given: {"n": len(given)}, arguments)

    door = Door(call, "arguments", None, "")
    call(ARGUMENTS)
    assert words in refused(door, {**ARGUMENTS, **change})


def test_not_a_number_is_the_same_again_and_true_is_not_one(cache, refused) -> None:
    def call(value):
        made.append("value")
        return compute_or_load("value", lambda value: {"n": 1}, {"value": value})

    call(float("nan"))
    door = Door(call, "value", None, "")
    with pytest.MonkeyPatch.context() as strict:
        strict.setenv("COURSE_STRICT", "1")
        call(float("nan"))
    call(1)
    assert "1 → true" in refused(door, True) and "1 → 1.0" in refused(door, 1.0)


def test_code_of_what_prepared_the_arguments_is_an_ingredient(cache, refused) -> None:
    def call(prepared_by):
        return compute_or_load("scores", lambda: {"n": 1}, prepared_by=[prepared_by])

    call(data)
    assert "table is used now, Data is used no more" in refused(Door(call, "scores", None, ""), table)
