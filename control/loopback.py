"""May this address be an admin address?  Without tokens only one that no other machine can reach."""

from __future__ import annotations

import ipaddress


class UnsafeAddressError(Exception):
    """An admin address that anybody on the network could use."""


def check_address(host: str, *, tokens: bool = False, tls: bool = False, insecure: bool = False) -> None:
    """Raises `UnsafeAddressError` unless only this machine can reach the address, or it is guarded.

    `insecure`: somebody has said that tokens may travel unencrypted.
    """
    if is_loopback(host):
        return
    where = f"the admin address {host or '(any)'} is not loopback"
    if not tokens:
        raise UnsafeAddressError(
            f"{where}, and without tokens everybody who reaches it could change the routing; bind it to 127.0.0.1 and "
            "reach it through a tunnel, or make tokens with `strangler token create`"
        )
    if not tls and not insecure:
        raise UnsafeAddressError(
            f"{where}, and without TLS everybody on the way could read the tokens; give --admin-tls-cert and "
            "--admin-tls-key, or say --insecure-admin"
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
