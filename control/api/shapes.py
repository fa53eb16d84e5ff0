"""Bodies of requests: each is declared once, and both what is read and what the document says are made from that.

A `Field` has its schema and its reader side by side; a `Shape` is an object with certain fields and no others; a
`Choice` is one of several shapes.  An endpoint declares its shape, and its handler gets what `said` has read by it, so
a handler cannot read anything else than what the document promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiohttp import web

from control.api import body
from control.api.problems import invalid
from control.api.schemas import PERCENT, SPAN, TEXT, Json, answer, line, many, maybe, scoped
from router.core.model import Side
from router.core.orders import Kind
from router.core.safety import Rule
from router.wishes import REMOVAL

Said = Mapping[str, Any]
"""What was read: every field of the shape, those that were not said with their default."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: what it looks like, and how it is read."""

    name: str
    schema: Json
    read: Callable[[body.Json, str], Any]
    """Of the object and the field's name; raises Problem."""
    required: bool = True
    default: Any = None

    def optional(self, default: Any = None, *, null: bool = True) -> Field:
        """The same where it need not be said; `null` says that it is not."""
        schema = maybe(self.schema) if null else self.schema
        return replace(self, schema=schema, required=False, default=default)

    def of(self, found: body.Json) -> Any:
        if not self.required and (self.name not in found or (found[self.name] is None and "anyOf" in self.schema)):
            return self.default
        value = self.read(found, self.name)
        if value is None:  # null, where something has to be said
            raise invalid(self.name, "it is missing", "write it, or leave the whole field out where it need not be")
        return value


@dataclass(frozen=True, slots=True)
class Shape:
    """An object with these fields and no others."""

    fields: tuple[Field, ...]
    apart: tuple[str, ...] = ()
    """Two of them that do not go together."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.fields)

    @property
    def schema(self) -> Json:
        required = {each.name: each.schema for each in self.fields if each.required}
        more = {each.name: each.schema for each in self.fields if not each.required}
        made = answer(required, **more) | {"additionalProperties": False}
        both = {"properties": dict.fromkeys(self.apart, TEXT), "required": list(self.apart)}
        return made | ({"not": both} if self.apart else {})

    def read(self, found: object) -> Said:
        known = body.known_keys(found, self.names)
        said = {each.name: each.of(known) for each in self.fields}
        if self.apart and all(said[name] is not None for name in self.apart):
            first, second = self.apart
            instead = f"write one of the two: `{first}` ends it in any case, `{second}` unless somebody confirms it"
            raise invalid(second, f"it stands beside `{first}`", instead)
        return said


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several shapes, told by the one field that the others do not have, or by what a common field says."""

    shapes: Mapping[str, Shape]
    """By the name of that field, or by the common field's value."""
    by: str = ""
    """The common field; empty: there is none."""
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = dict.fromkeys(name for shape in self.shapes.values() for name in shape.names)
        object.__setattr__(self, "names", tuple(names))

    @property
    def schema(self) -> Json:
        unlike = {id(shape): shape.schema for shape in self.shapes.values()}
        return {"oneOf": list(unlike.values())}

    def read(self, found: object) -> Said:
        known = body.known_keys(found, self.names)
        shape = self._shape(known)
        for name in known:
            if name not in shape.names:
                others = [value for value, other in self.shapes.items() if name in other.names]
                raise invalid(name, f"it belongs to {' and '.join(others)}", "leave it out")
        return shape.read(known)

    def _shape(self, found: body.Json) -> Shape:
        if self.by:
            return self.shapes[body.one_of(found, self.by, self.shapes)]
        said = [name for name in self.shapes if name in found]
        if len(said) != 1:
            names = ", ".join(self.shapes)
            what = f"it stands beside {said[0]}" if said else "it is missing"
            raise invalid(said[1] if said else next(iter(self.shapes)), what, f"write exactly one of {names}")
        return self.shapes[said[0]]


Body = Shape | Choice
SHAPE: ContextVar[Body | None] = ContextVar("shape", default=None)
"""What the endpoint that is asked has declared; the guard sets it anew with each request."""


async def said(request: web.Request) -> Said:
    """The body, read by the shape that its endpoint has declared."""
    shape = SHAPE.get()
    if shape is None:
        raise RuntimeError(f"{request.path} has declared no shape for its body")
    return shape.read(await body.read_object(request, shape.names))


