"""Tokens: 256 random bits each, of which only a hash is kept.

    STATE/tokens.json       {"tokens": [{"name", "role", "hash", "created", "expires"}]}, mode 0600
    STATE/token-uses.json   {"name": last use}, written by control alone and at most once a minute

A plain BLAKE2b is enough: slow hashes protect secrets that can be guessed, and nobody guesses 256 random bits.
Once the file exists tokens are required, even when none is left in it.  A file that cannot be read, is not ours alone
or says nonsense lets nobody in; that it has vanished does not open the door again before the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from control.auth.roles import TOKEN_ROLES, Principal, Role
from control.secret import Secret

FILE: Final = "tokens.json"
USES: Final = "token-uses.json"
PREFIX: Final = "strangler_"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
MOST: Final = 1000
USE_SECONDS: Final = 60.0


class TokenError(Exception):
    """The file of tokens cannot be used, or not so; the text is for people."""


@dataclass(frozen=True, slots=True)
class Token:
    """One of them, as it is kept."""

    name: str
    role: Role
    hash: str
    created: float
    expires: float | None = None

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


def digest(secret: Secret) -> str:
    data = secret.reveal().encode("utf-8", "surrogateescape")
    return hashlib.blake2b(data, digest_size=32, person=b"strangler-token").hexdigest()


# -- the file ----------------------------------------------------------------------------------------------------------


def read(state: Path) -> tuple[Token, ...] | None:
    """The tokens; None: there is no such file.  Raises TokenError."""
    path = state / FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokenError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise TokenError(f"{path} is open to others than its owner; run: chmod 600 {path}")
        data = file.read()
    try:
        return tuple(map(_token, json.loads(data)["tokens"]))
    except (ValueError, TypeError, KeyError):
        raise TokenError(
            f"{path} is damaged; make new tokens with `strangler token create` after moving it away"
        ) from None


def _token(found: dict[str, Any]) -> Token:
    role = Role[str(found["role"]).upper()]
    expires = found.get("expires")
    if role not in TOKEN_ROLES or not re.fullmatch("[0-9a-f]{64}", found["hash"]):
        raise ValueError(found["name"])
    return Token(
        str(found["name"]), role, found["hash"], float(found["created"]), None if expires is None else float(expires)
    )


def create(state: Path, name: str, role: Role, now: float, lasts: float | None) -> Secret:
    """The new token's secret, which is shown once and kept nowhere."""
    if not NAME.fullmatch(name):
        raise TokenError(f"{name[:80]!r} is no name for a token; use letters, digits, `.`, `_`, `@`, `-`")
    secret = Secret(PREFIX + secrets.token_urlsafe(32))
    with _locked(state):
        tokens = read(state) or ()
        if any(token.name == name for token in tokens):
            raise TokenError(f"there is a token {name!r} already; revoke it first, or choose another name")
        if len(tokens) >= MOST:
            raise TokenError(f"there are {MOST} tokens already; revoke some")
        expires = None if lasts is None else now + lasts
        _write(state / FILE, _document((*tokens, Token(name, role, digest(secret), now, expires))))
    return secret


def revoke(state: Path, name: str) -> Token:
    with _locked(state):
        tokens = read(state) or ()
        gone = next((token for token in tokens if token.name == name), None)
        if gone is None:
            raise TokenError(f"there is no token {name!r}; see `strangler token list`")
        _write(state / FILE, _document(tuple(token for token in tokens if token is not gone)))
    return gone


def uses(state: Path) -> dict[str, float]:
    """When each was used last; what cannot be read is not known."""
    try:
        return {str(name): float(at) for name, at in json.loads((state / USES).read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _document(tokens: tuple[Token, ...]) -> Any:
    return {"tokens": [asdict(token) | {"role": token.role.label} for token in tokens]}


def _write(path: Path, document: Any) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Two people who make tokens at once lose none of them."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state / "tokens.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TokenError(f"{state} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise TokenError(f"{state / FILE} cannot be written: {error.strerror}") from None
    finally:
        os.close(descriptor)


# -- who is it? --------------------------------------------------------------------------------------------------------


class Tokens:
    """The tokens in force; a change of the file holds from the next request on."""

    def __init__(self, state: Path, now: Callable[[], float], broken: Callable[[str], None] = lambda _: None) -> None:
        self._state = state
        self._now = now
        self._broken = broken
        self._seen: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._required = False
        self._uses = uses(state)
        self._written = 0.0
        self._refresh()

    @property
    def required(self) -> bool:
        self._refresh()
        return self._required

    def find(self, secret: Secret) -> Principal | None:
        """Whose it is.  Every token is compared, so that the time tells nothing."""
        self._refresh()
        wanted, now = digest(secret), self._now()
        found: Token | None = None
        for token in self._tokens:
            if hmac.compare_digest(token.hash, wanted) and not token.expired(now):
                found = token
        if found is None:
            return None
        self._used(found.name, now)
        return Principal(found.name, found.role, found.hash)

    def holds(self, principal: Principal) -> bool:
        """Is the token behind a session still good?"""
        self._refresh()
        now = self._now()
        return any(
            hmac.compare_digest(token.hash, principal.digest)
            and token.role is principal.role
            and not token.expired(now)
            for token in self._tokens
        )

    def _refresh(self) -> None:
        try:
            status = (self._state / FILE).stat()
            seen: tuple[int, ...] = (
                status.st_mtime_ns,
                status.st_ino,
                status.st_size,
                status.st_mode,
                status.st_ctime_ns,
            )
        except OSError:
            seen = (0,)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            tokens = read(self._state)
        except TokenError as error:
            self._broken(str(error))
            self._tokens, self._required = (), True
            return
        self._required = self._required or tokens is not None
        self._tokens = tokens or ()

    def _used(self, name: str, now: float) -> None:
        self._uses[name] = now
        if now - self._written < USE_SECONDS:
            return
        self._written = now
        known = {token.name for token in self._tokens}
        self._uses = {each: at for each, at in self._uses.items() if each in known}
        try:
            _write(self._state / USES, self._uses)
        except OSError:
            pass  # a full disk must not lock anybody out
