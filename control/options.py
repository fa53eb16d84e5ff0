"""What `strangler run` was asked for; the parent hands it on to control as one argument."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

WORKER_COMMAND = (sys.executable, "-m", "router.planes.embedded")


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be said on the command line of `strangler run`."""

    config: Path = Path("routes.yaml")
    listen: str = "127.0.0.1:8080"
    admin: str = "127.0.0.1:8081"
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    state: Path = Path(".strangler")
    access_log: str = ""
    """A path, `-` for standard output, empty for none."""
    drain: float = 30.0
    """Seconds that exchanges under way are given when the router is told to stop."""
    log_format: str = "console"
    """`console` or `json`."""
    allow_removal: bool = False
    """Take routes.yaml even when much of it has vanished."""
    worker_command: tuple[str, ...] = WORKER_COMMAND
    tls_cert: str = ""
    """Of the admin address; a path, empty for plain HTTP."""
    tls_key: str = ""
    insecure_admin: bool = False
    """Let tokens travel unencrypted to an admin address that others can reach."""
    admin_names: tuple[str, ...] = ()
    """What the admin address is called, beside the names of loopback."""

    @property
    def own(self) -> tuple[tuple[str, int], ...]:
        """The places on which the router listens."""
        pairs = (address.rpartition(":")[::2] for address in (self.listen, self.admin))
        return tuple((host.strip("[]"), int(port)) for host, port in pairs)

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Options:
        found = json.loads(text)
        found |= {"config": Path(found["config"]), "state": Path(found["state"])}
        return cls(**found | {name: tuple(found[name]) for name in ("worker_command", "admin_names")})
