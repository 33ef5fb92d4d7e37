# %% [markdown]
# # Exercise 7: borrowing a network, and owning the result
#
# *Goes with lecture 7. One hour.*
#
# A network that somebody else trained looks at photos for you. Your part is to feed it what it
# expects, to freeze what must not move, to score without a leak, and to promise no more than your few
# photos allow.
#
# The check below each task says what is wrong, so run it early and often. It gives no marks.

# %%
import course  # chooses Keras's torch backend, so it comes before keras

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from course.checks import exercise_07 as check
from course.photos import load_photos
from course.interactive import explore
from course.paths import DATA
from course.plots import use_course_style
from course.models.teach import extract_features, find_photos

use_course_style()

found, _ = find_photos(DATA / "photos")
photos = load_photos(path for paths in found.values() for path in paths)
y = np.repeat(np.arange(len(found)), [len(paths) for paths in found.values()])
print(f"{len(photos)} photos: " + ", ".join(f"{len(found[name])} {name}" for name in found))

# %% [markdown]
# ## Task 1: feed it what it knows (10 minutes)
#
# Every pretrained network expects the range on which it was trained: 0 to 1, −1 to 1, or another
# one. Photos come as `uint8`, 0 to 255. Write one function for all ranges: black becomes `black`,
# white becomes `white`, and greys lie evenly between.
#
# Predict: what happens to a photo if each is stretched so that its **own** darkest and lightest
# pixels become the ends of the range?
#
# <details><summary>Hint</summary>
#
# One byte holds no number above 255 and none below 0. When does your formula leave that range, and
# what type has the array at that moment?
# </details>

# %% task="range"
def to_range(images, black, white):
    """Grey levels from 0 … 255 to black … white, as float32 of the same shape.

    images: uint8. black, white: numbers, possibly whole ones.
    """
    # --- solution ---
    shares = images.astype("float32") / 255
    return (black + shares * (white - black)).astype("float32")
    # --- end ---

# %% wrong="range" says="one byte"
def to_range(images, black, white):
    return (images * np.uint8(white - black) / 255 + black).astype("float32")

# %% wrong="range" says="own darkest"
def to_range(images, black, white):
    low, high = images.min(), images.max()
    shares = (images.astype("float32") - low) / max(float(high) - float(low), 1.0)
    return (black + shares * (white - black)).astype("float32")

# %% wrong="range" says="256"
def to_range(images, black, white):
    return (black + images.astype("float32") / 256 * (white - black)).astype("float32")

# %% wrong="range" says="float32"
def to_range(images, black, white):
    return black + images.astype("float64") / 255 * (white - black)

# %% check="range"
check.in_range(to_range)

# %%
features = extract_features(photos)
print("each photo as", features.shape[1], "numbers")

# %% [markdown]
# ## Task 2: freeze it properly (12 minutes)
#
# To fine-tune, one trains the upper layers and leaves the lower ones as they are. Batch
# normalisation is never trained here: its statistics come from a million photos, and yours are a
# hundred.
#
# Predict before you code: a frozen batch normalisation has four numbers a channel. How many of
# them does training change?
#
# Write a function that freezes every layer **below** the named one and every
# `BatchNormalization` anywhere, lets the rest train, and returns the number of trainable weights
# (single numbers, not arrays).
#
# <details><summary>Hint</summary>
#
# Walk through `model.layers` and remember whether you have met the name. A layer that was frozen
# before must be woken up, too.
# </details>

# %% task="freeze"
def freeze_below(model, name):
    """Freeze layers below the layer `name`, and batch normalisation; count what still trains."""
    # --- solution ---
    reached = False
    for layer in model.layers:
        reached = reached or layer.name == name
        layer.trainable = reached and not isinstance(layer, keras.layers.BatchNormalization)
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    # --- end ---

# %% wrong="freeze" says="BatchNormalization"
def freeze_below(model, name):
    go = False
    for layer in model.layers:
        go = go or layer.name == name
        layer.trainable = go
    return sum(int(np.prod(each.shape)) for each in model.trainable_weights)

# %% wrong="freeze" says="wrong side"
def freeze_below(model, name):
    go = True
    for layer in model.layers:
        go = go and layer.name != name
        layer.trainable = go and not isinstance(layer, keras.layers.BatchNormalization)
    return sum(int(np.prod(each.shape)) for each in model.trainable_weights)

