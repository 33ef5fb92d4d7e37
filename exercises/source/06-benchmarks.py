# %% [markdown]
# # Exercise 6: architectures, audited
#
# *Goes with lecture 6. One hour.*
#
# A table in a paper is a claim. You check such tables by arithmetic, build the block that made
# networks deep, score as the contest did, and choose a depth as you would choose a model for
# reserving: no larger than it must be.
#
# The check below each task says what is wrong, so run it early and often. It gives no marks.

# %%
import course  # chooses Keras's torch backend, so it comes before keras

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keras import layers

from course.models import architectures
from course.checks import exercise_06 as check
from course.interactive import explore
from course.plots import use_course_style

use_course_style()

# %% [markdown]
# ## Task 1: count the weights (10 minutes)
#
# AlexNet was trained on two graphics cards. Some of its layers are **grouped**: the input
# channels are dealt out to the groups, the filters too, and a filter sees only the channels of its
# own group.
#
# Predict: two groups instead of one. Do the weights double, halve, or stay?
#
# Then write the count of a convolutional layer's parameters. Every filter has a bias.
#
# <details><summary>Hint</summary>
#
# How many channels does one filter see? That gives its weights. The number of filters
# stays what it is.
# </details>

# %% task="weights"
def conv_parameters(channels, filters, kernel, groups):
    """Parameters of a convolution with square kernels of side `kernel` and a bias a filter."""
    # --- solution ---
    weights_of_one = kernel ** 2 * channels // groups
    return filters * (weights_of_one + 1)
    # --- end ---

# %% wrong="weights" says="bias"
def conv_parameters(channels, filters, kernel, groups):
    return kernel ** 2 * channels // groups * filters

# %% wrong="weights" says="groups"
def conv_parameters(channels, filters, kernel, groups):
    return filters * (kernel ** 2 * channels + 1)

# %% wrong="weights" says="twice"
def conv_parameters(channels, filters, kernel, groups):
    return filters // groups * (kernel ** 2 * channels // groups + 1)

# %% wrong="weights" says="one bias a channel"
def conv_parameters(channels, filters, kernel, groups):
    return filters * channels // groups * (kernel ** 2 + 1)

# %% check="weights"
check.weights(conv_parameters)

print(f"AlexNet's second layer: {conv_parameters(96, 256, 5, 2):,} parameters in two groups, "
      f"{conv_parameters(96, 256, 5, 1):,} in one")

# %% [markdown]
# ## Task 2: follow the size (10 minutes)
#
# AlexNet shrinks its input in four places: a convolution with kernel 11 and stride 4, without
# padding, and later three max poolings with window 3 and stride 2, without padding. What lies between them has
# "same" padding and stride 1.
#
# Predict first: the paper says its input has side 224. Can the first layer then have 55 × 55
# outputs? The slider shows what is left over at the right edge.

# %%
def show_left_over(side):
    """How many pixels at the right edge no kernel of the first layer reaches."""
    outputs = (side - 11) // 4 + 1
    reached = 11 + 4 * (outputs - 1)
    print(f"side {side}: {outputs} outputs, {side - reached} pixels not reached")


explore(show_left_over, side=(227, 200, 256))

# %% [markdown]
# <details><summary>Hint</summary>
#
# One formula serves all four, with other numbers. You wrote it in exercise 2.
# </details>

# %% task="sides"
def alexnet_sides(side):
    """The four sides after the first convolution and after each pooling, as a list of int."""
    # --- solution ---
    found = []
    for window, step in ((11, 4), (3, 2), (3, 2), (3, 2)):
        side = (side - window) // step + 1
        found.append(side)
    return found
    # --- end ---

