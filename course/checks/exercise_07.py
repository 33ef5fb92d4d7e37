"""Checks of exercise 7, transfer learning."""

import itertools

from course.checks import array_from, as_array, at_least, call, expect, fail, number_from, task

import keras
import numpy as np


@task(1, "feed it what it knows")
def in_range(function, rng):
    """A function (images, black, white) -> float32 array, by values it must hit."""
    for black, white in ((0, 1), (-1, 1), (0, 2), (-3, 5), (-1.0, 1.0), (2, -2)):
        images = rng.integers(40, 201, size=(2, 4, 5, 3)).astype(np.uint8)
        both, as_float32 = np.array([0, 255], np.uint8), {"dtype": "float32"}
        shown, found = array_from(function, images, black, white, shape=images.shape, **as_float32)
        ends = array_from(function, both, black, white, shape=(2,), **as_float32)[1].round(5)
        of_256 = np.round([black, black + (white - black) * 255 / 256], 5)
        mistakes = {"White is not `white`: the levels run to 255, and 256 is not among them.": of_256}
        otherwise = "Does every number on the way fit into its type? One byte ends at 255."
        expect(f"{shown} of black and white", ends, [black, white], mistakes, otherwise, rtol=1e-5)
        order = np.argsort(images.ravel(), kind="stable")
        if (np.diff(found.ravel()[order]) * np.sign(white - black) < -1e-6).any():
            fail(f"{shown} makes lighter pixels darker. Somewhere a number overflows its byte.")
        # Along a grey wedge equal steps stay equal; a photo's own range has no part in that.
        slope = np.polyfit(images.ravel().astype(float), found.ravel(), 1)[0]
        if not np.isclose(slope, (ends[1] - ends[0]) / 255, rtol=1e-3):
            fail("A grey level depends on the photo: you stretch each to its own darkest and lightest pixel.")


@task(2, "freeze it properly")
def freeze(function, rng):
    """A function (model, name) -> int, on small models whose layers are marked."""

    def build():
        steps = [keras.Input((8, 8, 2))]
        for number in range(1, 5):
            filters = int(rng.integers(2, 6))
            convolution = keras.layers.Conv2D(filters, 3, padding="same", name=f"conv{number}")
            steps += [convolution, keras.layers.BatchNormalization(name=f"norm{number}")]
        pool, head = keras.layers.GlobalAveragePooling2D(name="pool"), keras.layers.Dense(3, name="head")
        return keras.Sequential([*steps, pool, head])

    for number, asleep in itertools.product((2, 3, 4, 1), (False, True)):
        model, name = build(), f"conv{number}"
        for part in model.layers:
            part.trainable = not asleep
        shown, value = number_from(function, model, name, on_copies=False)
        free = {layer.name: layer.trainable for layer in model.layers if layer.weights}
        lower = any(free[f"conv{k}"] for k in range(1, number))
        upper = [free["head"], *(free[f"conv{k}"] for k in range(number + 1, 5))]
        norms = any(free[f"norm{k}"] for k in range(1, 5))
        sizes = [weight.numpy().size for weight in model.trainable_weights]
        fail(f"{shown} freezes the wrong side: above {name}, not below.", when=lower and not any(upper))
        fail(f"{shown} leaves layers below {name} free.", when=lower)
        fail(f"{shown} leaves a BatchNormalization free. It must not train, wherever it stands.", when=norms)
        if asleep and not all(upper):
            fail(f"{shown} leaves asleep what was frozen before. What shall train has to be woken up.")
        fail(f"{shown} freezes layers above {name}.", when=not all(upper))
        fail(f"{shown} freezes {name} itself. Only what lies below it shall freeze.", when=not free[name])
        mistakes = {"That is the number of arrays. Count the numbers in them.": len(sizes)}
        otherwise = f"It freezes rightly, and {sum(sizes):,} numbers can still train."
        expect(shown, value, sum(sizes), mistakes, otherwise)


