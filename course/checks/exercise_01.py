"""Checks of exercise 1, tensors."""

from course.checks import array_from, as_array, as_count, as_shapes, call, expect, fail, number_from, task

import numpy as np


@task(1, "predict the shape")
def shapes(answers, questions, photos):
    """A dictionary of shapes, against what NumPy makes of the questions."""
    for name, answer in as_shapes(answers, list(questions), "(2, 3)").items():
        right = questions[name](photos).shape
        if answer == right:
            continue
        if len(answer) < len(right):
            fail(f"({name}) has more axes than you say. A slice keeps its axis, unmentioned ones stay.")
        if len(answer) > len(right):
            fail(f"({name}) has fewer axes than you say. A number as index removes its axis, a mean too.")
        fail(f"({name}) has these lengths, but in another order.", when=sorted(answer) == sorted(right))
        fail(f"({name}) is not {answer}. The number of axes is right, not all lengths are.")


@task(2, "one byte")
def byte(signed, colour, rng):
    """Two functions, against NumPy's own reading of the same bits."""
    for value in range(256):
        mistakes = {
            "Up to 127 both readings agree, since the first bit is 0.": value < 128,
            "You read the first bit as a mere sign bit. There would be two zeros; there is one.": 128 - value,
        }
        right = int(np.uint8(value).view(np.int8))
        otherwise = f"Its bits are {value:08b}. What does the first one count?"
        expect(*number_from(signed, value), right, mistakes, otherwise)
    for triple in [(0, 255, 16), (1, 160, 15), *rng.integers(0, 256, size=(20, 3)).tolist()]:
        shown, found = array_from(colour, "#" + "".join(f"{each:02X}" for each in triple), shape=(3,))
        first, second = np.divmod(triple, 16)
        mistakes = {
            "The first digit of a pair counts as much as the second, and should count more.": first + second,
            "The first digit of a pair counts sixteens, not tens.": 10 * first + second,
        }
        otherwise = "Take it apart: '#', then two digits for each of red, green and blue."
        expect(shown, found, triple, mistakes, otherwise)


@task(3, "the bug")
def brighten(function, rng):
    """A function (image, amount) -> uint8 image, by counting levels."""
    before = np.arange(256)
    scale = before.astype("uint8").reshape(16, 16)
    for amount in (0, 40, 255, -40, -255, int(rng.integers(1, 200)), -int(rng.integers(1, 200))):
        shown, after = array_from(function, scale, amount, shape=(16, 16), dtype="uint8")
        after = after.ravel()
        right = (before[1:] <= before[:, np.newaxis] + amount).sum(axis=1)  # levels that lie at or below
        first, falls = int(np.argmax(after != right)), (np.diff(after) < 0).any()
        mistakes = {
            "The sum wraps around, and clipping afterwards comes too late.": falls and amount > 0,
            "The lower end, for a negative amount, needs care as well.": falls and amount < 0,
        }
        otherwise = f"Values inside the scale should move by {amount}, and stop at its ends."
        shown += f", in which {first} becomes {after[first]:g},"
        expect(shown, after, right, mistakes, otherwise)


@task(4, "one plane")
def only(function, rng):
    """A function (image, channel) -> image, on random images of three different planes."""
    for channel in range(3):
        image = rng.integers(1, 256, size=(5, 4, 3), dtype="uint8")
        given = image.copy()
        shown, answer = call(function, given, channel, on_copies=False)
        fail("The given image is changed. Use an array of its own.", when=not np.array_equal(given, image))
        answer = as_array(answer, image.shape, shown)
        if not np.array_equal(answer[:, :, channel], image[:, :, channel]):
            fail(f"In {shown} plane {channel} is not that of the image. Channels are the last axis.")
        if np.delete(answer, channel, axis=2).any():
            fail(f"In {shown} the other planes are not 0, so that it would be shown in grey.")


@task(5, "a quarter turn")
def turn(function, rng):
    """A function image -> image, against the library's turn."""
    for height, width in ((4, 7), (7, 4)):
        image = rng.integers(0, 256, size=(height, width, 3), dtype="uint8")
        shown, answer = array_from(function, image)
        mirror = "which is a mirror image and no turn."
        mistakes = {
            "The channels must stay the last axis.": answer.shape[-1:] != (3,),
            "The image is turned clockwise.": np.rot90(image, 3),
            f"The image is mirrored at a diagonal, {mirror}": np.rot90(image[:, ::-1]),
            f"The image is mirrored at the other diagonal, {mirror}": np.rot90(image[::-1]),
        }
        otherwise = "The pixel of the upper right corner should come to the upper left one."
        expect(f"{shown} of shape {image.shape}", answer, np.rot90(image), mistakes, otherwise)


@task(6, "will it fit")
def memory(gigabytes, largest_batch, rng):
    """Two functions, against the sizes of real arrays."""
    for kind in ("uint8", "float32", "float64"):
        shape = tuple(int(each) for each in rng.integers(2, 12, size=3))
        array = np.zeros(shape, dtype=kind)
        shown, value = number_from(gigabytes, shape, array.itemsize)
        size, value = array.nbytes, 1e9 * value
        forgotten = min(shape, key=lambda axis: abs(axis * value - size))
        mistakes = {
            "Eight times too many. These are bits.": 8 * size,
            "The task asks for units of 10⁹ bytes, not of 1024 × 1024 × 1024.": size * 1e9 / 2**30,
            f"NumPy needs {size:,}. Does every axis count?": size / forgotten,
        }
        expect(f"In bytes {shown}", value, size, mistakes, f"NumPy needs {size:,}.", rtol=1e-5)
    for _ in range(20):
        shape = (*(int(each) for each in rng.integers(200, 3000, size=2)), 3)
        space, copies = round(rng.uniform(4, 64), 1), int(rng.integers(2, 30))
        shown, batch = call(largest_batch, shape, space, copies)
        batch = as_count(batch, shown)
        one = np.dtype("float32").itemsize * copies * float(np.prod(shape)) / 1e9
        if one * batch > 3 * space * (1 + 1e-12):
            fail(f"{shown} is {batch:,}, about four times too many. A float32 has more than one byte.")
        if one * batch > space * (1 + 1e-12):
            fail(f"{shown} is {batch:,}, which does not fit: it needs {one * batch:.2f} GB.")
        fail(f"{shown} is {batch:,}, but one more would fit.", when=one * (batch + 1) < space * (1 - 1e-12))
