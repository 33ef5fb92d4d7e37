"""Checks of exercise 6, benchmark architectures."""

from course.checks import array_from, brief, call, expect, fail, number_from, seed_table, task

import keras
import numpy as np
import torch
from sklearn.metrics import top_k_accuracy_score
from torch.utils.flop_counter import FlopCounterMode


@task(1, "count the weights")
def weights(function, rng):
    """A function (channels, filters, kernel, groups) -> int, against layers that torch builds."""
    for grouped in (False,) * 12 + (True,) * 12:
        groups = int(rng.integers(2, 5)) if grouped else 1
        channels, filters = (groups * int(rng.integers(2, 9)) for _ in range(2))
        kernel = int(rng.integers(2, 8))
        layer = torch.nn.Conv2d(channels, filters, kernel, groups=groups, device="meta")
        of_weights, of_biases = layer.weight.numel(), layer.bias.numel()
        right, ungrouped = of_weights + of_biases, of_weights * groups + of_biases
        mistakes = {
            "That is the kernels alone. Every filter has a bias.": of_weights,
            "You count one bias a channel of each filter. A filter adds its channels up and has "
            "one bias.": of_weights + of_weights // kernel**2,
            "It is as without groups. A filter sees only the channels of its own group.": ungrouped,
            "You divide by the groups twice: the filters of all groups count.": right / groups,
        }
        answer = number_from(function, channels, filters, kernel, groups)
        expect(*answer, right, mistakes, f"A layer built that way has {right:,}.")


