# %% [markdown]
# # Exercise 4: reading handwriting, and when not to
#
# *Goes with lecture 4. One hour.*
#
# A network reads images, such as scanned forms, for you. It is fitted already. Your part is what an actuary
# is paid for: measure it fairly, believe it as far as it deserves, price its errors, and notice when
# what it reads changes.
#
# The check below each task says what is wrong, so run it early and often. It gives no marks.

# %%
import os

import course  # chooses Keras's torch backend, so it comes before keras

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from course.checks import exercise_04 as check
from course.data import handwriting_folder, notebook_folder
from course.interactive import explore
from course.loaders import load_images_from_directory
from course.models.reading import reading_network
from course.plots import names_in_plots, use_course_style
from course.speed import fast_convolutions

use_course_style()

folder = handwriting_folder()
X, y, class_names = load_images_from_directory(folder / "Train")
X_test, y_test, _ = load_images_from_directory(
    folder / "Test", class_names=class_names, skip_unknown=True)
X_notebook, y_notebook, _ = load_images_from_directory(
    notebook_folder(), class_names=class_names, skip_unknown=True)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.2, random_state=123)

kind = "pictures from your own folder" if os.environ.get("COURSE_DATA") else "simulated handwriting"
print(f"{len(class_names)} classes, {kind}")

# %%
network = reading_network(X_train, y_train, class_names)

with fast_convolutions():
    logits_val, logits_test, logits_notebook = (
        network.predict(images, batch_size=64, verbose=0).astype(float)
        for images in (X_val, X_test, X_notebook))


