"""Which admin addresses are opened, and the tokens that open them from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from control.admission import check_admin
from control.auth import tokens
from control.auth.roles import Role
from control.cli import main
from control.loopback import UnsafeAddressError, check_address
from control.options import Options


def test_beyond_loopback_tokens_and_encryption_are_both_needed() -> None:
    """Or somebody has said aloud that tokens may travel in the open; without tokens nothing helps."""
    check_address("10.0.0.1", tokens=True, tls=True)
    check_address("10.0.0.1", tokens=True, insecure=True)
    with pytest.raises(UnsafeAddressError, match="without TLS"):
        check_address("10.0.0.1", tokens=True)
    for insecure in (False, True):
        with pytest.raises(UnsafeAddressError, match="without tokens"):
            check_address("10.0.0.1", tls=True, insecure=insecure)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"admin": "0.0.0.0:1"}, "without tokens"),
        ({"admin": "127.0.0.1:1", "tls_cert": "x.pem"}, "need each other"),
        ({"admin": "127.0.0.1:1", "tls_cert": "x.pem", "tls_key": "y.pem"}, "cannot be used"),
    ],
)
def test_an_address_that_is_not_guarded_as_it_should_be_is_refused(
    tmp_path: Path, options: dict[str, str], why: str
) -> None:
    """In one line that says why."""
    with pytest.raises(UnsafeAddressError, match=why) as refused:
        check_admin(Options(state=tmp_path, **options))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_the_last_token_revoked_closes_the_address(tmp_path: Path) -> None:
    """An empty list of tokens is not enough to be open to the network."""
    options = Options(state=tmp_path, admin="0.0.0.0:1", insecure_admin=True)
    tokens.create(tmp_path, "kim", Role.VIEWER, 0, None)
    check_admin(options)
    tokens.revoke(tmp_path, "kim")
    with pytest.raises(UnsafeAddressError, match="without tokens"):
        check_admin(options)


def test_a_token_is_shown_once_and_kept_as_a_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a file for its owner alone; the list has names, roles and ends."""
    state = ["--state", str(tmp_path)]
    assert 0 == main(["token", "create", "kim", "--role", "operator", "--ttl", "90d", *state])
    secret = capsys.readouterr().out.strip()
    path = tmp_path / tokens.FILE
    assert secret.startswith("strangler_")
    assert secret not in path.read_text()
    assert 0o600 == path.stat().st_mode & 0o777
    assert 0 == main(["token", "list", "--json", *state])
    (found,) = json.loads(capsys.readouterr().out)["tokens"]
    assert ("kim", "operator", 90 * 86_400) == (found["name"], found["role"], found["expires"] - found["created"])
    assert 1 == main(["token", "create", "kim", "--role", "viewer", *state])
    assert "already" in capsys.readouterr().err
    assert 0 == main(["token", "revoke", "kim", *state])
    assert 1 == main(["token", "revoke", "kim", *state])


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "\x1b[31m"])
def test_names_of_tokens_are_plain(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They stand in every history and on terminals."""
    with pytest.raises(tokens.TokenError, match="no name"):
        tokens.create(tmp_path, name, Role.VIEWER, 0, None)
