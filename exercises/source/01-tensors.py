# %% [markdown]
# # Exercise 1: images are tensors
#
# *Goes with lecture 1. One hour.*
#
# An image is an array of numbers with three axes. Most bugs in computer vision are bugs with axes,
# with data types or with copies, and they raise no error: the picture is merely wrong. Here you
# meet the usual ones while nothing depends on them.
#
# The check below each task says what is wrong, so run it early and often. It gives no marks.

# %%
import course

import matplotlib.pyplot as plt
import numpy as np

from course.checks import exercise_01 as check
from course.interactive import explore
from course.plots import use_course_style

use_course_style()

# %% [markdown]
# ## Task 1: predict the shape (10 minutes)
#
# An insurer keeps photos of dented cars: 32 photos in a batch, each 120 pixels high and 160 wide,
# in colour. What shape has each of these? Write the shapes down **before** you compute anything.

# %%
photos = np.zeros((32, 120, 160, 3), dtype="uint8")

questions = {
    "a": lambda photos: photos[0],
    "b": lambda photos: photos[0:1],
    "c": lambda photos: photos[..., 0],
    "d": lambda photos: photos[:, ::4, ::4],
    "e": lambda photos: photos.mean(axis=(1, 2)),
    "f": lambda photos: photos[5, 60].T,
    "g": lambda photos: photos.reshape(32, -1),
}

# %% [markdown]
# <details><summary>Hint</summary>
#
# A plain number as index removes its axis, a slice keeps it. The axes in `axis=` are the ones that
# vanish. A shape with one axis is written `(7,)`.
# </details>

# %% task="shapes"
# --- solution ---
shapes = {
    "a": (120, 160, 3),
    "b": (1, 120, 160, 3),
    "c": (32, 120, 160),
    "d": (32, 30, 40, 3),
    "e": (32, 3),
    "f": (3, 160),
    "g": (32, 57_600),
}
# --- blank ---
# shapes = {
#     "a": ...,
#     "b": ...,
#     "c": ...,
#     "d": ...,
#     "e": ...,
#     "f": ...,
#     "g": ...,
# }
# --- end ---

# %% wrong="shapes" says="keeps its axis"
shapes = {"a": (120, 160, 3), "b": (120, 160, 3), "c": (32, 120, 160), "d": (32, 30, 40, 3),
          "e": (32, 3), "f": (3, 160), "g": (32, 57_600)}

# %% wrong="shapes" says="in another order"
shapes = {"a": (120, 160, 3), "b": (1, 120, 160, 3), "c": (32, 120, 160), "d": (32, 40, 30, 3),
          "e": (32, 3), "f": (3, 160), "g": (32, 57_600)}

# %% wrong="shapes" says="removes"
shapes = {"a": (120, 160, 3), "b": (1, 120, 160, 3), "c": (32, 120, 160, 1), "d": (32, 30, 40, 3),
          "e": (32, 3), "f": (3, 160), "g": (32, 57_600)}

# %% check="shapes"
check.shapes(shapes, questions, photos)

# %% [markdown]
# ## Task 2: one byte, three readings (10 minutes)
#
# The eight bits 1010 0001 can be the number 161, the two hexadecimal digits A1, or, as a signed
# byte in two's complement, a negative number. Write two conversions with arithmetic only: no
# `np.int8`, no `int(text, 16)`.
#
# What is 1111 1111 as a signed byte? Guess, then write.
#
# <details><summary>Hint: signed</summary>
#
# In two's complement the first bit counts −128 where it would count +128 in an unsigned byte. The
# other bits count as always.
# </details>
#
# <details><summary>Hint: colour</summary>
#
# `"0123456789ABCDEF".index("C")` is 12. Two digits make one byte.
# </details>

