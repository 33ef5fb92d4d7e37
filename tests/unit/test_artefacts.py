"""The artefact store: every ingredient is noticed, nothing stored is ever lost."""

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import course  # noqa: F401
from course import speed
from course.store import artefacts, recipes
from course.store.artefacts import ArtefactError, ArtefactWarning, artefact_metrics, fit_or_load

import keras
import numpy as np
import pytest
from keras import layers

SETTINGS = ("COURSE_STRICT", "COURSE_REFIT", "COURSE_DATA", "COURSE_NOTEBOOK", "COURSE_THREADS")


def make_data(n=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 3, 1)).astype("uint8"), rng.integers(0, 3, n)


def build(filters=2, learning_rate=0.001, loss=None, metrics=("accuracy",), extra=()):
    model = keras.Sequential(
        [
            layers.Input((4, 3, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            *[layer() for layer in extra],
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
    )
    return model


def scale_pixels(image):
    """Here is a docstring."""
    return image * 2  # and a comment


def brighten(images, rng):
    return images // 2 + rng.integers(0, 100, (len(images), 1, 1, 1)).astype("uint8")


def darken(images, rng):
    return images // 2 - rng.integers(0, 10, (len(images), 1, 1, 1)).astype("uint8")


def other_preparation(image):
    return image * 3


X, Y = make_data()
X_VAL, Y_VAL = make_data(8, seed=1)


def options(**changes):
    values = dict(
        name="tiny",
        build_model=build,
        X=X,
        y=Y,
        seed=123,
        validation_data=(X_VAL, Y_VAL),
        epochs=2,
        batch_size=8,
        callbacks=[keras.callbacks.EarlyStopping(patience=5)],
        prepared_by=[scale_pixels],
        score_on={"test": (X_VAL, Y_VAL)},
    )
    return {**values, **changes}


def call(**changes):
    return fit_or_load(**options(**changes))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache 中文"
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(folder))
    monkeypatch.setenv("COURSE_THREADS", "1")
    return folder


@pytest.fixture(scope="module")
def fitted_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as settings:
        for variable in SETTINGS:
            settings.delenv(variable, raising=False)
        settings.setenv("COURSE_CACHE", str(folder))
        settings.setenv("COURSE_THREADS", "1")
        call()
    return folder


@pytest.fixture
def stored(cache, fitted_once):
    shutil.copytree(fitted_once, cache)
    return cache


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.endswith(".lock")
    }


def fitted(capsys):
    """The message of a fit, or an empty string if nothing was fitted."""
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if line.startswith("Fitting")]
    return lines[0] if lines else ""


# --- a match -----------------------------------------------------------------------------------


def test_second_call_loads_and_writes_nothing(cache, capsys):
    model, history = call()
    assert "no stored artefact" in fitted(capsys)
    before = contents(cache)
    assert sorted(before) == ["manifest.json", "tiny.keras", "tiny_history.json"]

    again, history_again = call()
    assert capsys.readouterr().err == ""
    assert contents(cache) == before
    assert history_again == history
    assert again.predict(X, verbose=0) == pytest.approx(model.predict(X, verbose=0), abs=1e-6)


def test_stored_model_is_compiled_and_scores_what_the_manifest_says(stored):
    model, _ = call()
    scores = model.evaluate(X_VAL, Y_VAL, verbose=0, return_dict=True)
    recorded = artefact_metrics("tiny")
    assert set(recorded) == {"train", "validation", "test"}
    assert recorded["test"] == pytest.approx(scores, abs=1e-5)
    assert artefacts.artefact_names() == ["tiny"]
    entry = artefacts.artefact_entry("tiny")
    assert entry["parameters"] == model.count_params()
    assert entry["epochs_run"] == 2
    assert entry["versions"]["keras"] == keras.__version__
    assert entry["score_data"]["test"] == artefacts.data_fingerprint(X_VAL, Y_VAL)


