"""Signed permission to choose one's side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.model import Side
from router.core.override import permits, sign

KEY = b"k" * 32
ends = st.integers(1, 10**11)


@given(st.sampled_from(Side), ends, st.binary(min_size=1))
def test_a_token_permits_its_side_until_its_end(side: Side, end: int, key: bytes) -> None:
    """And not a second longer, nor the other side."""
    token = sign(side, end, key).encode()
    other = Side.LEGACY if side else Side.NEW

    assert permits(token, side.label.encode(), key, end - 1)
    assert not permits(token, side.label.encode(), key, end)
    assert not permits(token, other.label.encode(), key, end - 1)


@given(st.binary(), st.binary(), ends)
def test_nothing_else_permits_anything(token: bytes, key: bytes, now: int) -> None:
    """Whatever bytes a client sends."""
    assert not permits(token, b"new", key, now)


def test_a_token_of_another_key_permits_nothing() -> None:
    """Nor does any token where there is no key."""
    token = sign(Side.NEW, 100, KEY).encode()

    assert not permits(token, b"new", b"j" * 32, 1)
    assert not permits(sign(Side.NEW, 100, b"").encode(), b"new", b"", 1)


def test_a_changed_token_permits_nothing() -> None:
    """The end stands under the signature."""
    token = sign(Side.NEW, 100, KEY).encode().replace(b".100.", b".900.")

    assert not permits(token, b"new", KEY, 1)