@task(2, "follow the size")
def sides(function):
    """A function (side) -> four ints, against layers that torch runs without computing."""
    net = (torch.nn.Conv2d(1, 1, 11, stride=4, device="meta"), *(torch.nn.MaxPool2d(3, 2) for _ in range(3)))
    for side in (227, 224, 230, 243, 200, 301):
        shown, found = array_from(function, side, shape=(4,))
        x, right = torch.empty(1, 1, side, side, device="meta"), []
        for layer in net:
            x = layer(x)
            right.append(x.shape[-1])
        padded = found[0] == right[0] + 1 and (side - 11) % 4 == 0 or found[0] == -(-side // 4)
        mistakes = {
            "The first layer has no padding: its kernel starts and ends inside the image.": padded,
            "You rounded up. A kernel that would hang over the edge gives no output.": found[0] > right[0],
            "How many places does a kernel of side 11 have if it moves by 4?": found[0] != right[0],
            "The windows of this pooling overlap: they are 3 wide and move by 2.": found[1] < right[1] - 1,
        }
        otherwise = f"A network built that way has {right[:2]} at first. Follow the later poolings likewise."
        expect(shown, found, right, mistakes, otherwise)


@task(3, "what the 1 × 1 saves")
def saving(function, rng):
    """A function (channels, reduced, filters, kernel) -> float, against counted multiplications."""

    def counted(*shapes: tuple[int, int, int]) -> int:
        with FlopCounterMode(display=False) as counter:
            for channels, filters, side in shapes:
                layer = torch.nn.Conv2d(channels, filters, side, padding="same", bias=False, device="meta")
                layer(torch.empty(1, channels, 8, 8, device="meta"))
        return counter.get_total_flops()

    for _ in range(12):
        channels, filters = (int(each) for each in rng.integers(16, 200, size=2))
        reduced, kernel = int(rng.integers(4, channels)), int(rng.choice([3, 5, 7]))
        shown, value = number_from(function, channels, reduced, filters, kernel)
        both = counted((channels, reduced, 1), (reduced, filters, kernel))
        ratio = both / counted((channels, filters, kernel))
        linear = (channels * reduced / kernel + reduced * filters) / (channels * filters)
        mistakes = {
            "Upside down.": 1 / ratio,
            "As if the 1 × 1 convolution came for nothing. It multiplies too.": reduced / channels,
            "A kernel covers an area: its side comes in squared.": linear,
        }
        expect(shown, value, ratio, mistakes, f"Counted in such layers it is {ratio:.4f}.", rtol=1e-9)


def _convolutions(model, side: int) -> list:
    return [layer for layer in model.layers if getattr(layer, "kernel_size", None) == (side, side)]


def _build(function, channels: int, filters: int, stride: int) -> tuple[keras.Model, list]:
    """The student's block as a model, and its 3 × 3 convolutions, whose kernels become 0."""
    keras.utils.clear_session(free_memory=False)
    x = keras.Input((8, 8, channels))
    shown, y = call(function, x, filters, stride, on_copies=False)  # a copy belongs to no graph
    shown += f" with {channels} channels in x"
    fail(f"{shown} should return a Keras tensor, not {brief(y)}.", when=not isinstance(y, keras.KerasTensor))
    wanted = (None, -(-8 // stride), -(-8 // stride), filters)
    fail(f"{shown} has shape {y.shape}, not {wanted}. Which layers take the stride?", when=y.shape != wanted)
    model = keras.Model(x, y)
    threes = _convolutions(model, 3)
    for layer in threes:
        layer.set_weights([np.zeros_like(each) for each in layer.get_weights()])
    return model, threes


@task(4, "the bugs in a residual block")
def block(function, rng):
    """A function (x, filters, stride) -> Keras tensor, by what it does when its kernels are 0."""
    plain, threes = _build(function, 4, 4, 1)
    fail(f"It has {len(threes)} convolutions with kernel 3 and should have two.", when=len(threes) != 2)
    if _convolutions(plain, 1):
        fail("With equal shapes the shortcut should be the input itself, so that a signal passes unchanged.")
    norms = [layer for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if len(norms) != 2 or any(layer.use_bias for layer in threes):
        fail("Each convolution should be without bias and be followed by a batch normalisation.")
    images = rng.normal(size=(2, 8, 8, 4)).astype("float32")
    out = plain.predict(images, verbose=0)
    zeros, passed = "With kernels of zero", np.maximum(images, 0)
    fail(f"{zeros} nothing comes through. Where is the shortcut?", when=not out.any())
    if np.allclose(out, images, atol=1e-4):
        fail(f"{zeros} negative values come out too. The last ReLU stands before the sum, not after it.")
    if not np.allclose(out, passed, atol=1e-4):
        fail(f"{zeros} the block should hand on its input, but for one ReLU, and it does not.")
    # The first convolution turns the sign, the second keeps it. Without a ReLU between them the
    # branch takes away what the shortcut brings; with one it takes away nothing.
    for sign, layer in zip((-1, 1), threes):
        kernel = np.zeros((3, 3, 4, 4))
        kernel[1, 1] = sign * np.eye(4)
        layer.set_weights([kernel])
    out = plain.predict(images, verbose=0)
    fail("No ReLU between the two convolutions makes them one linear map.", when=np.abs(out).max() < 0.1)
    if not np.allclose(out, passed, atol=0.05):
        fail("Between the two convolutions stands something else than a batch normalisation and a ReLU.")
    for channels, filters, stride in ((4, 6, 1), (4, 4, 2), (4, 8, 2)):
        wide, _ = _build(function, channels, filters, stride)
        ones = _convolutions(wide, 1)
        if len(ones) != 1 or ones[0].use_bias:
            fail("Where shapes differ, the shortcut should be one 1 × 1 convolution without bias.")
        fail("Where shapes differ, nothing comes through.", when=not wide.predict(images, verbose=0).any())


@task(5, "score as the contest did")
def top(function, rng):
    """A function (probabilities, truth, k) -> float, against scikit-learn's top-k accuracy."""
    for k in (5, 3, 1, 5, 2):
        classes, n = int(rng.integers(8, 20)), int(rng.integers(30, 80))
        probabilities = rng.dirichlet(np.ones(classes), size=n)
        truth = rng.integers(0, classes, size=n)
        shown, value = number_from(function, probabilities, truth, k)
        each, how = (probabilities, -probabilities), {"k": k, "labels": np.arange(classes)}
        right, of_unlikeliest = (top_k_accuracy_score(truth, scores, **how) for scores in each)
        too_large = value > 1 - right
        mistakes = {
            "That is the share that is right, not the error.": right,
            f"It looks among the {k} unlikeliest classes.": 1 - of_unlikeliest,
            f"Too large. The truth may be anywhere among the {k} likeliest, not exactly last.": too_large,
        }
        expect(shown, value, 1 - right, mistakes, f"scikit-learn says {1 - right:.3f}.", rtol=1e-5)


@task(6, "how deep")
def depth(function, rng):
    """A function (table) -> int, on tables in which each wrong rule chooses another depth."""
    for _ in range(20):
        depths = np.sort(rng.choice(np.arange(2, 40), size=5, replace=False))
        seeds = int(rng.integers(4, 9))
        noise = rng.standard_normal((5, seeds))
        noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, ddof=1, keepdims=True)
        error = 0.01 / np.sqrt(seeds)  # of every mean, since all have a deviation of 0.01
        # too poor; within one deviation only; within one error; the best; lucky once
        means = 0.9 - np.array([4 * 0.01, 0.5 * (0.01 + error), 0.6 * error, 0, 3 * 0.01])
        scores = means[:, None] + 0.01 * noise
        scores[4, :2] += 0.09, -0.09
        shown, value = number_from(function, seed_table(rng, "depth", depths, accuracy=scores))
        mistakes = {
            f"That is none of the depths {depths.tolist()}.": value not in depths,
            "It has the highest mean. Is there a simpler one, hardly worse?": depths[3],
            "You let in too much: you measure by the spread of single seeds, where the rule takes the "
            "standard error of a mean.": depths[1],
            "You follow the single best score. One lucky seed is no mean.": depths[4],
        }
        expect(shown, value, depths[2], mistakes, "Its mean lies far below the best.")
