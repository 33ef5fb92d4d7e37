"""Where things lie in the repository, whatever folder Python was started in."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ASSETS = REPOSITORY / "assets"
CACHE = REPOSITORY / "cache"
DATA = REPOSITORY / "data"