# %% wrong="freeze" says="itself"
def freeze_below(model, name):
    go = False
    for layer in model.layers:
        layer.trainable = go and not isinstance(layer, keras.layers.BatchNormalization)
        go = go or layer.name == name
    return sum(int(np.prod(each.shape)) for each in model.trainable_weights)

# %% wrong="freeze" says="arrays"
def freeze_below(model, name):
    go = False
    for layer in model.layers:
        go = go or layer.name == name
        layer.trainable = go and not isinstance(layer, keras.layers.BatchNormalization)
    return len(model.trainable_weights)

# %% wrong="freeze" says="woken"
def freeze_below(model, name):
    for layer in model.layers:
        if layer.name == name:
            break
        layer.trainable = False
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return sum(int(np.prod(each.shape)) for each in model.trainable_weights)

# %% check="freeze"
check.freeze(freeze_below)

# %% [markdown]
# ## Task 3: a score without a leak (14 minutes)
#
# A colleague keeps the 20 features that go best with the classes, then cross-validates. To see what
# that is worth, the classes are shuffled: there is nothing to learn, and one photo in four or
# so should come out right by chance.

# %%
shuffled = np.random.default_rng(1).permutation(y)
best = SelectKBest(f_classif, k=20).fit(features, shuffled).get_support()   # sees every photo


def on_20_features(train_X, train_y, test_X):
    """Fit a logistic regression and predict."""
    return LogisticRegression(max_iter=2000).fit(train_X, train_y).predict(test_X)


def select_then_predict(train_X, train_y, test_X):
    """The same, but the features are chosen from the training rows alone."""
    chosen = SelectKBest(f_classif, k=20).fit(train_X, train_y).get_support()
    return on_20_features(train_X[:, chosen], train_y, test_X[:, chosen])


folds = list(StratifiedKFold(5, shuffle=True, random_state=1).split(features, y))

# %% [markdown]
# Write the loop that both use. Each row is predicted once, by a model that has not seen it, and the
# predictions come back in the order of the rows.
#
# <details><summary>Hint</summary>
#
# Each fold is a pair of arrays of positions. Make an empty array for all rows first, then fill in the
# places of one fold after the other.
# </details>

# %% task="folds"
def out_of_fold(fit_and_predict, X, y, folds):
    """Predictions, shape (n,), for each row by a model fitted without it.

    fit_and_predict: takes (train_X, train_y, test_X), returns labels of test_X.
    folds: list of (train, test), arrays of row numbers.
    """
    # --- solution ---
    answers = np.empty_like(y)
    for train, held_out in folds:
        answers[held_out] = fit_and_predict(X[train], y[train], X[held_out])
    return answers
    # --- end ---

# %% wrong="folds" says="order of the rows"
def out_of_fold(fit_and_predict, X, y, folds):
    return np.concatenate([fit_and_predict(X[a], y[a], X[b]) for a, b in folds])

# %% wrong="folds" says="had seen"
def out_of_fold(fit_and_predict, X, y, folds):
    found = np.empty_like(y)
    for _, b in folds:
        found[b] = fit_and_predict(X, y, X[b])
    return found

# %% wrong="folds" says="never predicted"
def out_of_fold(fit_and_predict, X, y, folds):
    found = np.full_like(y, -1)
    for a, b in folds[:1]:
        found[b] = fit_and_predict(X[a], y[a], X[b])
    return found

# %% check="folds"
check.folds(out_of_fold)

leaky = out_of_fold(on_20_features, features[:, best], shuffled, folds)
honest = out_of_fold(select_then_predict, features, shuffled, folds)
print(f"shuffled classes: leaky {(leaky == shuffled).mean():.2f}, "
      f"honest {(honest == shuffled).mean():.2f}")
predicted = out_of_fold(select_then_predict, features, y, folds)
print(f"true classes:     honest {(predicted == y).mean():.2f}")

# %% [markdown]
# ## Task 4: what may you promise? (12 minutes)
#
# Of $n$ photos, $k$ were right. You want a lower limit for the true accuracy that holds with 97.5 per
# cent: the accuracy at which $k$ **or more** right answers have a probability of only 2.5 per
# cent. Were it lower still, your result would be too good to be luck.
#
# Guess first: all of 20 photos are right. Which accuracy may you promise?

