"""`python -m course.checks NAME ANSWER…`: the hashes that `compare` takes, for authors.

Each answer is read as a Python literal where it is one (3, (2, 5), {"a": 1}), else as a word.
"""

import ast
import contextlib
import sys

from course.checks import digest

if len(sys.argv) < 3:
    sys.exit(__doc__)
for text in sys.argv[2:]:
    answer = text
    with contextlib.suppress(ValueError, SyntaxError):
        answer = ast.literal_eval(text)
    print(digest(sys.argv[1], answer), text)
