"""The console of the commands."""

import sys


def speak_utf8() -> None:
    """Let a command print Chinese anywhere: under LANG=C, and in a Windows console of another alphabet."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a notebook puts in their place has no such method
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
