"""`python -m control` is `strangler`."""

import sys

from control.cli import main

if __name__ == "__main__":
    sys.exit(main())
