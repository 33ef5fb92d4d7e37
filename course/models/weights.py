"""Weights of `keras.applications` from Keras's cache or its server: checked, and never half-way."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import re
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
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
# A server that has not answered by then counts as out of reach. Offline a name may take a minute
# to fail, and nobody waits for that while a lecture renders.
SECONDS_TO_ANSWER = 4.0
SECONDS_BETWEEN_PARTS = 20.0
PART = 1 << 18
LENGTHS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


class DownloadError(RuntimeError):
    """A file could not be had; the message says in one line why."""


_out_of_reach: set[str] = set()  # servers that did not answer in this process


def download(url: str, target: Path, file_hash: str | None = None) -> Path:
    """Download a file, check it, and only then put it in its place.

    Args:
        url: http or https.
        target: The file to make. It appears whole and checked, or not at all; one that was there
            before is replaced only then.
        file_hash: Its MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal digits. Where none is known,
            the sum that Google's storage sends along is checked, and the length.

    Returns:
        `target`.

    Raises:
        DownloadError: Downloads are switched off (`COURSE_DOWNLOAD=0`), the server is out of reach
            or says no, the download broke off, its hash is another one, or it cannot be stored.
    """
    if os.environ.get("COURSE_DOWNLOAD", "").strip().lower() in {"0", "no", "off", "false"}:
        raise DownloadError("downloads are switched off (COURSE_DOWNLOAD)")
    server = urllib.parse.urlsplit(url).netloc
    if server in _out_of_reach:
        raise DownloadError(f"{server} is out of reach")
    try:
        response = _answer(url)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{server} answered {error.code} ({error.reason})") from None
    except (OSError, http.client.HTTPException, ValueError):
        _out_of_reach.add(server)
        raise DownloadError(f"{server} is out of reach") from None

    expected = _expected(file_hash, response.headers)
    sums = {name: hashlib.new(name) for name in expected}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        response.close()
        raise DownloadError(f"{target.parent} cannot be written: {error.strerror}") from None
    part = Path(name)
    try:
        size = 0
        with response, os.fdopen(handle, "wb") as file:
            while block := response.read(PART):
                size += len(block)
                file.write(block)
                for sum_ in sums.values():
                    sum_.update(block)
            file.flush()
            os.fsync(file.fileno())
        stated = response.headers.get("Content-Length")
        if stated is not None and stated.isdigit() and size != int(stated):
            raise DownloadError(f"the download broke off after {size:,} of {int(stated):,} bytes")
        for kind, value in expected.items():
            if sums[kind].hexdigest() != value:
                raise DownloadError(
                    f"{target.name} from {server} is not the file that it should be: its "
                    f"{kind.upper()} is {sums[kind].hexdigest()[:12]}…, not {value[:12]}…"
                )
        os.chmod(part, 0o644)
        os.replace(part, target)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f"the download of {target.name} broke off: {error or type(error).__name__}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return target


def _answer(url: str) -> Any:
    """Open an address, but wait for its answer no longer than SECONDS_TO_ANSWER in all.

    The time limit of a socket does not count the look-up of a name, so a thread waits for that.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is no address on the web")
    result: dict[str, Any] = {}
    answered = threading.Event()
    lock = threading.Lock()

    def ask() -> None:
        try:
            found = urllib.request.urlopen(url, timeout=SECONDS_BETWEEN_PARTS)
        except Exception as error:
            result["error"] = error
        else:
            with lock:
                if "late" in result:
                    found.close()
                result["response"] = found
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    if not answered.wait(SECONDS_TO_ANSWER):
        with lock:
            if "response" not in result:
                result["late"] = True
                raise TimeoutError("no answer")
    if "error" in result:
        raise result["error"]
    return result["response"]


def _expected(file_hash: str | None, headers: Any) -> dict[str, str]:
    if file_hash:
        value = file_hash.lower().removeprefix("sha256:")
        kind = LENGTHS.get(len(value))
        if kind is None or not re.fullmatch(r"[0-9a-f]+", value):
            raise ValueError(f"{file_hash!r} is no MD5, SHA-1, SHA-256 or SHA-512")
        return {kind: value}
    stated = re.search(r"md5=([A-Za-z0-9+/]{22}==)", ",".join(headers.get_all("x-goog-hash", [])))
    if stated:
        return {"md5": base64.b64decode(stated[1]).hex()}
    return {}


def keras_cache() -> Path:
    """Return the folder where Keras keeps downloaded weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


@contextlib.contextmanager
def checked_downloads() -> Iterator[None]:
    """While this lasts, what Keras wants to download goes through `download`.

    A file in Keras's cache is used as it is, provided that its hash is Keras's where Keras states
    one; a damaged one is downloaded again.
    """
    with mock.patch.object(_file_utils(), "get_file", _get_file):
        yield


def _file_utils() -> Any:
    # keras.applications' modules call get_file through this module.
    return keras.applications.MobileNet.__globals__["file_utils"]


def _get_file(
    fname: str | None = None,
    origin: str | None = None,
    *positional: Any,
    cache_subdir: str = "datasets",
    file_hash: str | None = None,
    md5_hash: str | None = None,
    **other: Any,
) -> str:
    """Stand-in for `keras.utils.get_file`, as far as `keras.applications` uses it."""
    if fname is None or origin is None or positional or other:
        raise DownloadError(
            f"course/models/weights.py does not know this call of Keras {keras.__version__} for {fname}"
        )
    target = keras_cache().parent / cache_subdir / fname
    stated = file_hash or md5_hash
    if target.is_file() and (stated is None or _has_hash(target, stated)):
        return str(target)
    return str(download(origin, target, stated or SHA256.get(fname)))


def _has_hash(path: Path, value: str) -> bool:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, LENGTHS[len(value)]).hexdigest() == value.lower()


def pretrained(build: Callable[..., keras.Model], **options: Any) -> keras.Model:
    """Build a network with its ImageNet weights, from Keras's cache or by a checked download.

    Args:
        build: A function of `keras.applications`, or one like them.
        options: Passed on to it, besides `weights="imagenet"`.

    Raises:
        DownloadError: The weights are not there and cannot be had, or are damaged.
    """
    with checked_downloads():
        try:
            return build(weights="imagenet", **options)
        except DownloadError:
            raise
        except (OSError, KeyError, ValueError) as error:
            # h5py and Keras, on a file that holds no such weights.
            if (
                "h5" in str(error).lower()
                or "weight" in str(error).lower()
                or isinstance(error, OSError | KeyError)
            ):
                reason = " ".join(str(error).split())[:120]
                raise DownloadError(
                    f"the file in {keras_cache()} does not hold these weights ({reason}); delete it"
                ) from error
            raise