# %%
def show_luck(percent):
    """How many of 20 photos come out right, when the true accuracy is so many per cent."""
    right = np.random.default_rng(3).binomial(20, percent / 100, size=20_000)
    plt.figure(figsize=(7, 2.8))
    plt.hist(right, bins=np.arange(-0.5, 21.5), density=True, rwidth=0.85)
    plt.title(f"All 20 right: {np.mean(right == 20):.1%} of all trials")
    plt.xlabel("Right answers of 20")
    plt.ylabel("Probability")
    plt.show()


explore(show_luck, percent=(90, 50, 100))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `scipy.stats.binom.sf(k, n, p)` is the probability of **more than** $k$. It rises with $p$, so
# look through a fine grid of $p$, or bisect. (There is a formula with a beta quantile as well.)
# </details>

# %% task="limit"
def lower_limit(right, n, level):
    """The accuracy at which `right` or more of n have the probability `level`; 0 if right is 0."""
    # --- solution ---
    from scipy.stats import beta
    return float(beta.ppf(level, right, n - right + 1)) if right else 0.0
    # --- end ---

# %% wrong="limit" says="more than"
def lower_limit(right, n, level):
    from scipy.stats import binom
    p = np.linspace(0, 1, 100_001)
    return p[np.argmax(binom.sf(right, n, p) >= level)]

# %% wrong="limit" says="normal"
def lower_limit(right, n, level):
    from scipy.stats import norm
    share = right / n
    return share + norm.ppf(level) * np.sqrt(share * (1 - share) / n)

# %% wrong="limit" says="upper"
def lower_limit(right, n, level):
    from scipy.stats import beta
    return beta.ppf(1 - level, right + 1, n - right) if right < n else 1.0

# %% check="limit"
check.limit(lower_limit)

right = int((predicted == y).sum())
print(f"{right} of {len(y)} right: at least {lower_limit(right, len(y), 0.025):.3f}; "
      f"20 of 20: at least {lower_limit(20, 20, 0.025):.3f}")

# %% [markdown]
# ## Task 5: another portfolio (10 minutes)
#
# Your validation photos hold the classes in one mix, next year's claims will hold another. Suppose
# each class is recognised as well as before. What accuracy should you expect?
#
# Think of a direct adjustment in a mortality study: rates by age from one population, weights from
# another.
#
# <details><summary>Hint</summary>
#
# A row of the table holds the photos of one true class. Which share of a row lies on the diagonal?
# </details>

# %% task="mix"
def expected_accuracy(confusion, shares):
    """The accuracy to expect when class k has the share shares[k] of all photos.

    confusion: counts, shape (classes, classes): true classes in rows, predicted in columns.
    shares: shape (classes,), adding up to 1.
    """
    # --- solution ---
    by_class = np.diag(confusion) / confusion.sum(axis=1)
    return float(by_class @ shares)
    # --- end ---

# %% wrong="mix" says="columns"
def expected_accuracy(confusion, shares):
    return np.sum(shares * np.diag(confusion) / confusion.sum(axis=0))

# %% wrong="mix" says="does not change"
def expected_accuracy(confusion, shares):
    return np.diag(confusion).sum() / confusion.sum()

# %% wrong="mix" says="twice"
def expected_accuracy(confusion, shares):
    weights = shares * confusion.sum(axis=1)
    return np.sum(weights / weights.sum() * np.diag(confusion) / confusion.sum(axis=1))

# %% check="mix"
check.mix(expected_accuracy)

confusion = np.zeros((len(found), len(found)), dtype=int)
np.add.at(confusion, (y, predicted), 1)
for k, name in enumerate(found):
    shares = np.full(len(found), 0.1)
    shares[k] = 1 - 0.1 * (len(found) - 1)
    print(f"mostly {name}: {expected_accuracy(confusion, shares):.3f}")

# %% [markdown]
# **To discuss.** The adjustment supposes that each class is recognised as well as before. Name a
# change in the photos of a motor insurer's customers for which that fails, and what you would
# watch to notice it.

# %% [markdown] solution=true
# Customers begin to send photos taken at night, in rain, or with another camera; or an app crops
# them. Then the photos within a class change, and each row of the table with them: no weighting
# mends that. The share of photos on which the network is unsure can be watched at once, and a
# random sample that a person looks at, week by week, shows the errors themselves.