def test_history_works_like_that_of_keras(stored):
    _, history = call()
    assert history.epoch == [0, 1]
    assert set(history.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert all(len(values) == 2 for values in history.history.values())
    assert all(isinstance(value, float) for value in history.history["val_loss"])


def test_same_seed_repeats_the_fit_and_plain_keras_makes_the_same_model(cache):
    model, _ = call(callbacks=())
    with artefacts.fitting_threads():
        keras.utils.set_random_seed(123)
        plain = build()
        plain.fit(X, Y, validation_data=(X_VAL, Y_VAL), epochs=2, batch_size=8, verbose=0)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_random_numbers_after_the_call_do_not_depend_on_loading(cache):
    call()
    after_fit = np.random.rand(), float(keras.random.uniform(()))
    call()
    assert (np.random.rand(), float(keras.random.uniform(()))) == after_fit


def test_optimiser_state_is_not_stored(stored):
    full = stored / "full.keras"
    model = build()
    model.fit(X, Y, verbose=0)
    model.save(full)
    assert (stored / "tiny.keras").stat().st_size < full.stat().st_size
    import zipfile

    import h5py

    with zipfile.ZipFile(stored / "tiny.keras") as archive:
        archive.extract("model.weights.h5", stored)
    with h5py.File(stored / "model.weights.h5") as weights:
        assert len(weights["optimizer/vars"]) == 2  # the step count and the learning rate


# --- each ingredient in turn -------------------------------------------------------------------


def changed_image():
    images = X.copy()
    images[5, 0, 0, 0] += 1
    return images


def changed_label():
    labels = Y.copy()
    labels[7] = (labels[7] + 1) % 3
    return labels


@keras.saving.register_keras_serializable("course_tests")
def own_loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


class Halve(keras.callbacks.Callback):
    def __init__(self, factor=0.5):
        super().__init__()
        self.factor = factor


CHANGES = {
    "filters": (dict(build_model=lambda: build(filters=3)), "architecture: layer 2 (conv2d): filters 2 → 3"),
    "layer added": (
        dict(build_model=lambda: build(extra=[lambda: layers.Dropout(0.2)])),
        "architecture: layer 3 (dropout) added",
    ),
    "learning rate": (
        dict(build_model=lambda: build(learning_rate=0.01)),
        "optimiser: learning_rate 0.001 → 0.01",
    ),
    "loss": (
        dict(build_model=lambda: build(loss=keras.losses.SparseCategoricalCrossentropy())),
        "loss: from_logits true → false",
    ),
    "own loss": (
        dict(build_model=lambda: build(loss=own_loss)),
        "loss: SparseCategoricalCrossentropy → course_tests>own_loss",
    ),
    "metrics": (
        dict(build_model=lambda: build(metrics=("sparse_categorical_accuracy",))),
        "metrics: [accuracy] → [sparse_categorical_accuracy]",
    ),
    "epochs": (dict(epochs=3), "epochs 2 → 3"),
    "batch size": (dict(batch_size=4), "batch size 8 → 4"),
    "patience": (
        dict(callbacks=[keras.callbacks.EarlyStopping(patience=6)]),
        "callbacks: EarlyStopping patience 5 → 6",
    ),
    "no callback": (dict(callbacks=()), "callbacks: [EarlyStopping] → none"),
    "own callback": (dict(callbacks=[Halve()]), "callbacks: EarlyStopping → Halve"),
    "seed": (dict(seed=124), "seed 123 → 124"),
    "one image": (dict(X=changed_image()), "training data: 1 of 24 rows differ (in their inputs)"),
    "one label": (dict(y=changed_label()), "training data: 1 of 24 rows differ (in their targets)"),
    "order": (dict(X=X[::-1], y=Y[::-1]), "training data: the same 24 rows in another order"),
    "rows": (dict(X=X[:20], y=Y[:20]), "4 rows removed, 0 added"),
    "image type": (dict(X=X.astype("float32")), "inputs uint8 24×4×3×1 → float32 24×4×3×1"),
    "validation data": (
        dict(validation_data=(X_VAL[:6], Y_VAL[:6])),
        "validation data: inputs uint8 8×4×3×1 → uint8 6×4×3×1",
    ),
    "no validation data": (dict(validation_data=None), "validation data: given → none"),
    "augmentation": (dict(augment=brighten), "augmentation: none → given"),
    "preparation": (dict(prepared_by=[other_preparation]), "other_preparation is used now"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_each_changed_ingredient_is_noticed_and_named(case, stored, monkeypatch, capsys):
    changes, words = CHANGES[case]
    before = contents(stored)
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError) as caught:
        call(**changes)
    assert words in str(caught.value)
    assert "make train" in str(caught.value)
    assert str(caught.value).count("\n  - ") == 1, "one change is one reason"
    assert contents(stored) == before

    monkeypatch.delenv("COURSE_STRICT")
    capsys.readouterr()
    call(**changes)
    assert words in fitted(capsys)
    call(**changes)
    assert fitted(capsys) == ""


def test_every_ingredient_has_a_case():
    named = {words.split(":")[0].rstrip(" 0123456789→") for _, words in CHANGES.values()}
    tested_below = {"starting weights", "preparation code"}
    assert set(recipes.INGREDIENTS) <= named | tested_below


def test_loaded_starting_weights_are_an_ingredient(cache, capsys):
    def pretrained(value):
        def build_pretrained():
            model = build()
            kernel, bias = model.layers[1].get_weights()
            model.layers[1].set_weights([np.linspace(0, value, kernel.size).reshape(kernel.shape), bias])
            return model

        return build_pretrained

    call(build_model=pretrained(1.0))
    capsys.readouterr()
    call(build_model=pretrained(1.0))
    assert fitted(capsys) == ""
    call(build_model=pretrained(2.0))
    assert fitted(capsys).startswith("Fitting 'tiny': starting weights")


def test_generated_layer_names_do_not_matter(cache, monkeypatch, capsys):
    def functional():
        inputs = keras.Input((4, 3, 1))
        flat = layers.Flatten()(inputs)
        both = layers.Add()([layers.Dense(4)(flat), layers.Dense(4, activation="relu")(flat)])
        model = keras.Model(inputs, layers.Dense(3)(both))
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    call(build_model=functional, name="functional")
    call()
    keras.backend.clear_session()
    for _ in range(3):
        layers.Dense(1), layers.Conv2D(1, 1), keras.optimizers.Adam()
    monkeypatch.setenv("COURSE_STRICT", "1")
    call(build_model=functional, name="functional")
    call()


def test_wiring_of_a_functional_model_is_an_ingredient(cache, capsys):
    def functional(swap):
        def build_it():
            inputs = keras.Input((4, 3, 1))
            flat = layers.Flatten()(inputs)
            a, b = layers.Dense(4, activation="tanh")(flat), layers.Dense(4)(flat)
            out = layers.Subtract()([b, a] if swap else [a, b])
            model = keras.Model(inputs, layers.Dense(3)(out))
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return model

        return build_it

    call(build_model=functional(False))
    capsys.readouterr()
    call(build_model=functional(True))
    assert "architecture" in fitted(capsys)


def test_code_of_an_own_loss_is_an_ingredient(cache, monkeypatch):
    def version(text):
        path = cache.parent / f"loss_{len(text)}.py"
        path.write_text(f"def my_loss(y_true, y_pred):\n    return {text}\n", encoding="utf-8")
        spec = importlib.util.spec_from_file_location("lecture_loss", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "lecture_loss", module)
        spec.loader.exec_module(module)
        return recipe_of(lambda: build(loss=module.my_loss))

    def recipe_of(build_model):
        data = {"train": recipes.fingerprint((X, Y))}
        return recipes.recipe(
            build_model, data=data, seed=1, epochs=1, batch_size=8, callbacks=(), augment=None, prepared_by=()
        )

    first, second = version("y_pred - y_true"), version("(y_pred - y_true) ** 2")
    assert recipes.differences(first, second, {}, {}) == ["loss: code changed"]


def test_seed_inside_a_layer_is_an_ingredient(cache, capsys):
    call(build_model=lambda: build(extra=[lambda: layers.Dropout(0.2, seed=1)]))
    capsys.readouterr()
    call(build_model=lambda: build(extra=[lambda: layers.Dropout(0.2, seed=2)]))
    assert "layer 3 (dropout): seed 1 → 2" in fitted(capsys)


# --- preparation code --------------------------------------------------------------------------

PREPARATION = '''
LEVELS = 255

def load(path):
    """Load."""
    return resize(path) / LEVELS  # to 0..1

def resize(path):
    return len(path)

def unrelated():
    return 1
'''


def code_of(tmp_path, text):
    path = tmp_path / f"preparation_{len(list(tmp_path.iterdir()))}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("lecture_preparation", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lecture_preparation"] = module
    spec.loader.exec_module(module)
    return recipes.preparation_code([module.load])


def test_preparation_code_follows_functions_and_constants(tmp_path):
    code = code_of(tmp_path, PREPARATION)
    assert {name.split(".")[-1] for name in code} == {"load", "resize", "LEVELS"}


@pytest.mark.parametrize(
    "old, new, name",
    [
        ("/ LEVELS", "* LEVELS", "load"),
        ("return len(path)", "return len(path) + 1", "resize"),
        ("LEVELS = 255", "LEVELS = 256", "LEVELS"),
    ],
)
def test_changed_preparation_code_is_noticed_and_named(tmp_path, old, new, name):
    before = code_of(tmp_path, PREPARATION)
    after = code_of(tmp_path, PREPARATION.replace(old, new))
    assert recipes.code_in_words(before, after) == f"lecture_preparation.{name} changed"


@pytest.mark.parametrize(
    "old, new",
    [
        ("  # to 0..1", ""),
        ('"""Load."""', '"""Load an image."""'),
        ("return resize(path) / LEVELS", "return (\n        resize(path)\n        / LEVELS)"),
        ("return 1", "return 2"),
        ("def load(path):", "def load(path: str) -> float:"),
        ("\ndef resize", "\n\n\n\ndef resize"),
    ],
)
def test_comments_docstrings_and_layout_are_no_ingredient(tmp_path, old, new):
    assert old in PREPARATION
    assert code_of(tmp_path, PREPARATION) == code_of(tmp_path, PREPARATION.replace(old, new))


def test_preparation_code_follows_into_the_course_package():
    from course import loaders

    code = recipes.preparation_code([loaders.load_images_from_directory])
    assert "course.loaders.load_images_from_directory" in code
    assert any(name.startswith("course.loaders._") for name in code)


def test_function_without_source_is_refused():
    scope = {"__name__": "nowhere"}
    exec("def ghost(x):\n    return x", scope)
    with pytest.raises(TypeError, match="ghost"):
        recipes.preparation_code([scope["ghost"]])


# --- damaged files -----------------------------------------------------------------------------


def edit_history(folder):
    path = folder / "tiny_history.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["history"]["accuracy"][-1] = 0.999
    path.write_text(json.dumps(stored), encoding="utf-8")


def truncate(name):
    def cut(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


def swap_byte(folder):
    content = bytearray((folder / "tiny.keras").read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "tiny.keras").write_bytes(content)


DAMAGE = {
    "history edited by hand": (edit_history, "tiny_history.json was changed"),
    "history truncated": (truncate("tiny_history.json"), "tiny_history.json was changed"),
    "model truncated": (truncate("tiny.keras"), "tiny.keras was changed or damaged"),
    "model changed": (swap_byte, "tiny.keras was changed"),
    "model missing": (lambda folder: (folder / "tiny.keras").unlink(), "tiny.keras is missing"),
    "history missing": (
        lambda folder: (folder / "tiny_history.json").unlink(),
        "tiny_history.json is missing",
    ),
    "manifest truncated": (truncate("manifest.json"), "manifest.json is damaged"),
    "manifest emptied": (
        lambda folder: (folder / "manifest.json").write_text("{}", encoding="utf-8"),
        "manifest.json is damaged",
    ),
    "manifest of another kind": (
        lambda folder: (folder / "manifest.json").write_text("[1]", encoding="utf-8"),
        "manifest.json is damaged",
    ),
    "manifest missing": (lambda folder: (folder / "manifest.json").unlink(), "no stored artefact"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_and_mended(case, stored, monkeypatch, capsys):
    damage, words = DAMAGE[case]
    damage(stored)
    damaged = contents(stored)
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError, match="COURSE_STRICT") as caught:
        call()
    assert words in str(caught.value)
    assert contents(stored) == damaged

    monkeypatch.delenv("COURSE_STRICT")
    capsys.readouterr()
    call()
    assert words in fitted(capsys)
    call()
    assert fitted(capsys) == ""


def test_damaged_manifest_is_kept_aside(stored):
    truncate("manifest.json")(stored)
    damaged = (stored / "manifest.json").read_bytes()
    call()
    assert (stored / "manifest.json.damaged").read_bytes() == damaged


def test_file_that_keras_cannot_read_is_named(stored, capsys):
    content = b"not a model"
    (stored / "tiny.keras").write_bytes(content)
    manifest = json.loads((stored / "manifest.json").read_text(encoding="utf-8"))
    record = manifest["artefacts"]["tiny"]["files"]["tiny.keras"]
    record["sha256"] = hashlib.sha256(content).hexdigest()
    (stored / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    call()
    assert "tiny.keras cannot be loaded" in fitted(capsys)


# --- nothing is lost ---------------------------------------------------------------------------


class StopInSecondEpoch(keras.callbacks.Callback):
    """Stands for Ctrl-C."""

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch == 1:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


def test_interrupted_fit_leaves_the_old_artefact_whole(stored, capsys):
    before = contents(stored)
    with pytest.raises(KeyboardInterrupt):
        call(callbacks=[StopInSecondEpoch()])
    assert "unchanged" in capsys.readouterr().err
    assert contents(stored) == before
    call()
    assert fitted(capsys) == ""


@pytest.mark.parametrize("failing", ["tiny.keras", "tiny_history.json", "manifest.json"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_failure_while_files_are_replaced_leaves_all_as_they_were(stored, monkeypatch, failing, error):
    before = contents(stored)
    replace = os.replace

    def fail_on_one(source, target):
        if Path(target).name == failing and Path(source).name.startswith(".new"):
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_one)
    if isinstance(error, OSError):
        with pytest.warns(ArtefactWarning, match="could not be stored"):
            model, _ = call(epochs=1)
        assert model.predict(X, verbose=0).shape == (24, 3)
        assert artefact_metrics("tiny")["train"]["loss"] > 0
    else:
        with pytest.raises(KeyboardInterrupt):
            call(epochs=1)
    assert contents(stored) == before


def test_full_disk_while_the_model_is_written(stored, monkeypatch, capsys):
    before = contents(stored)

    def half_written(self, path, *args, **kwargs):
        Path(path).write_bytes(b"half a file")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artefacts, "_check_storable", lambda name, model: None)
    monkeypatch.setattr(keras.Model, "save", half_written)
    with pytest.warns(ArtefactWarning, match="No space left on device"):
        model, history = call(epochs=1)
    assert model.predict(X, verbose=0).shape == (24, 3)
    assert history.epoch == [0]
    assert contents(stored) == before
    monkeypatch.setenv("COURSE_REFIT", "1")
    with pytest.raises(ArtefactError, match="No space left on device"):
        call(epochs=1)
    assert contents(stored) == before


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="folder permissions of POSIX systems")
def test_read_only_cache(monkeypatch, capsys):
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "cache"
        monkeypatch.setenv("COURSE_CACHE", str(folder))
        call()
        before = contents(folder)
        os.chmod(outer, 0o755)
        os.chmod(folder, 0o555)
        # Nothing is read-only for root, so the calls run as "nobody" then.
        with contextlib.ExitStack() as stack:
            stack.callback(os.chmod, folder, 0o755)
            if os.geteuid() == 0:
                os.seteuid(65534)
                stack.callback(os.seteuid, 0)
            capsys.readouterr()
            call()
            assert fitted(capsys) == "", "loading needs no writing"
            with pytest.warns(ArtefactWarning, match="cannot be written.*denied"):
                model, history = call(epochs=1)
            assert model.predict(X, verbose=0).shape == (24, 3)
            assert artefact_metrics("tiny")["validation"]["loss"] > 0
            monkeypatch.setenv("COURSE_REFIT", "1")
            with pytest.raises(ArtefactError, match="cannot be written"):
                call()
            assert contents(folder) == before


def test_cache_that_cannot_be_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(ArtefactWarning, match="cannot be written"):
        model, _ = call()
    assert model.predict(X, verbose=0).shape == (24, 3)


def test_two_processes_fit_once(cache, tmp_path):
    script = tmp_path / "fit.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(Path(__file__).parents[2])!r})
            from tests.unit import test_artefacts
            test_artefacts.call()
            test_artefacts.call(name=sys.argv[1])
            """
        ),
        encoding="utf-8",
    )
    running = [
        subprocess.Popen(
            [sys.executable, str(script), name],
            stderr=subprocess.PIPE,
            cwd=Path(artefacts.__file__).parent.parent,
            env={**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        )
        for name in ("first", "second")
    ]
    output = [process.communicate(timeout=120)[1].decode("utf-8") for process in running]
    assert [process.returncode for process in running] == [0, 0], output
    assert "".join(output).count("Fitting 'tiny'") == 1, output
    assert artefacts.artefact_names() == ["first", "second", "tiny"]


# --- settings ----------------------------------------------------------------------------------


def test_refit_prints_old_and_new_metrics_side_by_side(stored, monkeypatch, capsys):
    old = artefact_metrics("tiny")
    before = contents(stored)
    monkeypatch.setenv("COURSE_REFIT", "1")
    monkeypatch.setenv("COURSE_STRICT", "1")
    call(epochs=3)
    text = capsys.readouterr().err
    assert "COURSE_REFIT is set" in text
    new = artefact_metrics("tiny")
    row = next(line for line in text.splitlines() if line.strip().startswith("test loss"))
    a, b = old["test"]["loss"], new["test"]["loss"]
    assert row.split() == ["test", "loss", f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"]
    assert contents(stored) != before
    call(epochs=3)
    assert fitted(capsys) == "", "a process refits an artefact only once"


def test_own_data_leaves_the_shipped_artefacts_alone(stored, tmp_path, monkeypatch, capsys):
    shipped = contents(stored)
    own = changed_image()
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    capsys.readouterr()
    call()
    assert fitted(capsys) == "", "the shipped artefact fits this data"
    call(X=own)
    assert "Fitting 'tiny'" in fitted(capsys)
    assert contents(stored) == shipped
    (folder,) = (stored / "own-data").iterdir()
    assert sorted(contents(folder)) == ["manifest.json", "tiny.keras", "tiny_history.json"]
    call(X=own)
    assert fitted(capsys) == ""
    own_metrics = artefact_metrics("tiny")

    monkeypatch.delenv("COURSE_DATA")
    call()
    assert fitted(capsys) == "", "switching back needs no refit"
    assert artefact_metrics("tiny") != own_metrics
    assert contents(stored) == shipped


def test_own_data_in_strict_mode_is_an_error(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError, match="own-data"):
        call(X=changed_image())


def test_changed_score_set_is_scored_again_without_a_fit(stored, monkeypatch, capsys):
    model_before = (stored / "tiny.keras").read_bytes()
    other = make_data(6, seed=5)
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError, match="belong to other data"):
        call(score_on={"test": other})
    monkeypatch.delenv("COURSE_STRICT")
    capsys.readouterr()
    model, _ = call(score_on={"test": other, "notebook": other})
    text = capsys.readouterr().err
    assert "Scoring 'tiny' again" in text and "Fitting" not in text
    expected = model.evaluate(*other, verbose=0, return_dict=True)
    assert artefact_metrics("tiny")["notebook"] == pytest.approx(expected, abs=1e-5)
    assert artefact_metrics("tiny")["test"] == pytest.approx(expected, abs=1e-5)
    assert (stored / "tiny.keras").read_bytes() == model_before
    call(score_on={"test": other})
    assert capsys.readouterr().err == ""


def test_own_notebook_does_not_change_the_shipped_manifest(stored, tmp_path, monkeypatch):
    shipped = contents(stored)
    other = make_data(6, seed=5)
    monkeypatch.setenv("COURSE_NOTEBOOK", str(tmp_path))
    model, _ = call(score_on={"test": other})
    expected = model.evaluate(*other, verbose=0, return_dict=True)
    assert artefact_metrics("tiny")["test"] == pytest.approx(expected, abs=1e-5)
    assert contents(stored) == shipped


def test_threads_come_from_the_setting(cache, monkeypatch):
    monkeypatch.setenv("COURSE_THREADS", "1")
    call()
    assert artefacts.artefact_entry("tiny")["threads"] == 1
    monkeypatch.delenv("COURSE_THREADS")
    call(name="by_default")
    assert artefacts.artefact_entry("by_default")["threads"] == artefacts.DEFAULT_THREADS
    monkeypatch.setenv("COURSE_THREADS", "many")
    with pytest.raises(ValueError, match="COURSE_THREADS.*'many'"):
        call(name="other")


def test_callback_given_twice_carries_no_state(cache, capsys):
    stopping = keras.callbacks.EarlyStopping(
        monitor="loss", mode="max", patience=1, restore_best_weights=True
    )
    _, first = call(callbacks=[stopping], epochs=6, name="first")
    _, second = call(callbacks=[stopping], epochs=6, name="second")
    assert len(first.epoch) < 6, "the callback did its work"
    assert first == second
    build().fit(X, Y, epochs=3, callbacks=[stopping], verbose=0)
    capsys.readouterr()
    call(callbacks=[stopping], epochs=6, name="first")
    assert fitted(capsys) == ""


def test_augmentation_changes_each_image_afresh_and_repeats_with_the_seed(cache, capsys):
    seen = []

    def watching(images, rng):
        changed = brighten(images, rng)
        seen.append((images.copy(), changed))
        return changed

    model, history = call(augment=watching, epochs=3, callbacks=())
    trained_on = seen[-9:]  # Keras looks at one batch before it starts
    originals = [np.concatenate([old for old, _ in trained_on[i : i + 3]]) for i in (0, 3, 6)]
    for original in originals:
        key = [row.tobytes() for row in original]
        assert sorted(key) == sorted(row.tobytes() for row in X), "every image once per epoch"
    assert not np.array_equal(originals[0], originals[1])
    first, seen[:] = list(seen), []
    again, history_again = call(augment=watching, epochs=3, callbacks=(), name="again")
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, seen, strict=True))
    assert history_again == history
    capsys.readouterr()
    call(augment=darken, epochs=3, callbacks=())
    assert "augmentation: test_artefacts.darken is used now" in fitted(capsys)


def test_augmentation_must_keep_the_shape(cache):
    with pytest.raises(ValueError, match="keep the shape"):
        call(augment=lambda images, rng: images[:, 1:])


# --- arguments ---------------------------------------------------------------------------------


def uncompiled():
    return keras.Sequential([layers.Input((4, 3, 1)), layers.Flatten(), layers.Dense(3)])


def unbuilt():
    model = keras.Sequential([layers.Flatten(), layers.Dense(3)])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    "changes, error, words",
    [
        (dict(name="../evil"), ValueError, "artefact name"),
        (dict(build_model=uncompiled), TypeError, "compiled"),
        (dict(build_model=unbuilt), ValueError, "keras.Input"),
        (dict(X=X[:0], y=Y[:0]), ValueError, "X is empty"),
        (dict(X=X[:9]), ValueError, "X has 9 rows, but y has 24"),
        (dict(y=np.array(["a"] * 24, dtype=object)), TypeError, "numbers"),
        (dict(validation_data=X_VAL), ValueError, "validation_data must be a pair"),
        (dict(prepared_by=["load"]), TypeError, "functions"),
        (
            dict(build_model=lambda: build(extra=[lambda: layers.Lambda(lambda x: x + 1)])),
            ArtefactError,
            "safe mode",
        ),
    ],
)
def test_bad_arguments_are_named(cache, changes, error, words):
    with pytest.raises(error, match=words):
        call(**changes)
    assert not (cache / "manifest.json").exists()


def test_unknown_artefact_is_named(stored):
    with pytest.raises(ArtefactError, match="'nobody'.*known: tiny"):
        artefact_metrics("nobody")


# --- speed.py: the same numbers ----------------------------------------------------------------


LAYERS = {
    "as in the lecture": lambda: [
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
    ],
    "even kernel": lambda: [layers.Conv2D(4, (2, 4), padding="same")],
    "valid, dilated": lambda: [layers.Conv2D(4, 3, dilation_rate=(2, 1), activation="tanh")],
    "strides": lambda: [layers.Conv2D(4, 3, strides=2, padding="same")],
    "groups": lambda: [layers.Conv2D(4, 3, groups=2)],
    "no bias": lambda: [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization()],
    "depthwise": lambda: [layers.DepthwiseConv2D(3), layers.SeparableConv2D(4, 3)],
    "transposed": lambda: [layers.Conv2DTranspose(3, 3, strides=2)],
    "average pooling": lambda: [layers.AveragePooling2D(3, strides=2, padding="same")],
    "max pooling, same": lambda: [layers.MaxPooling2D(2, strides=1, padding="same")],
}


@pytest.mark.parametrize("case", LAYERS)
def test_fast_convolutions_change_no_result(case):
    rng = np.random.default_rng(0)
    images = rng.random((5, 9, 6, 2)).astype("float32")
    labels = np.arange(5) % 3
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((9, 6, 2)), *LAYERS[case](), layers.Flatten(), layers.Dense(3)])
    start = model.get_weights()

    def results():
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        logits = model.predict(images, verbose=0)
        model.fit(images, labels, epochs=3, shuffle=False, verbose=0)
        return [logits, *model.get_weights()]

    from keras.src.backend.torch import nn

    plain, original = results(), nn._transpose_spatial_inputs
    with speed.fast_convolutions():
        assert nn._transpose_spatial_inputs is not original
        fast = results()
    assert nn._transpose_spatial_inputs is original
    for ours, theirs in zip(fast, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_unknown_version_of_keras_is_only_slower(monkeypatch):
    from keras.src.backend.torch import nn

    monkeypatch.delattr(nn, "_transpose_spatial_inputs")
    with pytest.warns(UserWarning, match="not made faster"), speed.fast_convolutions():
        pass
