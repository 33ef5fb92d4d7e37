"""Where things lie in the repository, whatever folder Python was started in."""

from pathlib import Path

from platformdirs import user_cache_path

REPOSITORY = Path(__file__).resolve().parent.parent
ASSETS = REPOSITORY / "assets"
CACHE = REPOSITORY / "cache"
DATA = REPOSITORY / "data"
# For what cannot be kept in the repository, because it cannot be written.
USER_CACHE = user_cache_path("computer-vision-course", appauthor=False)

# What systems, disk stations and unpackers leave in folders, in small letters.
_LEFT_BEHIND = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r"),
    *("$recycle.bin", "system volume information", "recycler", "lost+found"),
    *("@eadir", "#recycle", "#snapshot", "@recycle", "__pycache__"),
}


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is nobody's work: hidden, or left by a system."""
    return name.startswith((".", "~$")) or name.lower() in _LEFT_BEHIND
