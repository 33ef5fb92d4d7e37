"""Teaching all the course's own photos, which lecture 7 does too."""

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.models.teach import teach

from tests.whole.test_teach import PHOTOS


def test_the_courses_own_photos() -> None:
    """The set of the lecture: four classes, and what cross-validation says of it."""
    taught = teach(PHOTOS)
    assert taught.class_names == ["animal", "energy", "monument", "tool"]
    assert taught.photos.sum() == 121 and taught.accuracy > 0.9
