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
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "autorun.inf"),
    *("__macosx", "resource.frk", "network trash folder", "temporary items", "thevolumesettingsfolder"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "$winreagent", "found.000"),
    *("lost+found", "lost.dir", "aquota.user", "aquota.group", "__pycache__"),
    *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "~snapshot"),
}


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is nobody's work: hidden, or left by a system."""
    return name.startswith((".", "~$", "@Syno")) or name.lower() in _LEFT_BEHIND
