"""Weights of `keras.applications` from Keras's cache or its server: checked, and never half-way."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import re
import socket
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)

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

# keras.applications' modules call get_file through this module.
_file_utils = keras.applications.MobileNet.__globals__["file_utils"]
_out_of_reach: set[str] = set()  # servers that did not answer in this process


class DownloadError(RuntimeError):
    """A file could not be had; the message says in one line why."""


def download(url: str, target: Path, file_hash: str | None = None) -> None:
    """Download a file, check it, and only then put it in its place.

    `file_hash` is its MD5 or SHA-256. Where none is known, the sum that Google's storage states is
    checked, and the length. DownloadError says why there is no file; `COURSE_DOWNLOAD=0` forbids it.
    """
    if os.environ.get("COURSE_DOWNLOAD", "").strip().lower() in {"0", "no", "off", "false"}:
        raise DownloadError("downloads are switched off (COURSE_DOWNLOAD)")
    stated = _ask_server(url)
    patience = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(SECONDS_BETWEEN_PARTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Keras leaves a file of the wrong hash where it is; so it gets a folder of its own.
        with (
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder,
            contextlib.redirect_stdout(io.StringIO()),  # a lecture does not show its progress
        ):
            part = keras.utils.get_file(
                target.name, url, file_hash=file_hash or stated, cache_dir=folder, cache_subdir=""
            )
            os.replace(part, target)
    except Exception as error:  # get_file raises plain ones
        raise DownloadError(f"the download of {target.name} failed: {_one_line(error)}") from None
    finally:
        socket.setdefaulttimeout(patience)


def _ask_server(url: str) -> str | None:
    """The MD5 that the server states, if it does; DownloadError unless it answers in time."""
    server = urllib.parse.urlsplit(url).netloc
    answers: list = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            answers.append(urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER).headers)
        except Exception as error:
            answers.append(error)

    if server not in _out_of_reach:
        # The time limit of a socket does not count the look-up of a name, so a thread waits for that.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(SECONDS_TO_ANSWER)
    answer = answers[0] if answers else TimeoutError()
    if isinstance(answer, urllib.error.HTTPError):
        raise DownloadError(f"{server} answered {answer.code} ({answer.reason})")
    if isinstance(answer, Exception):
        _out_of_reach.add(server)
        raise DownloadError(f"{server} is out of reach")
    stated = re.search(r"md5=([A-Za-z0-9+/]{22}==)", ",".join(answer.get_all("x-goog-hash", [])))
    return base64.b64decode(stated[1]).hex() if stated else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _get_file(fname: str, origin: str, *, cache_subdir: str, file_hash: str | None = None) -> str:
    """Stand-in for `keras.utils.get_file`, as far as `keras.applications` uses it."""
    target = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / cache_subdir / fname
    if not target.is_file() or (file_hash and not _file_utils.validate_file(target, file_hash)):
        download(origin, target, file_hash or SHA256.get(fname))
    return str(target)


def pretrained(build: Callable[..., keras.Model]) -> keras.Model:
    """Build a network of `keras.applications` with its ImageNet weights.

    A file in Keras's cache is used as it is, provided that its hash is Keras's where Keras states
    one; a missing or damaged one is downloaded. DownloadError says why there are no weights.
    """
    with mock.patch.object(_file_utils, "get_file", _get_file):
        try:
            return build(weights="imagenet")
        except (OSError, KeyError, ValueError) as error:  # h5py and Keras, on other content
            raise DownloadError(
                f"the file in Keras's cache does not hold these weights ({_one_line(error)}); delete it"
            ) from error
