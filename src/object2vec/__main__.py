"""``python -m object2vec`` is the command line."""

import sys

from object2vec.cli import main

if __name__ == "__main__":
    sys.exit(main())
