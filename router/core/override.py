"""Signed permission to choose one's side: for people who are not in a trusted network.

    X-Strangler-Side: new
    X-Strangler-Token: new.1795633200.6f1c...      side . end in Unix time . HMAC-SHA256 of "side.end" in hex

A token speaks for one side until its end, for whoever holds it; the key never leaves the router's state directory.
Both headers are taken out of the request, whether they are believed or not.
"""

from __future__ import annotations

import re
from hmac import compare_digest, digest
from typing import Final

from router.core.model import Side

KEY_FILE: Final = "override.key"
"""Where the key lies, in the state directory."""
_TOKEN: Final = re.compile(rb"(legacy|new)\.([0-9]{1,12})\.([0-9a-f]{64})\Z")
_SIDES: Final = {b"legacy": Side.LEGACY, b"new": Side.NEW}


def sign(side: Side, end: int, key: bytes) -> str:
    """A token for this side that is good until then, in Unix time."""
    said = f"{side.label}.{end}"
    return f"{said}.{digest(key, said.encode(), 'sha256').hex()}"


def permits(token: bytes, side: bytes, key: bytes, now: float) -> bool:
    """Does the token allow this value of X-Strangler-Side at this time?  Never with an empty key."""
    found = _TOKEN.match(token)
    if found is None or not key or found[1] != side or int(found[2]) <= now:
        return False
    return compare_digest(sign(_SIDES[found[1]], int(found[2]), key).encode(), token)
