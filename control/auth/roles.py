"""What somebody may do: each role may do what those below it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Role(IntEnum):
    """How much somebody is trusted with."""

    ANYBODY = 0
    """No token at all: whether the process lives, and the way in."""
    METRICS = 1
    """Reads the metrics and nothing else."""
    VIEWER = 2
    """Reads everything."""
    OPERATOR = 3
    """Gives and lifts orders."""
    EDITOR = 4
    """Brings back whole revisions, with their routes.yaml."""

    @property
    def label(self) -> str:
        return self.name.lower()


TOKEN_ROLES: Final = (Role.METRICS, Role.VIEWER, Role.OPERATOR, Role.EDITOR)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    """The token's name; empty without tokens, when people say their names themselves."""
    role: Role
    digest: str = ""
    """Of the token behind it."""
