"""What an endpoint of the admin address declares about itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from control.api.schemas import Parameter
from control.api.shapes import Body
from control.auth.roles import Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, Any]

JSON: Final = "application/json"
YAML: Final = "application/yaml"
EVENTS: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing that can be asked."""

    method: str
    path: str
    role: Role
    says: str
    handler: Handler
    answer: Json | str
    """The schema of a JSON answer, or the media type of any other."""
    query: tuple[Parameter, ...] = ()
    body: Json | Body | None = None
    """Its shape, by which it is read too; or its schema, where the handler reads it in its own way."""
    media: str = JSON
    """Of the body."""
    secured: bool = False
    """Does it look at the token although it needs no role?"""
    refuses: tuple[int, ...] = ()
    """Statuses beside those that everything may answer."""
    also: Mapping[int, Json] | None = None
    """Further statuses with their schemas: not refusals."""
    listed: bool = True
    """Does it stand in the document?"""

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def writes(self) -> bool:
        """Does it change what is in force?"""
        return self.role >= Role.OPERATOR

    @property
    def repeatable(self) -> bool:
        """Does it take an Idempotency-Key?"""
        return self.writes and self.method == "POST"

    @property
    def conditional(self) -> bool:
        return self.writes and 412 in self.refuses

    @property
    def streams(self) -> bool:
        return self.answer == EVENTS