def softmax(logits):
    """Probabilities from logits, shape (n, classes)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


# %% [markdown]
# ## Task 1: a fair average (8 minutes)
#
# Some classes have few images. The plain accuracy averages over images, so it hardly notices if
# they are all misread. The **balanced accuracy** gives each class the same weight: the share
# of its images that is read right, averaged over the classes that occur in the truth.
#
# Think first: when is the plain accuracy the right number to report, and for whom?
#
# <details><summary>Hint</summary>
#
# `pd.Series(correct).groupby(...)`. By what do you group: by what the image shows, or by what it
# was taken for?
# </details>

# %% task="balanced"
def balanced_accuracy(truth, predicted):
    """The mean over true classes of the share read right.

    truth, predicted: arrays of integer labels, shape (n,).
    """
    # --- solution ---
    hits = pd.Series(truth == predicted)
    return hits.groupby(truth).mean().mean()
    # --- end ---

# %% wrong="balanced" says="every image the same weight"
def balanced_accuracy(truth, predicted):
    return (truth == predicted).mean()

# %% wrong="balanced" says="taken for"
def balanced_accuracy(truth, predicted):
    return pd.Series(truth == predicted).groupby(predicted).mean().mean()

# %% wrong="balanced" says="do not occur"
def balanced_accuracy(truth, predicted):
    n = max(truth.max(), predicted.max()) + 1
    return sum((predicted[truth == k] == k).mean() for k in set(truth)) / n

# %% check="balanced"
check.balanced(balanced_accuracy)

for name, truth, logits in (
        ("test", y_test, logits_test), ("notebook", y_notebook, logits_notebook)):
    predicted = logits.argmax(axis=1)
    print(f"{name:9} accuracy {(truth == predicted).mean():.3f}, "
          f"balanced {balanced_accuracy(truth, predicted):.3f}")

# %% [markdown]
# ## Task 2: find the bugs (10 minutes)
#
# A colleague wrote a function that reads **one** image, of shape (height, width, 1), and says
# how sure the network is. It does not run, and once it runs, it says nonsense:

# %%
def read_one_with_bugs(network, image, class_names):
    """The likeliest class and its probability."""
    logits = network.predict(image, verbose=0)
    best = logits.argmax()
    probability = np.exp(logits[best]) / np.exp(logits).sum()
    return class_names[best], probability


# %% [markdown]
# What the colleague tried was a network with small logits. Yours may be sure of itself: logits of
# 800 do occur in other networks, and $e^{800}$ is more than a float can hold. Mend all of it.
#
# <details><summary>Hint: it does not run</summary>
#
# `predict` wants a batch, and it returns a batch.
# </details>
#
# <details><summary>Hint: large logits</summary>
#
# What does the softmax do if you subtract the same number from all logits? Look at the cell
# above task 1.
# </details>

# %% task="read_one"
def read_one(network, image, class_names):
    """The likeliest class and its probability, a float."""
    # --- solution ---
    scores = network.predict(image[np.newaxis], verbose=0)
    chances = softmax(scores.astype(float))[0]
    likeliest = chances.argmax()
    return class_names[likeliest], float(chances[likeliest])
    # --- end ---

# %% wrong="read_one" says="batch"
def read_one(network, image, class_names):
    scores = network.predict(image, verbose=0)[0]
    chances = np.exp(scores - scores.max())
    return class_names[scores.argmax()], chances.max() / chances.sum()

# %% wrong="read_one" says="logit, not a probability"
def read_one(network, image, class_names):
    scores = network.predict(image[np.newaxis], verbose=0)[0]
    return class_names[scores.argmax()], scores.max()

# %% wrong="read_one" says="large logits"
def read_one(network, image, class_names):
    scores = network.predict(image[np.newaxis], verbose=0)[0]
    return class_names[scores.argmax()], np.exp(scores.max()) / np.exp(scores).sum()

# %% wrong="read_one" says="add up to 1"
def read_one(network, image, class_names):
    scores = network.predict(image[np.newaxis], verbose=0)[0]
    return class_names[scores.argmax()], 1 / (1 + np.exp(-scores.max()))

# %% check="read_one"
check.read_one(read_one)

name, probability = read_one(network, X_test[0], class_names)
plt.figure(figsize=(2.2, 2.8))
plt.imshow(X_test[0], cmap="gray")
plt.title(f"{names_in_plots([name])[0]}\n({probability:.0%})")
plt.axis("off");

# %% [markdown]
# ## Task 3: which two? (10 minutes)
#
# Predict first: which two of these classes will the network confuse most often? Write your guess
# down; the cell prints their names.

# %%
print("  ".join(class_names))

# %% [markdown]
# Then find out. A pair counts both ways: the first taken for the second, and the second for the
# first.
#
# <details><summary>Hint</summary>
#
# Make one name for a pair in either order: the smaller label first, `np.minimum` and
# `np.maximum`. Or fill a square table of counts and add its transpose.
# </details>

# %% task="confused"
def most_confused(truth, predicted):
    """The two labels that are confused most, the smaller first, and how often: (a, b, errors)."""
    # --- solution ---
    missed = truth != predicted
    lower = np.minimum(truth, predicted)[missed]
    upper = np.maximum(truth, predicted)[missed]
    pairs, often = np.unique(np.column_stack([lower, upper]), axis=0, return_counts=True)
    top = often.argmax()
    return int(pairs[top, 0]), int(pairs[top, 1]), int(often[top])
    # --- end ---

# %% wrong="confused" says="both ways"
def most_confused(truth, predicted):
    n = max(truth.max(), predicted.max()) + 1
    table = np.zeros((n, n), dtype=int)
    np.add.at(table, (truth, predicted), 1)
    np.fill_diagonal(table, 0)
    a, b = np.unravel_index(table.argmax(), table.shape)
    return min(a, b), max(a, b), table.max()

# %% wrong="confused" says="read right"
def most_confused(truth, predicted):
    n = max(truth.max(), predicted.max()) + 1
    table = np.zeros((n, n), dtype=int)
    np.add.at(table, (truth, predicted), 1)
    table = table + table.T
    a, b = np.unravel_index(table.argmax(), table.shape)
    return a, b, table.max()

# %% wrong="confused" says="smaller label first"
def most_confused(truth, predicted):
    n = max(truth.max(), predicted.max()) + 1
    table = np.zeros((n, n), dtype=int)
    np.add.at(table, (truth, predicted), 1)
    np.fill_diagonal(table, 0)
    table = np.tril(table + table.T)
    a, b = np.unravel_index(table.argmax(), table.shape)
    return a, b, table.max()

# %% check="confused"
check.confused(most_confused)

for name, truth, logits in (
        ("test", y_test, logits_test), ("notebook", y_notebook, logits_notebook)):
    if (truth != logits.argmax(axis=1)).any():
        a, b, errors = most_confused(truth, logits.argmax(axis=1))
        print(f"{name}: {class_names[a]} and {class_names[b]}, {errors} times")

# %% [markdown]
# ## Task 4: how much to believe (12 minutes)
#
# A network that promises 95 per cent and keeps 90 is overconfident. One number mends much of that:
# divide all logits by a **temperature** $T$ before the softmax. $T > 1$ makes the network more
# modest, and never changes which character it reads.
#
# Write a function that returns the $T$ among `temperatures` with the smallest mean log loss, that
# is the mean of $-\log$ of the probability that the true character gets.
#
# Guess before you compute: above or below 1? And would the accuracy be a way to choose $T$?
#
# <details><summary>Hint</summary>
#
# `probabilities[np.arange(len(truth)), truth]` picks the probability of the truth in each row.
# </details>

# %% task="temperature"
def fit_temperature(logits, truth, temperatures):
    """The temperature of the smallest mean log loss.

    logits: shape (n, classes). truth: integer labels, shape (n,). temperatures: shape (m,).
    """
    # --- solution ---
    rows = np.arange(len(truth))
    log_losses = [-np.log(softmax(logits / T)[rows, truth]).mean() for T in temperatures]
    return temperatures[np.argmin(log_losses)]
    # --- end ---

# %% wrong="temperature" says="multiply"
def fit_temperature(logits, truth, temperatures):
    rows = np.arange(len(truth))
    return temperatures[np.argmin(
        [-np.log(softmax(logits * T)[rows, truth]).mean() for T in temperatures])]

# %% wrong="temperature" says="largest"
def fit_temperature(logits, truth, temperatures):
    rows = np.arange(len(truth))
    return temperatures[np.argmax(
        [-np.log(softmax(logits / T)[rows, truth]).mean() for T in temperatures])]

# %% wrong="temperature" says="same accuracy"
def fit_temperature(logits, truth, temperatures):
    return temperatures[np.argmax(
        [(softmax(logits / T).argmax(axis=1) == truth).mean() for T in temperatures])]

# %% wrong="temperature" says="position"
def fit_temperature(logits, truth, temperatures):
    rows = np.arange(len(truth))
    return np.argmin([-np.log(softmax(logits / T)[rows, truth]).mean() for T in temperatures])

# %% [markdown]
# Validation images choose the temperature, test images judge it. Move the slider to 1 to see the
# network as it was.

# %% check="temperature"
check.temperature(fit_temperature)

grid = np.round(np.arange(0.5, 10.01, 0.05), 2)
best_temperature = fit_temperature(logits_val, y_val, grid)
print(f"Chosen on the validation set: T = {best_temperature:.2f}")
if best_temperature in (grid.min(), grid.max()):
    print("That is an end of the grid: the best temperature lies beyond it.")


def show_temperature(temperature):
    """Stated confidence against the share read right, on the test set, in ten bins."""
    probabilities = softmax(logits_test / temperature)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == y_test
    table = pd.DataFrame({"confidence": confidence, "correct": correct})
    bins = table.groupby(np.minimum((confidence * 10).astype(int), 9)).mean()
    fig, axis = plt.subplots(figsize=(5, 4))
    axis.plot([0, 1], [0, 1], "--", color="0.5")
    axis.plot(bins["confidence"], bins["correct"], "o-")
    axis.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="Confidence", ylabel="Share right",
             title=f"Temperature {temperature:.2f}")
    plt.show()


explore(show_temperature, temperature=(float(best_temperature), grid.min(), grid.max(), 0.05))

# %% [markdown]
# ## Task 5: whom to ask (12 minutes)
#
# A person reads an image for 1, an error that goes through costs `cost_of_error`. Take the
# confidence $c$ for the probability that the network is right. Then reading alone costs $(1 - c)
# \times$ `cost_of_error` on average. There is one more thing, as in every office: the people can
# read no more than the share `capacity` of all images.
#
# Write the rule: which images go to a person?
#
# <details><summary>Hint</summary>
#
# Two questions. For which $c$ does a person pay off? And if these are too many, which of them
# gain most from a person?
# </details>

# %% task="refer"
def refer(confidence, cost_of_error, capacity):
    """Which images go to a person: a boolean array.

    confidence: shape (n,), all different. cost_of_error: above 1. capacity: a share, 0 to 1.
    """
    # --- solution ---
    worthwhile = (1 - confidence) * cost_of_error > 1
    places = int(capacity * len(confidence))
    ranks = np.argsort(np.argsort(confidence))
    return worthwhile & (ranks < places)
    # --- end ---

# %% wrong="refer" says="capacity"
def refer(confidence, cost_of_error, capacity):
    return (1 - confidence) * cost_of_error > 1

# %% wrong="refer" says="does not pay"
def refer(confidence, cost_of_error, capacity):
    return np.argsort(np.argsort(confidence)) < int(capacity * len(confidence))

# %% wrong="refer" says="less sure"
def refer(confidence, cost_of_error, capacity):
    worthwhile = (1 - confidence) * cost_of_error > 1
    return worthwhile & (np.cumsum(worthwhile) <= int(capacity * len(confidence)))

# %% wrong="refer" says="would pay"
def refer(confidence, cost_of_error, capacity):
    worthwhile = confidence < 1 / cost_of_error
    return worthwhile & (np.argsort(np.argsort(confidence)) < int(capacity * len(confidence)))

# %% check="refer"
check.refer(refer)


def show_costs(cost_of_error, capacity):
    """What reading the test set costs by this rule, against two simpler ones."""
    probabilities = softmax(logits_test / best_temperature)
    # Equal confidences would be referred together; a hair's breadth tells them apart.
    confidence = probabilities.max(axis=1) - 1e-12 * np.arange(len(y_test))
    wrong = probabilities.argmax(axis=1) != y_test
    asked = refer(confidence, cost_of_error, capacity)
    costs = {"network alone": cost_of_error * wrong.mean(), "people alone": 1.0,
             "your rule": asked.mean() + cost_of_error * (wrong & ~asked).mean()}
    fig, axis = plt.subplots(figsize=(8, 2.4))
    bars = axis.barh(list(costs), list(costs.values()), color=["C0", "C3", "C2"])
    axis.bar_label(bars, fmt=" %.2f")
    axis.set(xlabel="Mean cost per image (one person's reading = 1)",
             title=f"{asked.mean():.1%} go to a person")
    plt.show()


explore(show_costs, cost_of_error=(20, 2, 100), capacity=(0.1, 0.0, 1.0, 0.01))

# %% [markdown]
# Move both sliders. From which cost of an error on does the capacity bind?
#
# ## Task 6: sound the alarm (10 minutes)
#
# Nobody tells you when the forms change: a new branch, a new pen, a learner's hand. What you see at
# once is how many images fall below the threshold. You expect a share `p` of them, from
# the validation set. Write a control: after each image, count the referrals $k$ among the first
# $n$. Sound the alarm at the first $n$ for which **so many or more** would come up with a
# probability of at most `level` if nothing had changed.
#
# <details><summary>Hint</summary>
#
# Under no change $k$ is binomial. `scipy.stats.binom.sf(k, n, p)` is $\mathbb{P}(K > k)$, and you
# want $\mathbb{P}(K \ge k)$. It takes arrays; `np.cumsum` counts.
# </details>

# %% task="alarm"
def alarm(referred, p, level):
    """The number of images read when the alarm sounds, counted from 1; 0 if it never does.

    referred: boolean array, shape (n,), in the order of reading.
    """
    # --- solution ---
    from scipy.stats import binom

    so_far = np.cumsum(referred)
    chance = binom.sf(so_far - 1, np.arange(1, len(referred) + 1), p)
    unlikely = chance <= level
    return int(unlikely.argmax()) + 1 if unlikely.any() else 0
    # --- end ---

# %% wrong="alarm" says="or more"
def alarm(referred, p, level):
    from scipy.stats import binom

    so_far = np.cumsum(referred)
    unlikely = binom.sf(so_far, np.arange(1, len(referred) + 1), p) <= level
    return int(unlikely.argmax()) + 1 if unlikely.any() else 0

# %% wrong="alarm" says="counted from 1"
def alarm(referred, p, level):
    from scipy.stats import binom

    so_far = np.cumsum(referred)
    unlikely = binom.sf(so_far - 1, np.arange(1, len(referred) + 1), p) <= level
    return int(unlikely.argmax()) if unlikely.any() else 0

# %% wrong="alarm" says="never"
def alarm(referred, p, level):
    from scipy.stats import binom

    so_far = np.cumsum(referred)
    unlikely = binom.sf(so_far - 1, np.arange(1, len(referred) + 1), p) <= level
    return int(unlikely.argmax()) + 1

# %% check="alarm"
check.alarm(alarm)

threshold = 0.95
expected = (softmax(logits_val / best_temperature).max(axis=1) < threshold).mean()
for name, logits, truth in (
        ("test", logits_test, y_test), ("notebook", logits_notebook, y_notebook)):
    order = np.random.default_rng(1).permutation(len(truth))
    probabilities = softmax(logits[order] / best_temperature)
    below = probabilities.max(axis=1) < threshold
    alone_wrong = (probabilities.argmax(axis=1) != truth[order])[~below]
    n = alarm(below, expected, 0.001)
    said = f"alarm after {n} images" if n else "no alarm"
    share = f"{alone_wrong.mean():.1%}" if len(alone_wrong) else "none read alone,"
    print(f"{name}: expected to refer {expected:.1%}, referred {below.mean():.1%}; {said}; "
          f"{share} wrong among those read alone")

# %% [markdown]
# **To discuss.** You look after every image at a level of 0.001. Is the probability of a false
# alarm in a year then 0.001? And what would you do first when the alarm sounds: retrain, change
# the threshold, or look?

# %% [markdown] solution=true
# No. Each look is one more chance to be unlucky, so over many images a false alarm is likely
# at any fixed level. A sequential test, or a level that shrinks with the number of looks, keeps
# the promise. Look first: show the images that were referred. Lowering the threshold would
# hide the signal, and retraining needs labels of the new population, which a person has to make
# anyway. Until then let people read more of it: the price of doubt is known, that of unseen errors
# is not.