@task(3, "a score without a leak")
def folds(function, rng):
    """A function (fit_and_predict, X, y, folds) -> labels, with a model that remembers."""
    for _ in range(10):
        n, parts = int(rng.integers(20, 40)), int(rng.integers(3, 6))
        X = np.column_stack([np.arange(n), rng.normal(size=n)])
        y = rng.integers(0, 4, size=n)
        pieces = np.array_split(rng.permutation(n), parts)
        split = [(np.setdiff1d(np.arange(n), piece), piece) for piece in pieces]
        wanted = (7 * np.arange(n)) % 5
        seen_again, asked = [], []

        def remember(train_X, train_y, test_X):
            """Says of row i: class (7 i) mod 5; notes which rows it was shown."""
            if len(train_X) != len(train_y):
                raise ValueError(f"{len(train_X)} rows and {len(train_y)} labels do not match")
            known, rows = train_X[:, 0].astype(int), test_X[:, 0].astype(int)
            if not np.array_equal(y[known], train_y):
                raise ValueError("these labels belong to other rows")
            asked.extend(rows.tolist())
            seen_again.extend(np.intersect1d(known, rows).tolist())
            return wanted[rows]

        # A copied function would note things elsewhere.
        shown, answer = call(function, remember, X, y, split, on_copies=False)
        if seen_again:
            fail(f"Row {seen_again[0]} was predicted by a model that had seen it.")
        fail(f"{n - len(set(asked))} of {n} rows are never predicted.", when=len(set(asked)) < n)
        fail(f"Rows are predicted more than once: {len(asked)} predictions of {n} rows.", when=len(asked) > n)
        by_fold = "The predictions come in the order of the folds. Put them into the order of the rows."
        otherwise = "Some predictions are not those that the model gave for these rows."
        expect("", as_array(answer, (n,), shown), wanted, {by_fold: wanted[np.array(asked)]}, otherwise)


@task(4, "what you may promise")
def limit(function):
    """A function (right, n, level) -> float, by the binomial probability at what it returns."""
    cases = ((18, 20), (9, 30), (58, 60), (1, 15), (40, 60), (20, 20))
    for (right, n), level in itertools.product(cases, (0.025, 0.1)):
        shown, value = number_from(function, right, n, level)
        shown += f" is {value:.4f}"
        fail(f"{shown}, no accuracy. The normal approximation fails for so few.", when=not 0 <= value <= 1)

        def is_level(k: int) -> bool:
            return abs(at_least(k, n, value) - level) < 0.02 * level + 1e-4

        if is_level(right):
            continue
        fail(f"{shown}, above the share that was right: an upper limit.", when=value > right / n + 1e-9)
        if right < n and is_level(right + 1):
            fail(f"{shown}, where more than {right} right have that probability. We ask for so many or more.")
        if right == n and value > 0.999:
            fail(f"{shown}. A few photos cannot prove that it never errs; no normal approximation does here.")
        chance = f"{right} or more right answers have the probability {at_least(right, n, value):.4f}"
        fail(f"{shown}, and there {chance}, not {level}. (The normal approximation does not do here.)")
    shown, nothing = number_from(function, 0, 12, 0.05)
    fail(f"With nothing right it promises {nothing:.3f}.", when=not np.isclose(nothing, 0, atol=1e-4))


@task(5, "another portfolio")
def mix(function, rng):
    """A function (confusion, shares) -> float, against photos drawn anew in the other mix."""
    for _ in range(20):
        classes = int(rng.integers(3, 6))
        rows = rng.integers(20, 400, size=classes)
        likely = [rng.dirichlet(np.ones(classes) + 6 * np.eye(classes)[k]) for k in range(classes)]
        table = np.array([rng.multinomial(*each) for each in zip(rows, likely)]) + np.eye(classes, dtype=int)
        shares = rng.dirichlet(np.ones(classes))
        # Rewrite the table for a million photos in the new mix; then count who is right.
        anew = np.array([row * (share * 1e6 / sum(row)) for row, share in zip(table, shares)])
        right = anew.trace() / anew.sum()
        old_mix, recognised = table.sum(1) / table.sum(), table.diagonal() / table.sum(1)
        both = old_mix * shares / (old_mix * shares).sum()
        turned = np.array([row * (share / sum(row)) for row, share in zip(table.T, shares)])
        mistakes = {
            "It is the accuracy of the old mix: it does not change with the shares.": old_mix @ recognised,
            "You weigh twice, by the old mix as well as by the new one.": both @ recognised,
            "You divide by the columns, by what photos were taken for. How well a class is recognised "
            "stands in its row.": turned.trace(),
        }
        otherwise = f"In the new mix a share of {right:.4f} would be right."
        expect(*number_from(function, table, shares), right, mistakes, otherwise)
    perfect = np.diag(rng.integers(1, 9, size=4))
    expect(*number_from(function, perfect, np.full(4, 0.25)), 1, {}, "Without errors it should be 1.", 1e-5)
