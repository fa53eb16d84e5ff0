"""May the admin address be opened as `strangler run` was told: with tokens, with TLS, or neither?"""

from __future__ import annotations

import ssl

from control.auth import tokens
from control.auth.tokens import TokenError
from control.loopback import UnsafeAddressError, check_address, is_loopback
from control.options import Options


def check_admin(options: Options) -> None:
    """Raises UnsafeAddressError when the admin address may not be opened as it was asked for."""
    host = options.admin.rpartition(":")[0]
    if bool(options.tls_cert) is not bool(options.tls_key):
        raise UnsafeAddressError("--admin-tls-cert and --admin-tls-key need each other; give both or none")
    try:
        found = None if is_loopback(host) else tokens.read(options.state)
        encryption(options)
    except TokenError as error:
        raise UnsafeAddressError(str(error)) from None
    except (OSError, ssl.SSLError) as error:
        what = f"the certificate {options.tls_cert} cannot be used with the key {options.tls_key}"
        raise UnsafeAddressError(f"{what}: {getattr(error, 'strerror', None) or error}") from None
    check_address(host, tokens=bool(found), tls=bool(options.tls_cert), insecure=options.insecure_admin)


def encryption(options: Options) -> ssl.SSLContext | None:
    if not options.tls_cert:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(options.tls_cert, options.tls_key, password=_no_password)
    return made


def _no_password() -> str:
    """Nobody sits at a router's terminal: a key with a password is refused instead of asked about."""
    raise OSError("the key is protected by a password")
