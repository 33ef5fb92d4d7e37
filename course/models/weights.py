"""Weights of `keras.applications` from Keras's cache or its server: checked, and never half-way."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course.store.files import write_whole

import keras

# Keras states a hash for most of its weights, but for these it does not. The sum is the one that
# several users of the file have published independently.
SHA256 = {
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5": (
        "3e195a2857356cfc092cbbb460beb2a5bce279015d7792598b8d3d9e451902e3"
    )
}
# By then a server counts as out of reach. Offline a name may take a minute to fail.
SECONDS_TO_ANSWER = 4.0
SECONDS_BETWEEN_PARTS = 20.0

_out_of_reach: set[str] = set()  # servers that did not answer in this process


class DownloadError(RuntimeError):
    """A file could not be had; the message says in one line why."""


def pretrained(build: Callable[..., keras.Model]) -> keras.Model:
    """Build a network of `keras.applications` with its ImageNet weights.

    A file in Keras's cache is used as it is, provided that its hash is Keras's where Keras states
    one; a missing or damaged one is downloaded. DownloadError says why there are no weights.
    """
    # keras.applications' modules call get_file through this module.
    file_utils = keras.applications.MobileNet.__globals__["file_utils"]
    with mock.patch.object(file_utils, "get_file", _get_file):
        try:
            return build(weights="imagenet")
        except (OSError, KeyError, ValueError) as error:  # h5py and Keras, on other content
            raise DownloadError(
                f"the file in Keras's cache does not hold these weights ({_one_line(error)}); delete it"
            ) from error


def _get_file(fname: str, origin: str, *, cache_subdir: str, file_hash: str | None = None) -> str:
    """Stand-in for `keras.utils.get_file`, as far as `keras.applications` uses it: a file whole, or none.

    Where no MD5 or SHA-256 is known, the sum that Google's storage states is checked.
    """
    target = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / cache_subdir / fname
    file_hash = file_hash or SHA256.get(fname)
    if target.is_file() and _is_intact(target.read_bytes(), file_hash):
        return str(target)
    if os.environ.get("COURSE_DOWNLOAD", "").strip().lower() in {"0", "no", "off", "false"}:
        raise DownloadError("downloads are switched off (COURSE_DOWNLOAD)")
    try:
        with _answer(origin) as answer:
            stated = re.search(r"md5=([\w+/]{22}==)", ",".join(answer.headers.get_all("x-goog-hash", [])))
            content = answer.read()
        if not _is_intact(content, file_hash or (stated and base64.b64decode(stated[1]).hex())):
            raise OSError("its hash does not match")
        write_whole(target, content)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"the download of {fname} failed: {_one_line(error)}") from None
    return str(target)


def _is_intact(content: bytes, file_hash: str | None) -> bool:
    kind = "sha256" if len(file_hash or "") == 64 else "md5"
    return file_hash in (None, hashlib.new(kind, content).hexdigest())


def _answer(url: str) -> http.client.HTTPResponse:
    """What the server answers; DownloadError if it does not in time, or has no such file."""
    server = urllib.parse.urlsplit(url).netloc
    answers: list = [TimeoutError()]

    def ask() -> None:
        try:
            answers.append(urllib.request.urlopen(url, timeout=SECONDS_BETWEEN_PARTS))
        except Exception as error:
            answers.append(error)

    if server not in _out_of_reach:
        # The time limit of a socket does not count the look-up of a name, so a thread waits for that.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(SECONDS_TO_ANSWER)
    answer = answers[-1]
    if isinstance(answer, urllib.error.HTTPError):
        raise DownloadError(f"{server} answered {answer.code} ({answer.reason})")
    if isinstance(answer, Exception):
        _out_of_reach.add(server)
        raise DownloadError(f"{server} is out of reach")
    return answer


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
