"""`python -m tools.casia`: import CASIA-HWDB files, adopt an unpacked folder, check or read one.

Exit status: 0 all is well; 1 something could not be imported (0 with --keep-going if the rest was)
or the disk is full; 2 the request cannot be carried out; 130 interrupted.
"""

import argparse
import errno
import sys
from collections import Counter
from pathlib import Path

from course.paths import DATA

from tools.casia import CasiaError, Result, adopt, check, import_gnt
from tools.casia.layout import TERMS
from tools.casia.reading import read, table

OUT = DATA / "casia"


def _course_characters() -> tuple[str, ...]:
    from course.characters import CHARACTERS

    return CHARACTERS


def _add_choice(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--characters", metavar="人从众", help="only these, written together; default: the course's 55"
    )
    choice.add_argument("--all", action="store_true", help="every character there is")
    parser.add_argument("--restart", action="store_true", help="discard an unfinished import there")


def _add_keep_going(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="exit status 0 although parts could not be imported (they are reported all the same)",
    )


def _parsers() -> dict[str, argparse.ArgumentParser]:
    imports = argparse.ArgumentParser(
        prog="python -m tools.casia",
        description="Import .gnt files of CASIA HWDB1.0, 1.1 and 1.2 into Train/<character>/*.png "
        "and Test/<character>/*.png. Interrupted, the same command continues.",
        epilog="Other commands: 'adopt FOLDER' for a folder already in this layout (as on Kaggle), "
        "'check FOLDER' to compare images with their manifest, 'read FOLDER' to let the course's "
        "networks read it; each has --help. " + TERMS,
    )
    imports.add_argument(
        "sources",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help=".gnt file, folder or zip archive; its name tells training (trn, Train) from test",
    )
    imports.add_argument(
        "--train",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="SOURCE",
        help="sources for training, whatever their names",
    )
    imports.add_argument(
        "--test",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="SOURCE",
        help="sources for testing, whatever their names",
    )
    imports.add_argument("--out", type=Path, default=OUT, help=f"new folder; default: {OUT}")
    _add_choice(imports)
    _add_keep_going(imports)

    adopts = argparse.ArgumentParser(
        prog="python -m tools.casia adopt",
        description="Check a folder that holds Train/<character>/*.png and Test/<character>/*.png, "
        "and write its manifest: in place, or with --out into a copy. " + TERMS,
    )
    adopts.add_argument("folder", type=Path, help="the folder that holds Train and Test")
    adopts.add_argument("--out", type=Path, help="copy the sound images into this new folder")
    _add_choice(adopts)
    _add_keep_going(adopts)

    checks = argparse.ArgumentParser(
        prog="python -m tools.casia check", description="Compare every image of a folder with its manifest."
    )
    checks.add_argument("folder", type=Path)

    reads = argparse.ArgumentParser(
        prog="python -m tools.casia read",
        description="Print how well lecture 4's networks, fitted to simulated writing alone, read "
        "the course's characters in Train and Test of a folder.",
    )
    reads.add_argument("folder", type=Path)
    return {"import": imports, "adopt": adopts, "check": checks, "read": reads}


def _characters(options: argparse.Namespace) -> tuple[str, ...] | None:
    if options.all:
        return None
    if options.characters is None:
        return _course_characters()
    characters = tuple(dict.fromkeys("".join(options.characters.split()).replace(",", "")))
    if not characters:
        raise CasiaError("--characters names none.")
    return characters


def _print_result(result: Result, keep_going: bool) -> int:
    for note in result.notes:
        print(note)
    kinds = Counter(result.manifest.get("problems", {}).get("kinds", {}))
    kinds = kinds or Counter(problem.kind for problem in result.reports)
    if result.problems:
        listed = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(kinds.items()))
        print(f"{result.problems:,} problems: {listed}.", file=sys.stderr)
    if result.folder is None:
        print("Nothing was imported.", file=sys.stderr)
        return 1
    images = result.manifest["images"]
    print(
        f"{'Already complete: ' if result.complete else ''}{images['Train']:,} training and "
        f"{images['Test']:,} test images of {len(result.manifest['characters']):,} characters "
        f"in {result.folder}"
    )
    if all(images.values()):
        print(f'Use them with: COURSE_DATA="{result.folder}" make slides')
    print(TERMS)
    return 1 if result.problems and not keep_going else 0


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
        if command == "check":
            faults = check(options.folder)
            for fault in faults[:100]:
                print(fault, file=sys.stderr)
            print(f"{len(faults):,} differences." if faults else "All images are as in the manifest.")
            return 1 if faults else 0
        if command == "read":
            print(table(read(options.folder, progress=True)))
            return 0
        if command == "adopt":
            in_place = options.out is None and not options.all and options.characters is None
            result = adopt(
                options.folder,
                options.out,
                restart=options.restart,
                characters=None if in_place else _characters(options),
            )
        else:
            if not (options.sources or options.train or options.test):
                parsers[command].print_help(sys.stderr)
                return 2
            result = import_gnt(
                options.sources,
                options.out,
                train=options.train,
                test=options.test,
                characters=_characters(options),
                restart=options.restart,
            )
    except CasiaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nInterrupted. The same command "
            f"{'starts anew' if command in ('check', 'read') else 'continues where it stopped'}.",
            file=sys.stderr,
        )
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            print(
                f"error: the disk is full ({error.filename or options.out}). Nothing is lost: make "
                "room, then run the same command again, and it continues.",
                file=sys.stderr,
            )
        else:
            print(f"error: {error}. Mend this and run the same command again.", file=sys.stderr)
        return 1
    return _print_result(result, options.keep_going)


if __name__ == "__main__":
    sys.exit(main())