# %% task="byte"
def signed(byte):
    """The value of an unsigned byte, 0 to 255, when it is read as a signed one."""
    # --- solution ---
    return byte - 256 * (byte // 128)
    # --- end ---


def colour(text):
    """Red, green and blue of a colour like "#A1FF03", as a tuple of three numbers."""
    # --- solution ---
    values = ["0123456789ABCDEF".index(letter) for letter in text[1:].upper()]
    return tuple(16 * high + low for high, low in zip(values[::2], values[1::2]))
    # --- end ---

# %% wrong="byte" says="127"
def signed(byte):
    return byte - 128


def colour(text):
    values = ["0123456789ABCDEF".index(letter) for letter in text[1:].upper()]
    return tuple(16 * high + low for high, low in zip(values[::2], values[1::2]))

# %% wrong="byte" says="sign bit"
def signed(byte):
    return byte if byte < 128 else 128 - byte


def colour(text):
    values = ["0123456789ABCDEF".index(letter) for letter in text[1:].upper()]
    return tuple(16 * high + low for high, low in zip(values[::2], values[1::2]))

# %% wrong="byte" says="first digit"
def signed(byte):
    return byte - 256 * (byte > 127)


def colour(text):
    values = ["0123456789ABCDEF".index(letter) for letter in text[1:].upper()]
    return tuple(high + low for high, low in zip(values[::2], values[1::2]))

# %% wrong="byte" says="sixteens"
def signed(byte):
    return byte - 256 * (byte > 127)


def colour(text):
    values = ["0123456789ABCDEF".index(letter) for letter in text[1:].upper()]
    return tuple(10 * high + low for high, low in zip(values[::2], values[1::2]))

# %% check="byte"
check.byte(signed, colour)

# %% [markdown]
# ## Task 3: find the bug (10 minutes)
#
# A claims handler brightens a dark photo, and the lamp in it turns black:

# %%
def brighten_with_bug(image, amount):
    """The image with `amount` added to each value; negative amounts darken."""
    return image + np.array(amount).astype("uint8")


lamp = np.array([[10, 60, 120], [60, 200, 240], [120, 240, 250]], dtype="uint8")
brighten_with_bug(lamp, 40)

# %% [markdown]
# What happened to 240? Write the function right: the result is `uint8` again, and values stop at
# the ends of the scale. It must also darken, for which `amount` is negative.
#
# <details><summary>Hint</summary>
#
# Leave the bytes before you add, and come back when nothing can go over any more.
# </details>

# %% task="brighten"
def brighten(image, amount):
    """The image with `amount` added to each value, as uint8, cut at 0 and 255."""
    # --- solution ---
    wide = image.astype("int64") + amount
    return np.clip(wide, 0, 255).astype("uint8")
    # --- end ---

# %% wrong="brighten" says="wraps"
def brighten(image, amount):
    return image + np.array(amount).astype("uint8")

# %% wrong="brighten" says="uint8"
def brighten(image, amount):
    return np.clip(image.astype(int) + amount, 0, 255)

# %% wrong="brighten" says="negative"
def brighten(image, amount):
    return np.minimum(image.astype(int) + amount, 255).astype("uint8")

# %% wrong="brighten" says="too late"
def brighten(image, amount):
    return np.clip(image + np.array(amount).astype("uint8"), 0, 255)

# %% check="brighten"
check.brighten(brighten)


def show_brightness(amount):
    """The lamp, by both functions."""
    fig, axes = plt.subplots(1, 2, figsize=(6, 3))
    for axis, function in zip(axes, (brighten_with_bug, brighten)):
        axis.imshow(function(lamp, amount), cmap="gray", vmin=0, vmax=255)
        axis.set_title(function.__name__, fontsize=12)
        axis.set_axis_off()
    plt.show()


explore(show_brightness, amount=(40, -100, 100))

# %% [markdown]
# ## Task 4: one plane, and a trap (10 minutes)
#
# Here is an umbrella, sixteen pixels wide, drawn by hand: each letter is a colour.

# %%
PALETTE = {".": (255, 255, 255), "r": (200, 30, 60), "y": (255, 205, 0), "k": (27, 39, 51)}
DRAWING = """
................
.......kk.......
.....rryyrr.....
...rrryyyyrrr...
..rrrryyyyrrrr..
.rrrrryyyyrrrrr.
.rrrryyyyyyrrrr.
.r.rr.yyyy.rr.r.
.......kk.......
.......kk.......
.......kk.......
.......kk.......
.......kk..k....
.......kk..k....
........kkkk....
................
"""
umbrella = np.array([[PALETTE[letter] for letter in row] for row in DRAWING.split()], "uint8")

plt.figure(figsize=(2.5, 2.5))
plt.imshow(umbrella)
plt.axis("off")
umbrella.shape, umbrella.dtype

# %% [markdown]
# Write `only(image, channel)`: the same image with the other two planes set to 0. Its shape stays
# the same, so that it can be shown in colour. The image that came in must be unchanged: `=` gives
# an array another name, it copies nothing.
#
# Predict: which parts of the umbrella are bright in its red plane, and which in its blue plane?
#
# <details><summary>Hint</summary>
#
# Start from an array of zeros of the same shape and type, and fill in one plane.
# </details>

# %% task="only"
def only(image, channel):
    """The image with all planes but one set to 0. channel: 0 red, 1 green, 2 blue."""
    # --- solution ---
    plane = np.zeros_like(image)
    plane[..., channel] = image[..., channel]
    return plane
    # --- end ---

# %% wrong="only" says="changed"
def only(image, channel):
    result = image
    for other in range(3):
        if other != channel:
            result[:, :, other] = 0
    return result

# %% wrong="only" says="shape"
def only(image, channel):
    return image[:, :, channel]

# %% wrong="only" says="other planes"
def only(image, channel):
    result = np.zeros_like(image)
    result[:, :] = image[:, :, channel][:, :, np.newaxis]
    return result

# %% wrong="only" says="last axis"
def only(image, channel):
    result = np.zeros_like(image)
    result[channel] = image[channel]
    return result

# %% check="only"
check.only(only)

fig, axes = plt.subplots(1, 4, figsize=(8.5, 2.5))
pictures = [umbrella, *(only(umbrella, channel) for channel in range(3))]
for axis, picture, title in zip(axes, pictures, ("all", "red", "green", "blue")):
    axis.imshow(picture)
    axis.set_title(title)
    axis.set_axis_off()

# %% [markdown]
# White is bright in all three planes, yellow in red and green.
#
# ## Task 5: turn it (10 minutes)
#
# Turn an image by a quarter, **anticlockwise**, with nothing but swapped axes and slices: no
# `np.rot90`, no loop. Then compare with the library.
#
# Where does the pixel in the upper right corner go? Answer before you write.
#
# <details><summary>Hint</summary>
#
# `image.swapaxes(0, 1)` mirrors at the diagonal: rows become columns. One mirror more makes a turn.
# Which of the two possible ones?
# </details>

# %% task="turn"
def quarter_turn(image):
    """The image (height, width, channels) turned anticlockwise by 90 degrees."""
    # --- solution ---
    return image.swapaxes(0, 1)[::-1]
    # --- end ---

# %% wrong="turn" says="clockwise"
def quarter_turn(image):
    return image.swapaxes(0, 1)[:, ::-1]

# %% wrong="turn" says="mirror"
def quarter_turn(image):
    return image.swapaxes(0, 1)

# %% wrong="turn" says="channels"
def quarter_turn(image):
    return image.T[::-1]

# %% check="turn"
check.turn(quarter_turn)

print("As the library has it:", np.array_equal(quarter_turn(umbrella), np.rot90(umbrella)))
picture = umbrella
fig, axes = plt.subplots(1, 4, figsize=(8.5, 2.5))
for axis in axes:
    axis.imshow(picture)
    axis.set_axis_off()
    picture = quarter_turn(picture)

# %% [markdown]
# ## Task 6: will it fit? (10 minutes)
#
# An insurer wants to have old files read: two million pages, scanned at 2,480 × 3,508 pixels in
# colour, one byte a value. A network wants its input as `float32`, four bytes a value, and in
# training it keeps about 20 numbers for each number that goes in. Write
#
# - `gigabytes(shape, bytes_per_value)`: the size of an array of that shape, in units of $10^9$
#   bytes;
# - `largest_batch(image_shape, memory, copies)`: the largest number of images of `float32` that
#   fit into `memory` gigabytes when `copies` numbers are kept for each number of the input.
#
# Guess first: does a batch of 32 such pages fit into 16 GB?
#
# <details><summary>Hint</summary>
#
# How many values has an array? Multiply its shape, channels and all. A batch is a whole number.
# </details>

# %% task="memory"
def gigabytes(shape, bytes_per_value):
    """The size of an array in units of 10**9 bytes."""
    # --- solution ---
    return np.prod(shape, dtype=float) * bytes_per_value / 1e9
    # --- end ---


def largest_batch(image_shape, memory, copies):
    """How many float32 images fit into `memory` gigabytes; 0 if not even one does."""
    # --- solution ---
    each = gigabytes(image_shape, 4) * copies
    return int(memory // each)
    # --- end ---

# %% wrong="memory" says="bits"
def gigabytes(shape, bytes_per_value):
    return np.prod(shape, dtype=float) * bytes_per_value * 8 / 1e9


def largest_batch(image_shape, memory, copies):
    return int(memory // (gigabytes(image_shape, 4) * copies))

# %% wrong="memory" says="every axis"
def gigabytes(shape, bytes_per_value):
    return np.prod(shape[:-1], dtype=float) * bytes_per_value / 1e9


def largest_batch(image_shape, memory, copies):
    return int(memory // (gigabytes(image_shape, 4) * copies))

# %% wrong="memory" says="1024"
def gigabytes(shape, bytes_per_value):
    return np.prod(shape, dtype=float) * bytes_per_value / 2**30


def largest_batch(image_shape, memory, copies):
    return int(memory // (gigabytes(image_shape, 4) * copies))

# %% wrong="memory" says="float32"
def gigabytes(shape, bytes_per_value):
    return np.prod(shape, dtype=float) * bytes_per_value / 1e9


def largest_batch(image_shape, memory, copies):
    return int(memory // (gigabytes(image_shape, 1) * copies))

# %% wrong="memory" says="does not fit"
def gigabytes(shape, bytes_per_value):
    return np.prod(shape, dtype=float) * bytes_per_value / 1e9


def largest_batch(image_shape, memory, copies):
    return int(np.ceil(memory / (gigabytes(image_shape, 4) * copies)))

# %% check="memory"
check.memory(gigabytes, largest_batch)

page = (3508, 2480, 3)
print(f"All pages: {gigabytes((2_000_000, *page), 1):,.0f} GB")
print(f"A batch of 32 in training: {gigabytes((32, *page), 4) * 20:,.0f} GB")
for shape in (page, (877, 620, 3), (877, 620, 1)):
    print(f"{shape}: {largest_batch(shape, 16, 20):,} fit into 16 GB")

# %% [markdown]
# **To discuss.** You can make the pages smaller, drop the colour, or buy memory. What would you
# want to know about the forms before you choose? Which choice can you take back later?

# %% [markdown] solution=true
# Look at the smallest thing that must still be legible: a full stop in a sum, a red stamp
# "cancelled". If the thinnest stroke is four pixels wide, a quarter of the size still shows it; if
# colour tells a copy from an original, grey loses it. Keep the scans as they are and shrink on the
# way into the network: that choice can be taken back, a shrunken archive cannot.
