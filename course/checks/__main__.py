"""`python -m course.checks NAME ANSWER…`: the hashes that `compare` takes, for authors.

Each answer is read as a Python literal where it is one (3, (2, 5), {"a": 1}), else as a word.
"""

import ast
import sys

from course.checks import digest


def main() -> None:
    """Print the hash of each answer on the command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for text in sys.argv[2:]:
        try:
            answer = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            answer = text
        print(digest(sys.argv[1], answer), text)


if __name__ == "__main__":
    main()
