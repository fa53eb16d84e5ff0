"""The state of judgement as JSON and back, exactly: a restart launders no evidence.

Every float is written with all its digits, so what is read is what was written and goes on bit for bit as if nothing
had happened.  Reading trusts nothing; what does not fit is a `BadRecord`, and the event log is there to judge anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from rollout.core.judge import State
from rollout.core.records import BadRecord

VERSION: Final = 1

T = TypeVar("T")


def state_json(state: State) -> dict[str, Any]:
    return {"version": VERSION, **encode(state)}


def state_from(document: Mapping[str, Any]) -> State:
    if document.get("version") != VERSION:
        raise BadRecord(f"the state has version {document.get('version')!r:.80}, and {VERSION} is read")
    return decode(State, {name: value for name, value in document.items() if name != "version"})


def encode(value: Any) -> Any:
    """A value of judgement (a `Watch`, a `Verdict`, a whole `State`) as what json.dumps takes."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: encode(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [encode(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(value)
    return value.value if isinstance(value, Enum) else value


def decode(kind: type[T], document: Any) -> T:
    """The value of that type which was encoded."""
    found: T = _decode(kind, document, kind.__name__)
    return found


def _decode(kind: Any, document: Any, place: str) -> Any:
    if is_dataclass(kind):
        return _fields(kind, document, place)
    origin = get_origin(kind)
    if origin is UnionType:
        return _optional(kind, document, place)
    if origin is tuple:
        return _tuple(get_args(kind), document, place)
    if origin is frozenset:
        return frozenset(_tuple((*get_args(kind), ...), document, place))
    if origin is not None:
        return _mapping(get_args(kind)[1], document, place)
    return _scalar(kind, document, place)


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fields(kind: Any, document: Any, place: str) -> Any:
    if not isinstance(document, Mapping):
        raise _misfit("an object", document, place)
    known = {field.name: field for field in fields(kind)}
    if unknown := document.keys() - known.keys():
        raise BadRecord(f"{place} has no {', '.join(sorted(map(str, unknown)))}")
    missing = [
        name
        for name, field in known.items()
        if name not in document and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise BadRecord(f"{place} lacks {', '.join(missing)}")
    hints = _hints(kind)
    return kind(**{name: _decode(hints[name], value, f"{place}.{name}") for name, value in document.items()})


def _optional(kind: Any, document: Any, place: str) -> Any:
    if document is None:
        return None
    (other,) = (one for one in get_args(kind) if one is not NoneType)
    return _decode(other, document, place)


def _tuple(kinds: tuple[Any, ...], document: Any, place: str) -> Any:
    if not isinstance(document, list):
        raise _misfit("a list", document, place)
    if kinds[-1] is Ellipsis:
        return tuple(_decode(kinds[0], one, place) for one in document)
    if len(document) != len(kinds):
        raise _misfit(f"a list of {len(kinds)}", document, place)
    return tuple(_decode(kind, one, place) for kind, one in zip(kinds, document, strict=True))


def _mapping(kind: Any, document: Any, place: str) -> Any:
    if not isinstance(document, Mapping):
        raise _misfit("an object", document, place)
    return {str(name): _decode(kind, one, f"{place}.{name}") for name, one in document.items()}


def _scalar(kind: Any, document: Any, place: str) -> Any:
    if issubclass(kind, tuple):
        return kind(*_tuple(tuple(_hints(kind).values()), document, place))
    if issubclass(kind, Enum):
        try:
            return kind(document)
        except ValueError:
            raise _misfit(f"one of {', '.join(one.value for one in kind)}", document, place) from None
    if kind is float and isinstance(document, int | float) and not isinstance(document, bool) and isfinite(document):
        return float(document)
    if type(document) is not kind or kind is float:
        raise _misfit(kind.__name__, document, place)
    return document


def _misfit(wanted: str, document: Any, place: str) -> BadRecord:
    return BadRecord(f"{place} must be {wanted}, not {document!r:.80}")
