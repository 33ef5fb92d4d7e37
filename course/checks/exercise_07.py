"""Checks of exercise 7, transfer learning."""

import itertools

from course.checks import as_array, as_number, brief, call, call_for_number, expect, fail, task

import numpy as np


@task(1, "feed it what it knows")
def in_range(function):
    """A function (images, black, white) -> float32 array, by values it must hit."""
    rng = np.random.default_rng(2026)
    for black, white in ((0, 1), (-1, 1), (0, 2), (-3, 5), (-1.0, 1.0), (2, -2)):
        images = rng.integers(40, 201, size=(2, 4, 5, 3)).astype(np.uint8)
        shown = f"to_range(images, {black}, {white})"
        result = call(function, images, black, white, shown=shown)
        found = as_array(result, images.shape, shown)
        if getattr(result, "dtype", None) != np.float32:
            fail(
                f"{shown} is {result.dtype}, and should be float32: networks compute in it, "
                "and it takes half the memory."
            )
        ends = np.asarray(call(function, np.array([0, 255], np.uint8), black, white, shown=shown))
        of_256 = [black, black + (white - black) * 255 / 256]
        mistakes = {
            "White does not become `white`. The levels run from 0 to 255, so 256 is not among them.": of_256
        }
        otherwise = (
            f"With {shown} black becomes {ends[0]:.3g} and white {ends[1]:.3g}. Does every "
            "number on the way fit into its type? One byte ends at 255."
        )
        expect(ends, [black, white], mistakes, otherwise, rtol=1e-5, atol=1e-5)
        order = np.argsort(images.ravel(), kind="stable")
        grey = images.ravel()[order].astype(float)
        steps = np.diff(found.ravel()[order])
        if (steps * np.sign(white - black) < -1e-6).any():
            fail(
                f"{shown} makes some lighter pixels darker. Somewhere a number no longer fits "
                "into one byte and starts again from 0."
            )
        # Along a grey wedge equal steps stay equal; a photo's own range has no part in that.
        slope = np.polyfit(grey, found.ravel()[order], 1)[0]
        if not np.isclose(slope, (ends[1] - ends[0]) / 255, rtol=1e-3):
            fail(
                "The same grey level becomes another number in another photo: you stretch each "
                "to its own darkest and lightest pixel. A dark photo should stay dark."
            )


@task(2, "freeze it properly")
def freeze(function):
    """A function (model, name) -> int, on small models whose layers are marked."""
    import keras

    rng = np.random.default_rng(2026)

    def build():
        steps = [keras.Input((8, 8, 2))]
        for number in range(1, 5):
            filters = int(rng.integers(2, 6))
            steps += [
                keras.layers.Conv2D(filters, 3, padding="same", name=f"conv{number}"),
                keras.layers.BatchNormalization(name=f"norm{number}"),
                keras.layers.Activation("relu", name=f"relu{number}"),
            ]
        pool, head = keras.layers.GlobalAveragePooling2D(name="pool"), keras.layers.Dense(3, name="head")
        return keras.Sequential([*steps, pool, head])

    for number, asleep in itertools.product((2, 3, 4, 1), (False, True)):
        model, name = build(), f"conv{number}"
        for part in model.layers:
            part.trainable = not asleep
        shown = f"freeze_below(model, {name!r})"
        value = as_number(call(function, model, name, shown=shown, on_copies=False), shown)
        state = {layer.name: layer.trainable for layer in model.layers if layer.weights}
        convs = {key: flag for key, flag in state.items() if not key.startswith("norm")}
        lower = [convs[f"conv{k}"] for k in range(1, number)]
        upper = [convs[f"conv{k}"] for k in range(number + 1, 5)] + [convs["head"]]
        if any(lower) and not any(upper):
            fail(f"{shown} freezes the wrong side: the layers above {name} and not those below.")
        if any(lower):
            fail(f"{shown} leaves layers below {name} free.")
        if any(flag for key, flag in state.items() if key.startswith("norm")):
            fail(f"{shown} leaves a BatchNormalization free. It must not train, wherever it stands.")
        if asleep and (not all(upper) or not model.trainable_weights):
            fail(
                f"Where every layer was frozen before, {shown} leaves all asleep. Layers "
                "that shall train have to be woken up."
            )
        if not convs[name] and all(upper):
            fail(f"{shown} freezes {name} itself. Only what lies below it shall freeze.")
        if not all(upper):
            fail(f"{shown} freezes layers above {name}.")
        right = sum(weight.numpy().size for weight in model.trainable_weights)
        if value == len(model.trainable_weights):
            fail(f"{shown} returns {value:g}, the number of arrays. Count the numbers in them.")
        if value != right:
            fail(f"{shown} freezes rightly and returns {value:g}; {right:,} numbers can still train.")