# -- fields ------------------------------------------------------------------------------------------------------------


def _scope(*names: str) -> Field:
    def read(found: body.Json, name: str) -> Any:
        return body.scope(found, name, names)

    return Field("scope", scoped(*names), read)


ANY_SCOPE: Final = _scope(*body.REACHES)
ROUTES_SCOPE: Final = _scope("route", "group", "all")
SITE_SCOPE: Final = _scope("site")
SCOPES: Final = Field("scopes", many(ANY_SCOPE.schema) | {"minItems": 1, "maxItems": body.MAX_LIST}, body.scopes)
REASON: Final = Field("reason", line(body.MAX_REASON), lambda b, _: body.reason(b))
WEIGHT_SHARE: Final = Field("weight", PERCENT, body.share)
CAP_SHARE: Final = Field("cap", PERCENT, body.share)
SIDE: Final = Field("side", {"enum": [side.label for side in Side]}, lambda b, _: body.side(b))
FOR: Final = Field("for", SPAN, body.seconds).optional()
TRIAL: Final = Field("confirm_within", SPAN, body.seconds).optional()
OVER: Final = Field(
    "over",
    {"type": "string", "pattern": "^([1-9][0-9]?s|[1-9]m|10m)$", "description": "such as 20s or 5m"},
    body.seconds,
).optional()
OVERRIDE: Final = Field(
    "override",
    many({"enum": [*(rule.value for rule in Rule), REMOVAL]}) | {"maxItems": body.MAX_LIST},
    lambda b, _: body.override(b),
).optional({})
LAST: Final = Field("last", {"const": True}, body.true)
SINCE: Final = Field("since", SPAN, body.seconds)

# -- bodies ------------------------------------------------------------------------------------------------------------


def _order(*own: Field) -> Shape:
    """An order: it may end by itself or unless somebody confirms it, but not both."""
    return Shape((*own, REASON, OVERRIDE, FOR, TRIAL), apart=("for", "confirm_within"))


WEIGHT: Final = _order(WEIGHT_SHARE)
WEIGHTS: Final = _order(ROUTES_SCOPE, WEIGHT_SHARE)
PIN: Final = _order(ROUTES_SCOPE, SIDE)
CAP: Final = _order(ROUTES_SCOPE, CAP_SHARE)
FREEZE: Final = _order(ROUTES_SCOPE)
DRAIN: Final = _order(SITE_SCOPE)
OFF: Final = _order(SITE_SCOPE)
ON: Final = Shape((REASON, OVERRIDE))
REVIVE: Final = Shape((Field("place", line(body.MAX_NAME), body.text), REASON))
CLOSE: Final = Shape((REASON,))
ROLLBACK: Final = Choice(
    {each.name: Shape((each, REASON, OVERRIDE, FOR, OVER)) for each in (ANY_SCOPE, SCOPES, LAST, SINCE)}
)
RESUME: Final = Shape((REASON, WEIGHT_SHARE.optional(null=False), OVERRIDE))
CONFIRM: Final = Shape((REASON.optional("confirmed"),))
RESTORE: Final = Shape((REASON, OVERRIDE))


def _preview(kind: Kind, scope: Field, *own: Field) -> Shape:
    return Shape((Field("kind", {"const": kind.value}, lambda b, _: body.kind(b)), scope, *own))


PREVIEW: Final = Choice(
    {
        Kind.WEIGHT.value: _preview(Kind.WEIGHT, ROUTES_SCOPE, WEIGHT_SHARE),
        Kind.CAP.value: _preview(Kind.CAP, ROUTES_SCOPE, CAP_SHARE),
        Kind.PIN.value: _preview(Kind.PIN, ROUTES_SCOPE, SIDE),
        Kind.FREEZE.value: _preview(Kind.FREEZE, ROUTES_SCOPE),
        Kind.ROLLBACK.value: _preview(Kind.ROLLBACK, ANY_SCOPE),
        Kind.DRAIN.value: _preview(Kind.DRAIN, SITE_SCOPE),
        Kind.OFF.value: _preview(Kind.OFF, SITE_SCOPE),
    },
    by="kind",
)
"""An order without what makes it one: nobody gives a reason for a question."""
