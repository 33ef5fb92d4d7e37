"""Fits: every ingredient is noticed, a loaded model is the fitted one, its scores are up to date."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import course  # noqa: F401
from course.models import fitting
from course.models.fitting import artefact_metrics, data_fingerprint, fit_or_load, load_artefact
from course.models.ingredients import model_recipe
from course.paths import REPOSITORY
from course.store import artefacts, recipes
from course.store.artefacts import ArtefactError

import keras
import numpy as np
import pytest
from keras import layers

SETTINGS = ("COURSE_STRICT", "COURSE_REFIT", "COURSE_DATA", "COURSE_NOTEBOOK", "COURSE_THREADS")


def make_data(n=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 3, 1)).astype("uint8"), rng.integers(0, 3, n)


def build(filters=2, learning_rate=0.001, loss=None, metrics=("accuracy",), extra=(), **options):
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
        **options,
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


PLAIN = dict(epochs=1, batch_size=8, callbacks=[], seed=1)
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
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_THREADS", "1")
    return tmp_path / "cache"


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


def refused(monkeypatch, **changes) -> list[str]:
    """The reasons of strict mode."""
    with monkeypatch.context() as strict:
        strict.setenv("COURSE_STRICT", "1")
        with pytest.raises(ArtefactError) as caught:
            call(**changes)
    return [line.removeprefix("  - ") for line in str(caught.value).splitlines() if line.startswith("  - ")]


def test_stored_model_is_compiled_and_scores_what_the_manifest_says(stored):
    model, history = call()
    scores = model.evaluate(X_VAL, Y_VAL, verbose=0, return_dict=True)
    recorded = artefact_metrics("tiny")
    assert set(recorded) == {"train", "validation", "test"}
    assert recorded["test"] == pytest.approx(scores, abs=1e-5)
    entry = artefacts.artefact_entry("tiny")
    assert entry["parameters"] == model.count_params()
    assert entry["epochs_run"] == 2 and entry["threads"] == 1
    assert entry["versions"]["keras"] == keras.__version__
    assert entry["score_data"]["test"] == data_fingerprint(X_VAL, Y_VAL)
    again, history_again = load_artefact("tiny")
    assert history_again == history
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


READ_AGAIN = """
print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(), keras.config.backend())
from tests.unit.test_fitting import call
model, history = call()
print(model.dtype_policy.name, model.layers[1].data_format, len(history.epoch), model.output_shape)
"""


@pytest.mark.parametrize(
    "first, home, floatx",
    [
        ("import course, keras", "HOME", "float64"),
        ("import keras, course", "KERAS_HOME", "float16"),
        ("import keras; keras.layers.Dense(1); import course", "KERAS_HOME", "float64"),
    ],
)
def test_own_settings_of_keras_change_no_result_and_no_stored_model(stored, tmp_path, first, home, floatx):
    own = {"floatx": floatx, "epsilon": 1e-3, "image_data_format": "channels_first"}
    own["backend"] = "torch" if first.startswith("import keras") else "tensorflow"
    folder = tmp_path / "own" / (".keras" if home == "HOME" else "")
    folder.mkdir(parents=True)
    (folder / "keras.json").write_text(json.dumps(own), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KERAS")}
    environment |= {home: str(tmp_path / "own"), "COURSE_STRICT": "1", "USERPROFILE": str(tmp_path / "own")}
    before = {path.name: path.read_bytes() for path in stored.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", first + READ_AGAIN],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "float32 1e-07 channels_last torch",
        "float32 channels_last 2 (None, 3)",
    ]
    assert before == {path.name: path.read_bytes() for path in stored.iterdir()}


@pytest.mark.parametrize("first", ["import course, keras", "import keras, course"])
def test_limits_of_keras_on_the_length_of_a_fit_are_ignored_and_named(first):
    text = "; print(keras.config.max_epochs(), keras.config.max_steps_per_epoch())"
    limits = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2"}
    command = [sys.executable, "-c", first + text]
    settings = os.environ | {"KERAS_BACKEND": "torch"} | limits
    done = subprocess.run(command, cwd=REPOSITORY, env=settings, capture_output=True, encoding="utf-8")
    assert done.stdout == "None None\n", done.stderr
    assert all(f"{limit} is ignored" in done.stderr for limit in limits)


def test_history_works_like_that_of_keras(stored):
    _, history = call()
    assert history.epoch == [0, 1]
    assert set(history.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert all(len(values) == 2 for values in history.history.values())
    assert all(isinstance(value, float) for value in history.history["val_loss"])


def test_same_seed_repeats_the_fit_and_plain_keras_makes_the_same_model(cache):
    model, _ = call(callbacks=())
    with fitting.fitting_threads():
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


def step(shift):
    @keras.saving.register_keras_serializable("course_tests")
    class Decay(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.001 + shift * step

        def get_config(self):
            return {}

    return Decay()


def layer_that_adds(number):
    @keras.saving.register_keras_serializable("course_tests")
    class Add(layers.Layer):
        def build(self, shape):  # Keras wraps it
            self.shift = self.add_weight(shape=(1,), initializer="zeros")

        def call(self, inputs):
            return inputs + number + self.shift

    return Add


def callback_that_uses(number):
    def rate(epoch):
        return epoch * number

    return keras.callbacks.LearningRateScheduler(rate)


FILTERS = "architecture: layers 3 (Conv2D) filters 2 → 3"
BASE = {
    "own layer": dict(build_model=lambda: build(extra=[layer_that_adds(1)])),
    "own callback's code": dict(callbacks=[callback_that_uses(0.1)]),
    "own schedule": dict(build_model=lambda: build(learning_rate=step(1))),
    "seed of a layer": dict(build_model=lambda: build(extra=[lambda: layers.Dropout(0.2, seed=1)])),
}
CHANGES = {
    "filters": (dict(build_model=lambda: build(filters=3)), FILTERS),
    "layer added": (
        dict(build_model=lambda: build(extra=[lambda: layers.Dropout(0.2)])),
        "architecture: layers 4 Flatten → Dropout",
    ),
    "own layer": (
        dict(build_model=lambda: build(extra=[layer_that_adds(2)])),
        "architecture: code layer_that_adds",
    ),
    "seed of a layer": (
        dict(build_model=lambda: build(extra=[lambda: layers.Dropout(0.2, seed=2)])),
        "architecture: layers 4 (Dropout) seed 1 → 2",
    ),
    "learning rate": (
        dict(build_model=lambda: build(learning_rate=0.01)),
        "optimiser: learning_rate 0.001 → 0.01",
    ),
    "own schedule": (dict(build_model=lambda: build(learning_rate=step(2))), "optimiser: code step"),
    "loss": (
        dict(build_model=lambda: build(loss=keras.losses.SparseCategoricalCrossentropy())),
        "loss: from_logits true → false",
    ),
    "own loss": (
        dict(build_model=lambda: build(loss=own_loss)),
        "loss: SparseCategoricalCrossentropy → given",
    ),
    "metrics": (
        dict(build_model=lambda: build(metrics=("sparse_categorical_accuracy",))),
        "metrics: [accuracy] → [sparse_categorical_accuracy]",
    ),
    "weights in the loss": (
        dict(build_model=lambda: build(loss_weights=[2.0])),
        "weights in the loss: [none, none] → [[2.0], none]",
    ),
    "epochs": (dict(epochs=3), "epochs: 2 → 3"),
    "batch size": (dict(batch_size=4), "batch size: 8 → 4"),
    "patience": (
        dict(callbacks=[keras.callbacks.EarlyStopping(patience=6)]),
        "callbacks: 1 (EarlyStopping) patience 5 → 6",
    ),
    "no callback": (dict(callbacks=()), "callbacks: [EarlyStopping] → none"),
    "own callback": (dict(callbacks=[Halve()]), "callbacks: 1 EarlyStopping → Halve"),
    "own callback's code": (
        dict(callbacks=[callback_that_uses(0.2)]),
        "callbacks: 1 (LearningRateScheduler) schedule code changed",
    ),
    "seed": (dict(seed=124), "seed: 123 → 124"),
    "one image": (dict(X=changed_image()), "training data: 1 of 24 rows differ (in their inputs)"),
    "one label": (dict(y=changed_label()), "training data: 1 of 24 rows differ (in their targets)"),
    "order": (dict(X=X[::-1], y=Y[::-1]), "training data: the same 24 rows in another order"),
    "rows": (dict(X=X[:20], y=Y[:20]), "training data: inputs uint8 24×4×3×1 → uint8 20×4×3×1"),
    "image type": (dict(X=X.astype("float32")), "training data: inputs uint8 24×4×3×1 → float32 24×4×3×1"),
    "validation data": (
        dict(validation_data=(X_VAL[:6], Y_VAL[:6])),
        "validation data: inputs uint8 8×4×3×1 → uint8 6×4×3×1",
    ),
    "no validation data": (dict(validation_data=None), "validation data: given → none"),
    "augmentation": (dict(augment=brighten), "augmentation: none → given"),
    "preparation": (dict(prepared_by=[other_preparation]), "preparation code: other_preparation is used now"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_each_changed_ingredient_is_noticed_and_named(case, stored, monkeypatch, capsys):
    changes, words = CHANGES[case]
    if case in BASE:
        call(**BASE[case])
        monkeypatch.setenv("COURSE_STRICT", "1")
        call(**BASE[case])
        monkeypatch.delenv("COURSE_STRICT")
    (reason,) = refused(monkeypatch, **changes)
    assert words in reason


def test_every_ingredient_has_a_case(stored):
    named = {words.split(":")[0] for _, words in CHANGES.values()}
    assert set(artefacts.artefact_entry("tiny")["recipe"]) == named | {"starting weights"}


def test_a_changed_ingredient_is_fitted_once(stored, capsys):
    call(build_model=lambda: build(filters=3))
    assert FILTERS in capsys.readouterr().err
    call(build_model=lambda: build(filters=3))
    assert capsys.readouterr().err == ""


def test_loaded_starting_weights_are_an_ingredient(cache, capsys, monkeypatch):
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
    assert capsys.readouterr().err == ""
    (reason,) = refused(monkeypatch, build_model=pretrained(2.0))
    assert reason.startswith("starting weights")


def doubled(factor):
    def build_it():
        model = build()
        model.layers[-1].set_weights([weight * factor for weight in model.layers[-1].get_weights()])
        return model

    return build_it


def drawn_before(number):
    def build_it():
        for _ in range(number):
            layers.Dense(1)
        return build()

    return build_it


class Scaled(keras.initializers.Initializer):
    def __init__(self, factor=1):
        self.factor = factor

    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, dtype=dtype) * self.factor


def initialised(factor):
    def build_it():
        first = layers.Dense(3, kernel_initializer=Scaled(factor))
        model = keras.Sequential([keras.Input((4, 3, 1)), layers.Flatten(), first])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    return build_it


@pytest.mark.parametrize("before, after", [(doubled(2), doubled(3)), (build, doubled(2))])
def test_random_starting_weights_that_are_edited_are_an_ingredient(before, after):
    before, after = (model_recipe(each, {"train": {}}, **PLAIN) for each in (before, after))
    (reason,) = recipes.differences(before, after, {})
    assert reason.startswith("starting weights: code")


@pytest.mark.parametrize("made", [drawn_before, initialised])
def test_starting_weights_that_do_not_follow_from_the_architecture_are_an_ingredient(made):
    before, after = (model_recipe(made(number), {"train": {}}, **PLAIN) for number in (2, 3))
    (reason,) = recipes.differences(before, after, {})
    assert reason.startswith("starting weights: code")


def test_code_that_only_builds_is_no_ingredient():
    def other():
        model = build()
        return model

    before, after = (model_recipe(each, {"train": {}}, **PLAIN) for each in (build, other))
    assert recipes.differences(before, after, {}) == []


class Remembers(keras.callbacks.Callback):
    def __init__(self, factor, rule=None):
        super().__init__()
        self._twice, self.rule = 2 * factor, rule


class Patient(keras.callbacks.EarlyStopping):
    def __init__(self, factor):
        super().__init__()
        self.limit = factor


class Rule:
    def __init__(self, number):
        self._number = number


@pytest.mark.parametrize(
    "before, after, name",
    [
        (Remembers(1), Remembers(2), "twice 2 → 4"),
        (Remembers(0.123456781), Remembers(0.123456782), "twice 0.246913562 → 0.246913564"),
        (Remembers(1, Rule(1)), Remembers(1, Rule(2)), "rule changed"),
        (Remembers(1, {1, 2}), Remembers(1, {1, 3}), "rule changed"),
        (Patient(1), Patient(2), "limit 1 → 2"),
    ],
)
def test_all_state_of_an_own_callback_is_an_ingredient(before, after, name):
    found = [model_recipe(build, {"train": {}}, **PLAIN | {"callbacks": [each]}) for each in (before, after)]
    (reason,) = recipes.differences(*found, {})
    assert reason == f"callbacks: 1 ({type(after).__name__}) {name}"


def test_generated_layer_names_do_not_matter(cache, monkeypatch):
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


def test_wiring_of_a_functional_model_is_an_ingredient(cache, monkeypatch):
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
    (reason,) = refused(monkeypatch, build_model=functional(True))
    assert reason.startswith("architecture")


def test_code_of_an_own_loss_is_an_ingredient(cache, monkeypatch):
    def loss(power):
        def my_loss(y_true, y_pred):
            return keras.ops.mean(y_pred**power, axis=-1)

        return keras.saving.register_keras_serializable("course_tests", "my_loss")(my_loss)

    call(build_model=lambda: build(loss=loss(2)))
    (reason,) = refused(monkeypatch, build_model=lambda: build(loss=loss(4)))
    assert reason.startswith("loss: code")


# --- settings ----------------------------------------------------------------------------------


def test_refit_prints_old_and_new_metrics_side_by_side(stored, monkeypatch, capsys):
    old = artefact_metrics("tiny")
    monkeypatch.setenv("COURSE_REFIT", "1")
    call(epochs=3)
    text = capsys.readouterr().err
    new = artefact_metrics("tiny")
    row = next(line.split() for line in text.splitlines() if "test loss" in line)
    assert row == [
        "tiny",
        "test",
        "loss",
        "old",
        f"{old['test']['loss']:.4f}",
        "new",
        f"{new['test']['loss']:.4f}",
    ]
    assert len([line for line in text.splitlines() if "old" in line and "new" in line]) == 6


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
    assert "Scoring 'tiny' again" in text and "Making" not in text
    expected = model.evaluate(*other, verbose=0, return_dict=True)
    assert artefact_metrics("tiny")["notebook"] == pytest.approx(expected, abs=1e-5)
    assert artefact_metrics("tiny")["test"] == pytest.approx(expected, abs=1e-5)
    assert (stored / "tiny.keras").read_bytes() == model_before
    call(score_on={"test": other})
    assert capsys.readouterr().err == ""


def test_own_notebook_does_not_change_the_shipped_manifest(stored, tmp_path, monkeypatch):
    shipped = (stored / "manifest.json").read_bytes()
    other = make_data(6, seed=5)
    monkeypatch.setenv("COURSE_NOTEBOOK", str(tmp_path))
    model, _ = call(score_on={"test": other})
    expected = model.evaluate(*other, verbose=0, return_dict=True)
    assert artefact_metrics("tiny")["test"] == pytest.approx(expected, abs=1e-5)
    assert (stored / "manifest.json").read_bytes() == shipped


def test_threads_come_from_the_setting(cache, monkeypatch):
    monkeypatch.setenv("COURSE_THREADS", "1")
    call()
    assert artefacts.artefact_entry("tiny")["threads"] == 1
    monkeypatch.delenv("COURSE_THREADS")
    call(name="by_default")
    assert artefacts.artefact_entry("by_default")["threads"] == fitting.DEFAULT_THREADS


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
    assert capsys.readouterr().err == ""


def test_augmentation_changes_each_image_afresh_and_repeats_with_the_seed(cache, monkeypatch):
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
    (reason,) = refused(monkeypatch, augment=darken, epochs=3, callbacks=())
    assert "augmentation: darken is used now" in reason


def test_augmentation_must_keep_the_shape(cache):
    with pytest.raises(ValueError, match="keep the shape"):
        call(augment=lambda images, rng: images[:, 1:])


# --- arguments ---------------------------------------------------------------------------------


def uncompiled():
    return keras.Sequential([layers.Input((4, 3, 1)), layers.Flatten(), layers.Dense(3)])


def lambda_layer():
    return layers.Lambda(lambda x: x + 1)


def unbuilt():
    model = keras.Sequential([layers.Flatten(), layers.Dense(3)])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    "changes, error, words",
    [
        (dict(build_model=uncompiled), TypeError, "compiled"),
        (dict(build_model=unbuilt), ValueError, "keras.Input"),
        (dict(X=X[:0], y=Y[:0]), ValueError, "X has 0 rows"),
        (dict(X=X[:9]), ValueError, "X has 9 rows, and y has 24"),
        (dict(y=np.array(["a"] * 24, dtype=object)), TypeError, "numbers"),
        (dict(prepared_by=["load"]), TypeError, "functions"),
        (dict(build_model=lambda: build(extra=[lambda_layer])), ValueError, "Lambda"),
    ],
)
def test_bad_arguments_are_named(cache, changes, error, words):
    with pytest.raises(error, match=words):
        call(**changes)
    assert not (cache / "manifest.json").exists()
