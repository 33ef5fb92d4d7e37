"""Where the references of a page lead."""

from __future__ import annotations

import posixpath
import re


def is_remote(target: str) -> bool:
    """Whether a reference leaves the site: it names a scheme or a host."""
    return bool(re.match(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*:|//)", target))


def local_path(target: str, output: str) -> str | None:
    """The site path that a reference from a page means, or None for a place on the page itself."""
    path = target.split("#", 1)[0].split("?", 1)[0]
    if not path:
        return None
    if path.startswith("/"):
        return posixpath.normpath(path.lstrip("/"))
    return posixpath.normpath(posixpath.join(posixpath.dirname(output), path))
