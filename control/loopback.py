"""May this address be an admin address?  Without tokens only one that no other machine can reach."""

from __future__ import annotations

import ipaddress


class UnsafeAddressError(Exception):
    """An admin address that anybody on the network could use."""


def check_loopback(host: str) -> None:
    """Raises `UnsafeAddressError` unless only this machine can reach the address."""
    if not is_loopback(host):
        raise UnsafeAddressError(
            f"the admin address {host or '(any)'} is not loopback, and without tokens everybody who reaches it could "
            "change the routing; bind it to 127.0.0.1 and reach it through a tunnel"
        )


def is_loopback(host: str) -> bool:
    """Is this name or address this machine and no other?"""
    bare = host.strip("[]")
    if bare.lower() in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
