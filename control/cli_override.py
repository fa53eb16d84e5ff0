"""`strangler override new --for 1h`: header lines that let somebody outside of the trusted networks choose a side.

Signed with the key in the state directory, so it needs that directory and nobody else; workers check it themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from control.cli_values import DONE, FAILED
from router.core.model import Side
from router.core.override import KEY_FILE, sign


def override(args: argparse.Namespace) -> int:
    """Print the two header lines."""
    try:
        key = (args.state / KEY_FILE).read_bytes()
    except OSError as error:
        print(f"strangler: no key in {args.state}: {error.strerror}; name its directory with --state", file=sys.stderr)
        return FAILED
    end = int(time.time() + args.lasts)
    token = sign(Side[args.side.upper()], end, key)
    if args.json:
        print(json.dumps({"side": args.side, "token": token, "expires": end}))
    else:
        print(f"X-Strangler-Side: {args.side}\nX-Strangler-Token: {token}")
    return DONE
