"""Where the handwriting is: the shipped, simulated set, or any folder of the same layout.

The environment variable COURSE_DATA names a folder in place of the shipped archive (real CASIA, say, or your
own pictures), and COURSE_NOTEBOOK one in place of the learner's notebook. A relative path counts from the
current folder, or from the repository when it is not there.
"""

import os
from pathlib import Path

from course.copies import archive
from course.loaders import class_folders
from course.paths import DATA, REPOSITORY, USER_CACHE

ARCHIVE = DATA / "handwriting.tar.xz"


def handwriting_folder() -> Path:
    """The folder that holds Train/ and Test/, each with one sub-folder per class.

    That is COURSE_DATA where it is set; otherwise the shipped archive, unpacked on first use
    into data/handwriting/, or into the user's cache folder where data/ cannot be written.
    OSError or ValueError if COURSE_DATA names no such folder, or as `course.copies.archive.unpacked`.
    """
    layout = "Train/<class>/<picture> and Test/<class>/<picture>"
    return _own_folder("COURSE_DATA", layout, ("Train", "Test")) or shipped_folder()


def notebook_folder() -> Path:
    """The folder of the learner's notebook: other hands than the training set's.

    That is COURSE_NOTEBOOK where it is set; else the Notebook folder of COURSE_DATA; else the shipped
    notebook if it has any of the classes in Train; else, with a printed line, Test. Load it with
    `skip_unknown=True`: it may hold classes that Train lacks. Errors are those of `handwriting_folder`.
    """
    if own := _own_folder("COURSE_NOTEBOOK", "<class>/<picture>", (".",)):
        return own
    data = handwriting_folder()
    if (data / "Notebook").is_dir():
        return data / "Notebook"
    train = {label for label, _ in class_folders(data / "Train")}
    shipped = shipped_folder() / "Notebook"
    if shipped.is_dir() and train & {label for label, _ in class_folders(shipped)}:
        return shipped
    print(
        f"No notebook with classes of {data / 'Train'}: the test set stands in for it. "
        "COURSE_NOTEBOOK=<folder> names one."
    )
    return data / "Test"


def _own_folder(variable: str, layout: str, parts: tuple[str, ...]) -> Path | None:
    """The folder that an environment variable names, None where it is unset or blank."""
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_absolute():
        path = path.absolute() if path.exists() else REPOSITORY / path
    try:
        for part in parts:
            class_folders(path / part)
    except (OSError, ValueError) as error:
        found = ", ".join(sorted(os.listdir(path))[:8]) if path.is_dir() else "no folder"
        raise type(error)(
            f"{variable} is {path}, which should hold {layout}. Found there: {found or 'nothing'}. "
            f"Correct {variable}, or unset it to use what ships."
        ) from error
    return path


def shipped_folder() -> Path:
    """The folder of the shipped handwriting, unpacked on first use; errors as `handwriting_folder`."""
    return archive.unpacked(ARCHIVE, [DATA / "handwriting", USER_CACHE / "handwriting"])
