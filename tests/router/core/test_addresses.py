"""Addresses that no upstream has unless it is meant, and the router's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.addresses import forbidden_address, forbidden_host, is_own

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "[fe80::1]",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]
ORDINARY = ["127.0.0.1", "::1", "10.0.0.7", "172.16.0.1", "192.168.1.1", "fd00::1", "8.8.8.8", "2001:db8::1", "::2"]


@pytest.mark.parametrize("ip", METADATA)
def test_metadata_and_link_local_addresses_are_forbidden_in_every_spelling(ip: str) -> None:
    """Also where an IPv6 address only carries the one of IPv4."""
    assert forbidden_address(ip)
    assert forbidden_host(ip)


@pytest.mark.parametrize("ip", ORDINARY)
def test_private_and_public_addresses_are_not(ip: str) -> None:
    """Upstreams live in private networks, and on this machine."""
    assert (None, None) == (forbidden_address(ip), forbidden_host(ip))


@given(st.text(max_size=40))
def test_what_is_no_address_is_forbidden_whatever_it_is(text: str) -> None:
    """Whoever connects has an address; anything else is a mistake, and an answer all the same."""
    found = forbidden_address(text)
    assert found is None or isinstance(found, str)
    assert "is no address" == forbidden_address(f"x{text}")


@given(st.ip_addresses(v=4))
def test_an_address_in_another_dress_is_the_same_address(address: object) -> None:
    """IPv4 within IPv6 is judged as IPv4."""
    assert forbidden_address(str(address)) == forbidden_address(f"::ffff:{address}")


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA", "instance-data.", "0xa9fea9fe", "1.0xfe"])
def test_names_of_metadata_services_and_disguised_numbers_are_forbidden(host: str) -> None:
    """What is known of names without resolving them."""
    assert forbidden_host(host)
    assert forbidden_host("catalog.internal") is None


@pytest.mark.parametrize(
    ("listened", "host", "own"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST.", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "10.0.0.7", False),
        ("::1", "::1", True),
        ("0.0.0.0", "127.0.0.9", True),
        ("0.0.0.0", "localhost", True),
        ("0.0.0.0", "10.0.0.7", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "localhost", False),
        ("10.0.0.7", "catalog.internal", False),
    ],
)
def test_the_routers_own_places_are_known(listened: str, host: str, own: bool) -> None:
    """By address and port; on all addresses, loopback is ours."""
    assert own is is_own(host, 8081, [(listened, 8081)])
    assert not is_own(host, 8082, [(listened, 8081)])
