"""What is left of a request target that people are shown: values of parameters that look like secrets are masked.

    /v1/orders?access_token=eyJhbGciOi...&page=2      ->      /v1/orders?access_token=***&page=2

Only the names are looked at, since a secret looks like anything.  What is forwarded is never touched.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
_NAMES: Final = (
    "token|secret|passwd|password|passphrase|pwd|api[_.-]?key|apikey|access[_.-]?key|private[_.-]?key|auth|authorization"
    "|bearer|credential|credentials|session|sessionid|sid|jwt|otp|pin|sig|signature|code|assertion|key"
)
_VALUE: Final = re.compile(rf"([?&;](?:[^=&;#]{{0,60}}[_.-])?(?:{_NAMES})=)[^&;#]+", re.IGNORECASE | re.ASCII)


def masked(target: str) -> str:
    """The target, with the values of such parameters masked; names may be escaped by nobody who wants them read."""
    return _VALUE.sub(rf"\g<1>{MASK}", target) if "?" in target else target
