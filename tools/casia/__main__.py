"""`python -m tools.casia`: import CASIA-HWDB files, adopt an unpacked folder, check or read one.

Exit status: 0 all is well; 1 something could not be imported (0 with --keep-going if the rest was)
or a file could not be read or written; 2 the request cannot be carried out; 130 interrupted.
"""

import argparse
import sys
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import DATA

from tools.casia import CasiaError, Result, adopt, check, import_gnt
from tools.casia.layout import MADE_BY, TERMS
from tools.casia.reading import read, table

OUT = DATA / "casia"
_SHOWN = 20


def _parsers() -> dict[str, argparse.ArgumentParser]:
    shared = argparse.ArgumentParser(add_help=False)
    choice = shared.add_mutually_exclusive_group()
    choice.add_argument(
        "--characters", metavar="人从众", help="only these, written together; default: the course's 55"
    )
    choice.add_argument("--all", action="store_true", help="every character there is")
    shared.add_argument(
        "--keep-going",
        action="store_true",
        help="exit status 0 although parts could not be imported (they are reported all the same)",
    )
    shared.add_argument("--restart", action="store_true", help=argparse.SUPPRESS)  # as always now

    imports = argparse.ArgumentParser(
        prog=MADE_BY,
        parents=[shared],
        description="Import .gnt files of CASIA HWDB1.0, 1.1 and 1.2 into Train/<character>/*.png "
        "and Test/<character>/*.png.",
        epilog="Other commands: 'adopt FOLDER' for a folder already in this layout (as on Kaggle), "
        "'check FOLDER' to compare images with their manifest, 'read FOLDER' to let the course's "
        "networks read it; each has --help. " + TERMS,
    )
    imports.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help=".gnt file, folder, zip or tar archive; its name tells training (trn, Train) from test",
    )
    for split, purpose in (("--train", "training"), ("--test", "testing")):
        imports.add_argument(
            split,
            nargs="+",
            action="extend",
            default=[],
            metavar="SOURCE",
            help=f"sources for {purpose}, whatever their names",
        )
    imports.add_argument("--out", type=Path, default=OUT, help=f"new folder; default: {OUT}")

    adopts = argparse.ArgumentParser(
        prog=f"{MADE_BY} adopt",
        parents=[shared],
        description="Check a folder that holds Train/<character>/*.png and Test/<character>/*.png, "
        "and write its manifest: in place, or with --out into a copy. " + TERMS,
    )
    adopts.add_argument("folder", type=Path, help="the folder that holds Train and Test")
    adopts.add_argument("--out", type=Path, help="copy the sound images into this new folder")

    checks = argparse.ArgumentParser(
        prog=f"{MADE_BY} check", description="Compare every image of a folder with its manifest."
    )
    reads = argparse.ArgumentParser(
        prog=f"{MADE_BY} read",
        description="Print how well lecture 4's networks, fitted to simulated writing alone, read "
        "the course's characters in Train and Test of a folder.",
    )
    for parser in (checks, reads):
        parser.add_argument("folder", type=Path)
    return {"import": imports, "adopt": adopts, "check": checks, "read": reads}


def _characters(options: argparse.Namespace) -> tuple[str, ...] | None:
    if options.all:
        return None
    if options.characters is None:
        return CHARACTERS
    characters = tuple(dict.fromkeys("".join(options.characters.split()).replace(",", "")))
    if not characters:
        raise CasiaError("--characters names none.")
    return characters


def _print_result(result: Result, keep_going: bool) -> int:
    for note in result.notes:
        print(note)
    if result.others:
        print(f"{result.others:,} files of other kinds were left alone.")
    for problem in result.reports[:_SHOWN]:
        print(f"  {problem}", file=sys.stderr)
    if result.problems:
        listed = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(result.kinds.items()))
        print(f"{result.problems:,} problems: {listed}.", file=sys.stderr)
    if result.folder is None:
        print("Nothing was imported.", file=sys.stderr)
        return 1
    images = result.manifest["images"]
    print(
        f"{images['Train']:,} training and {images['Test']:,} test images of "
        f"{len(result.manifest['characters']):,} characters in {result.folder}"
    )
    if all(images.values()):
        print(f'Use them with: COURSE_DATA="{result.folder}" make slides')
    print(TERMS)
    return 1 if result.problems and not keep_going else 0


def _run(command: str, options: argparse.Namespace) -> int:
    """Carry out a command; returns the exit status."""
    if command == "check":
        faults = check(options.folder)
        for fault in faults[:100]:
            print(fault, file=sys.stderr)
        print(f"{len(faults):,} differences." if faults else "All images are as in the manifest.")
        return 1 if faults else 0
    if command == "read":
        print(table(read(options.folder)))
        return 0
    if command == "adopt":
        in_place = options.out is None and not options.all and options.characters is None
        chosen = None if in_place else _characters(options)
        result = adopt(options.folder, options.out, characters=chosen)
    else:
        given = {"train": options.train, "test": options.test, "characters": _characters(options)}
        result = import_gnt(options.sources, options.out, **given)
    return _print_result(result, options.keep_going)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console that lacks Chinese must not stop an import
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parsers = _parsers()
    command = arguments.pop(0) if arguments and arguments[0] in parsers else "import"
    options = parsers[command].parse_args(arguments)
    try:
        return _run(command, options)
    except (CasiaError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}. Nothing was kept; mend this and run the command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing was kept. The same command starts anew.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