# %% wrong="sides" says="overlap"
def alexnet_sides(side):
    first = (side - 11) // 4 + 1
    return [first, first // 3, first // 9, first // 27]

# %% wrong="sides" says="rounded up"
def alexnet_sides(side):
    found = []
    for window, step in ((11, 4), (3, 2), (3, 2), (3, 2)):
        side = -(-(side - window) // step) + 1
        found.append(side)
    return found

# %% wrong="sides" says="first layer"
def alexnet_sides(side):
    found = [-(-side // 4)]
    for _ in range(3):
        found.append((found[-1] - 3) // 2 + 1)
    return found

# %% check="sides"
check.sides(alexnet_sides)

for side in (224, 227):
    print(side, "→", " → ".join(str(each) for each in alexnet_sides(side)))

# %% [markdown]
# ## Task 3: what the 1 × 1 saves (10 minutes)
#
# GoogLeNet puts a 1 × 1 convolution before each expensive one: first from `channels` down to
# `reduced`, then the kernel of side `kernel` to `filters`. Compare the multiplications per
# position with those of the expensive convolution alone. (Leave biases out: they multiply nothing.)
#
# Is there a `reduced` from which on the detour costs more than it saves?
#
# <details><summary>Hint</summary>
#
# Multiplications per output position: side of the kernel squared, times channels in, times channels out. The
# detour has two such terms.
# </details>

# %% task="saving"
def cost_ratio(channels, reduced, filters, kernel):
    """Multiplications with the detour, divided by those without: below 1 it saves."""
    # --- solution ---
    detour = channels * reduced + kernel ** 2 * reduced * filters
    direct = kernel ** 2 * channels * filters
    return detour / direct
    # --- end ---

# %% wrong="saving" says="upside down"
def cost_ratio(channels, reduced, filters, kernel):
    return kernel ** 2 * channels * filters / (channels * reduced + kernel ** 2 * reduced * filters)

# %% wrong="saving" says="for nothing"
def cost_ratio(channels, reduced, filters, kernel):
    return reduced / channels

# %% wrong="saving" says="squared"
def cost_ratio(channels, reduced, filters, kernel):
    return (channels * reduced + kernel * reduced * filters) / (kernel * channels * filters)

# %% check="saving"
check.saving(cost_ratio)

reduced = np.arange(1, 193)
plt.figure(figsize=(7, 3.4))
for kernel in (3, 5):
    plt.plot(reduced, [cost_ratio(192, each, 128, kernel) for each in reduced],
             label=f"{kernel} × {kernel}")
plt.axhline(1, color="0.5", linestyle="--")
plt.xlabel("Channels after the 1 × 1 convolution (of 192)")
plt.ylabel("Cost with detour / without")
plt.legend();

# %% [markdown]
# ## Task 4: find the bugs in a residual block (15 minutes)
#
# A colleague wrote a residual block. It trains, slowly, for one setting, and stops with an error
# for another. There are three faults.

# %%
def block_with_bugs(x, filters, stride):
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    y = layers.Activation("relu")(y)
    return layers.Add()([x, y])


# %% [markdown]
# What it should do: two convolutions with kernel 3, a batch normalisation after each, a ReLU
# between them; add the shortcut; and a ReLU after that sum. The first convolution takes the stride. The
# shortcut is the input itself where shapes allow it, and otherwise a 1 × 1 convolution with the
# same stride, without bias, and a batch normalisation.
#
# <details><summary>Hint</summary>
#
# Ask of each place: what would the block give if all its kernels of side 3 were zero? It should
# then hand on what came in, no more and no less, but for the final ReLU.
# </details>

# %% task="block"
def residual_block(x, filters, stride):
    """A residual block: Keras tensor in, Keras tensor out."""
    # --- solution ---
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, strides=stride, use_bias=False)(x)
        shortcut = layers.BatchNormalization()(shortcut)
    branch = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    branch = layers.Activation("relu")(layers.BatchNormalization()(branch))
    branch = layers.Conv2D(filters, 3, padding="same", use_bias=False)(branch)
    branch = layers.BatchNormalization()(branch)
    return layers.Activation("relu")(layers.Add()([shortcut, branch]))
    # --- end ---

# %% wrong="block" says="before the sum"
def residual_block(x, filters, stride):
    skip = x
    if stride != 1 or x.shape[-1] != filters:
        skip = layers.BatchNormalization()(
            layers.Conv2D(filters, 1, strides=stride, use_bias=False)(x))
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    return layers.Add()([skip, y])

# %% wrong="block" says="stops with"
def residual_block(x, filters, stride):
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    return layers.Activation("relu")(layers.Add()([x, y]))

# %% wrong="block" says="nothing comes through"
def residual_block(x, filters, stride):
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    return layers.Activation("relu")(layers.BatchNormalization()(y))

# %% wrong="block" says="between the two"
def residual_block(x, filters, stride):
    skip = x
    if stride != 1 or x.shape[-1] != filters:
        skip = layers.BatchNormalization()(
            layers.Conv2D(filters, 1, strides=stride, use_bias=False)(x))
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    return layers.Activation("relu")(layers.Add()([skip, y]))

# %% wrong="block" says="input itself"
def residual_block(x, filters, stride):
    skip = layers.BatchNormalization()(
        layers.Conv2D(filters, 1, strides=stride, use_bias=False)(x))
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    return layers.Activation("relu")(layers.Add()([skip, y]))

# %% check="block"
check.block(residual_block)

image = keras.Input((32, 32, 16))
own = keras.Model(image, residual_block(image, 32, 2))
ours = keras.Model(image, architectures.residual_block(image, 32, 2))
print(f"your block: {own.count_params():,} parameters, the lecture's: {ours.count_params():,}")

# %% [markdown]
# ## Task 5: score as the contest did (8 minutes)
#
# The ImageNet contest counted an image as wrong when the truth was not among the **five** likeliest
# classes. Write this for any number of classes, and return the share that is wrong.
#
# Why five, and why would you not accept that score for reading amounts on claim forms?
#
# <details><summary>Hint</summary>
#
# `np.argsort` sorts from small to large. At which end of a row are the likeliest classes?
# </details>

# %% task="top"
def top_k_error(probabilities, truth, k):
    """The share of rows whose true class is not among the k likeliest, a float.

    probabilities: shape (n, classes). truth: integer labels, shape (n,).
    """
    # --- solution ---
    likeliest = np.argsort(-probabilities, axis=1)[:, :k]
    return float(1 - (likeliest == truth[:, np.newaxis]).any(axis=1).mean())
    # --- end ---

# %% wrong="top" says="unlikeliest"
def top_k_error(probabilities, truth, k):
    chosen = probabilities.argsort(axis=1)[:, :k]
    return 1 - (chosen == truth[:, None]).any(axis=1).mean()

# %% wrong="top" says="right, not"
def top_k_error(probabilities, truth, k):
    chosen = probabilities.argsort(axis=1)[:, -k:]
    return (chosen == truth[:, None]).any(axis=1).mean()

# %% wrong="top" says="exactly"
def top_k_error(probabilities, truth, k):
    return 1 - (probabilities.argsort(axis=1)[:, -k] == truth).mean()

# %% check="top"
check.top(top_k_error)

# %% [markdown]
# ## Task 6: how deep? (12 minutes)
#
# Networks of several depths were fitted from several seeds each. Deeper ones cost more to run and to
# explain. A rule of thumb in actuarial work: take the **simplest** model whose mean score is no
# further from the best mean than **one standard error of that best mean**.
#
# Read the plot first and write down your choice.

# %%
rng = np.random.default_rng(6)
trials = pd.DataFrame([
    {"depth": depth, "seed": seed, "accuracy": level + 0.012 * rng.standard_normal()}
    for depth, level in ((2, 0.86), (4, 0.912), (6, 0.918), (8, 0.920), (12, 0.921), (16, 0.915))
    for seed in range(5)])
plt.figure(figsize=(7, 3.4))
plt.plot(trials["depth"], trials["accuracy"], "o", alpha=0.5)
plt.plot(trials.groupby("depth")["accuracy"].mean(), color="C1")
plt.xlabel("Depth (layers)")
plt.ylabel("Accuracy, one dot a seed");

# %% [markdown]
# (These scores are made up for the exercise.)
#
# <details><summary>Hint</summary>
#
# `groupby("depth")["accuracy"].agg(["mean", "sem"])` gives each mean and its standard error.
# </details>

# %% task="depth"
def choose_depth(table):
    """The depth that the rule chooses, an int. table: columns depth, seed, accuracy."""
    # --- solution ---
    summary = table.groupby("depth")["accuracy"].agg(["mean", "sem"])
    top = summary["mean"].idxmax()
    enough = summary["mean"] >= summary.loc[top, "mean"] - summary.loc[top, "sem"]
    return int(summary.index[enough].min())
    # --- end ---

# %% wrong="depth" says="highest mean"
def choose_depth(table):
    return table.groupby("depth")["accuracy"].mean().idxmax()

# %% wrong="depth" says="spread of single seeds"
def choose_depth(table):
    summary = table.groupby("depth")["accuracy"].agg(["mean", "std"])
    top = summary["mean"].idxmax()
    return summary.index[summary["mean"] >= summary.loc[top].sum() - 2 * summary.loc[top, "std"]].min()

# %% wrong="depth" says="single best"
def choose_depth(table):
    return table.loc[table["accuracy"].idxmax(), "depth"]

# %% check="depth"
check.depth(choose_depth)

print("chosen depth:", choose_depth(trials))

# %% [markdown]
# **To discuss.** Lecture 6 compares depths at one budget of parameters. Why is that fairer than
# adding layers to one network, and what is still not equal between the networks?

# %% [markdown] solution=true
# Adding layers adds parameters, so a gain could come from size as well as from depth. At one
# budget only the shape differs. What stays unequal is the time: a deep narrow network makes more
# steps one after the other, its learning rate may need another value, and its activations take
# other memory. If each depth got its own tuned learning rate, the comparison would be fairer still,
# and cost more.
