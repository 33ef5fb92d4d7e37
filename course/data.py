"""Where the handwriting is: the shipped, simulated set, or any folder of the same layout.

The shipped set is one archive in `data/`, unpacked on first use. The environment variable
COURSE_DATA names a folder that takes its place (real CASIA, say), and COURSE_NOTEBOOK one
that takes the place of the learner's notebook. A relative path counts from the current
folder, or from the repository when it is not there.
"""

import errno
import os
from pathlib import Path

from course.copies import archive
from course.loaders import class_folders
from course.paths import DATA, REPOSITORY, USER_CACHE

ARCHIVE = DATA / "handwriting.tar.xz"
LAYOUT = "Train/<character>/<image>.png and Test/<character>/<image>.png"


def handwriting_folder() -> Path:
    """The folder that holds Train/ and Test/, each with one sub-folder per character.

    That is COURSE_DATA where it is set; otherwise the shipped archive, unpacked on first use
    into data/handwriting/, or into the user's cache folder where data/ cannot be written.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        The folder is missing, empty or of another layout (it is named), or the archive is damaged.
    OSError
        The archive can be unpacked nowhere; each place and its reason are named.
    """
    own = _folder_from_environment("COURSE_DATA")
    if own is None:
        return _shipped_folder()
    for part in ("Train", "Test"):
        try:
            class_folders(own / part)
        except (OSError, ValueError) as error:
            found = ", ".join(sorted(path.name for path in own.iterdir())[:8]) or "nothing"
            raise type(error)(
                f"COURSE_DATA is {own}, which should hold {LAYOUT}. Its {part} folder is "
                f"missing or has no character folders. Found: {found}."
            ) from error
    return own


def notebook_folder() -> Path:
    """The folder of the learner's notebook: other hands than the training set's.

    That is COURSE_NOTEBOOK where it is set; else the Notebook folder of COURSE_DATA; else the
    shipped notebook if it has any of the characters in Train; else, with a printed line, Test.
    Load it with `skip_unknown=True`, since it may hold characters that Train lacks.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError, OSError
        As `handwriting_folder`, naming COURSE_NOTEBOOK where that is at fault.
    """
    own = _folder_from_environment("COURSE_NOTEBOOK")
    if own is not None:
        try:
            class_folders(own)
        except ValueError as error:
            raise ValueError(
                f"COURSE_NOTEBOOK is {own}, which should hold <character>/<image>.png, but has "
                "no character folders."
            ) from error
        return own
    data = handwriting_folder()
    if (data / "Notebook").is_dir():
        return data / "Notebook"
    train = {label for label, _ in class_folders(data / "Train")}
    shipped = _shipped_folder() / "Notebook"
    if shipped.is_dir() and train & {label for label, _ in class_folders(shipped)}:
        return shipped
    print(
        f"No notebook with characters of {data / 'Train'}: the test set stands in for it. "
        "COURSE_NOTEBOOK=<folder> names one."
    )
    return data / "Test"


def _folder_from_environment(variable: str) -> Path | None:
    """The folder that an environment variable names, None where it is unset or blank."""
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_absolute():
        path = path.absolute() if path.exists() else REPOSITORY / path
    expected = LAYOUT if variable == "COURSE_DATA" else "<character>/<image>.png"
    if not path.exists():
        raise FileNotFoundError(
            errno.ENOENT,
            f"{variable} names a folder that does not exist (expected there: "
            f"{expected}). Create it, or unset {variable} to use the shipped data",
            str(path),
        )
    if not path.is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR,
            f"{variable} should name a folder that holds {expected}, but names a file",
            str(path),
        )
    return path


def _shipped_folder() -> Path:
    """The shipped archive's folder, unpacked where that is still to be done."""
    return archive.unpacked(ARCHIVE, [DATA / "handwriting", USER_CACHE / "handwriting"])
