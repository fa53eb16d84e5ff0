"""Where no upstream may be: addresses that only the machine itself should reach, and the router's own.

    forbidden_address   of an address: why nothing is to be sent there unless somebody says that it is meant
    forbidden_host      the same of what is written as a host; what a name resolves to is not known here
    is_address          is it an address at all, or a name
    is_own              is this place one on which the router itself listens?

Whoever edits upstreams could otherwise read a cloud's metadata through the router, or make it talk to its own admin
address.  A name may resolve to anything at any time, so whoever connects asks `forbidden_address` again, with the
address that the name has led to.  This module resolves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Place = tuple[str, int]

_METADATA: Final = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"})
"""What is not link-local: Amazon, Google, Alibaba, Oracle, Azure."""
_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "instance-data"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


def forbidden_address(ip: str) -> str | None:
    """Why nothing may be sent to this address, as it goes on after its name; None: nothing speaks against it."""
    address = _address(ip)
    if address is None:
        return "is no address"
    if address.is_link_local:
        return "is link-local, where clouds keep their metadata"
    if address.is_unspecified:
        return "is no address of anybody (0.0.0.0 is this machine)"
    if address.is_multicast or str(address) == "255.255.255.255":
        return "is an address of many"
    return "is a cloud's metadata service" if str(address) in _METADATA else None


def forbidden_host(host: str) -> str | None:
    """The same of a name or an address, as far as one can tell; names that libraries read as numbers are known."""
    if host.lower().rstrip(".") in _METADATA_NAMES:
        return "is a cloud's metadata service"
    if re.fullmatch(r"0[xX][0-9a-fA-F]*", host.rpartition(".")[2]):
        return "is a number in disguise, which may be any address"
    return None if _address(host) is None else forbidden_address(host)


def is_own(host: str, port: int, own: Iterable[Place]) -> bool:
    """Does the router itself listen there?  Of names only those of loopback are known."""
    return any(port == mine and _same_machine(host, listened) for listened, mine in own)


def is_address(host: str) -> bool:
    """Is it written as an address, and not as a name?"""
    return _address(host) is not None


def _same_machine(host: str, listened: str) -> bool:
    """`listened` on 0.0.0.0 is reached by every address of this machine; of these only loopback is known here."""
    at = _address(listened)
    if host.lower().rstrip(".") in _LOOPBACK_NAMES:
        return at is not None and (at.is_loopback or at.is_unspecified)
    address = _address(host)
    if address is None or at is None:
        return False
    if at.is_unspecified:
        return address.is_loopback or address.is_unspecified
    return address == at or (address.is_unspecified and at.is_loopback)


def _address(text: str) -> Address | None:
    """The address that is meant: of IPv6 addresses that only carry one of IPv4, that one."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address) else _carried(address) or address


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    low = int(address) & 0xFFFF_FFFF
    if address in _TRANSLATED or (address in _COMPATIBLE and low > 0xFFFF):
        return IPv4Address(low)
    return None
