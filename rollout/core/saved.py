"""Values such as runs as JSON and back, so that whoever takes over finds them as they were.

What a field may be is taken from its type, so that nothing is forgotten when a run learns something new; a field that
is missing has its default.  Reading trusts nothing: what does not fit is a `BadRecord` that says where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rollout.core.records import BadRecord

T = TypeVar("T")


def written(value: Any) -> Any:
    """A value of the core as JSON has it."""
    if is_dataclass(value):
        return {field.name: written(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [written(each) for each in value]
    return value


def read(kind: type[T], document: object) -> T:
    """The value of this kind that was written so.  Raises BadRecord."""
    found: T = _read(kind, document, kind.__name__)
    return found


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any, place: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        other = [each for each in inner if each is not type(None)]
        return None if value is None else _read(other[0], value, place)
    if origin is tuple:
        return tuple(_read(inner[0], each, place) for each in _list(value, place))
    if origin is frozenset:
        return frozenset(_read(inner[0], each, place) for each in _list(value, place))
    if is_dataclass(kind):
        return _record(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, tuple):
        return _named(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value, place)
    return _plain(kind, value, place)


def _record(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise BadRecord(f"{place} is no object")
    hints, found = _hints(kind), {}
    for field in fields(kind):
        if field.name in value:
            found[field.name] = _read(hints[field.name], value[field.name], f"{place}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise BadRecord(f"{place}.{field.name} is missing")
    return kind(**found)


def _named(kind: Any, value: Any, place: str) -> Any:
    """A named tuple: a list of as many values."""
    hints = _hints(kind)
    values = _list(value, place)
    if len(values) != len(hints):
        raise BadRecord(f"{place} has {len(values)} parts, not {len(hints)}")
    return kind(*(_read(hint, each, place) for hint, each in zip(hints.values(), values, strict=True)))


def _member(kind: type[Enum], value: Any, place: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise BadRecord(f"{place} is {value!r:.80}") from None


def _plain(kind: Any, value: Any, place: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        raise BadRecord(f"{place} is {value!r:.80}, not {kind.__name__}")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRecord(f"{place} is no list")
    return value