@task(3, "a score without a leak")
def folds(function):
    """A function (fit_and_predict, X, y, folds) -> labels, with a model that remembers."""
    rng = np.random.default_rng(2026)
    shown = "out_of_fold(fit_and_predict, X, y, folds)"
    for _ in range(10):
        n, parts = int(rng.integers(20, 40)), int(rng.integers(3, 6))
        X = np.column_stack([np.arange(n), rng.normal(size=n)])
        y = rng.integers(0, 4, size=n)
        order = rng.permutation(n)
        pieces = np.array_split(order, parts)
        split = [(np.setdiff1d(order, piece), piece) for piece in pieces]
        seen_again, asked = [], []

        def remember(train_X, train_y, test_X):
            """Says of row i: class (7 i) mod 5; notes which rows it was shown."""
            if len(train_X) != len(train_y):
                raise ValueError(f"{len(train_X)} rows and {len(train_y)} labels do not match")
            rows = test_X[:, 0].astype(int)
            known = train_X[:, 0].astype(int)
            if not np.array_equal(y[known], train_y):
                raise ValueError("these labels belong to other rows")
            asked.extend(rows.tolist())
            seen_again.extend(np.intersect1d(known, rows).tolist())
            return (7 * rows) % 5

        # A copied function would note things elsewhere.
        answer = call(function, remember, X, y, split, shown=shown, on_copies=False)
        if seen_again:
            fail(f"Row {seen_again[0]} was predicted by a model that had seen it.")
        missing = np.setdiff1d(order, asked)
        if len(missing):
            fail(f"{len(missing)} of {n} rows are never predicted.")
        if len(asked) > n:
            fail(f"Some rows are predicted more than once: {len(asked)} predictions of {n} rows.")
        found = as_array(answer, (n,), shown)
        wanted = (7 * np.arange(n)) % 5
        in_order_of_folds = wanted[np.array(asked)]
        mistakes = {
            "The predictions come in the order of the folds. Put them back into the order of the "
            "rows.": in_order_of_folds
        }
        expect(found, wanted, mistakes, "Some predictions are not those that the model gave for these rows.")


@task(4, "what you may promise")
def limit(function):
    """A function (right, n, level) -> float, by the binomial probability at what it returns."""
    from math import comb

    def at_least(k: int, n: int, p: float) -> float:
        return sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))

    cases = ((18, 20), (9, 30), (58, 60), (1, 15), (40, 60), (20, 20))
    for (right, n), level in itertools.product(cases, (0.025, 0.1)):
        shown = f"lower_limit({right}, {n}, {level})"
        value = call_for_number(function, right, n, level, shown=shown)
        if not 0 <= value <= 1:
            fail(
                f"{shown} is {value:.3f}, which is no accuracy. The normal approximation "
                "fails for small numbers."
            )
        if abs(at_least(right, n, value) - level) < 0.02 * level + 1e-4:
            continue
        if value > right / n + 1e-9:
            fail(f"{shown} is {value:.3f}, above the share that was right: an upper limit.")
        if right < n and abs(at_least(right + 1, n, value) - level) < 0.02 * level + 1e-4:
            fail(
                f"{shown} is {value:.4f}: there, more than {right} right answers have that "
                "probability. The task asks for so many or more."
            )
        if right == n and value > 0.999:
            fail(
                f"{shown} is {value:.3f}. A few photos cannot prove that it never errs; "
                'neither the normal approximation nor "more than" works at this end.'
            )
        fail(
            f"{shown} is {value:.4f}, and there {right} or more right answers have the probability "
            f"{at_least(right, n, value):.4f}, not {level}. (The normal approximation does not do here.)"
        )
    shown = "lower_limit(0, 12, 0.05)"
    nothing = call_for_number(function, 0, 12, 0.05, shown=shown, what="The limit for nothing right")
    if not np.isclose(nothing, 0, atol=1e-4):
        fail(f"With nothing right it promises {nothing:.3f}.")


@task(5, "another portfolio")
def mix(function):
    """A function (confusion, shares) -> float, against photos drawn anew in the other mix."""
    rng = np.random.default_rng(2026)
    for _ in range(20):
        classes = int(rng.integers(3, 6))
        rows = rng.integers(20, 400, size=classes)
        likely = [rng.dirichlet(np.ones(classes) + 6 * np.eye(classes)[k]) for k in range(classes)]
        table = np.array([rng.multinomial(*each) for each in zip(rows, likely)]) + np.eye(classes, dtype=int)
        shares = rng.dirichlet(np.ones(classes))
        shown, what = "expected_accuracy(confusion, shares)", "The expected accuracy"
        value = call_for_number(function, table, shares, shown=shown, what=what)
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
        otherwise = (
            f"For a random table it gives {value:.4f}, where photos in the new mix would be right "
            f"with a share of {right:.4f}."
        )
        expect(value, right, mistakes, otherwise)
    perfect = np.diag(rng.integers(1, 9, size=4))
    value = call_for_number(function, perfect, np.full(4, 0.25), shown=brief(function), what=what)
    expect(value, 1, {}, "Without errors it should be 1 in every mix.", rtol=1e-5)
