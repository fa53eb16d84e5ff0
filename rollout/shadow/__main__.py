"""`python -m rollout.shadow STATE_DIR`, started by control only."""

from __future__ import annotations

import sys

from rollout.shadow.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
