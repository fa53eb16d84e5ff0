"""The two upstreams of a benchmark, as cheap as they come, so that they are never what is measured."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.peers.base import Upstreams
from bench.peers.nginx import Nginx, main, temporary_paths
from bench.ports import free_port
from bench.processes import running, wait_for_port
from bench.scenarios import BLOB
from bench.upstream import SMALL_BODY

SIDE_HEADER = "X-Bench-Side"


@contextlib.contextmanager
def both_sides(root: Path, ports: Upstreams | None = None, *, logging: bool = False) -> Iterator[Upstreams]:
    """nginx when it is there; our own where it is not, or where starts of requests must be logged."""
    ports = ports or Upstreams(free_port(), free_port())
    where = root / "upstreams"
    where.mkdir(parents=True, exist_ok=True)
    program = None if logging else Nginx().command()
    command = _nginx(where, ports, program) if program else _own(ports)
    log = where / "upstreams.log"
    with running(command, log) as pid:
        wait_for_port(ports.legacy, pid, log)
        wait_for_port(ports.new, pid, log)
        yield ports


def _own(ports: Upstreams) -> list[str]:
    return [sys.executable, "-m", "bench.upstream", f"legacy:{ports.legacy}", f"new:{ports.new}"]


def _nginx(where: Path, ports: Upstreams, program: list[str]) -> list[str]:
    (where / BLOB.strip("/")).write_bytes(bytes(1 << 20))
    (where / "nginx.conf").write_text(nginx_config(where, ports))
    return [*program, "-p", str(where), "-c", str(where / "nginx.conf"), "-e", "stderr"]


def nginx_config(where: Path, ports: Upstreams) -> str:
    return f"""\
{main(where)}
http {{
    access_log off;
    default_type application/json;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    sendfile on;
    {temporary_paths(where)}
{_server(where, "legacy", ports.legacy)}{_server(where, "new", ports.new)}}}
"""


def _server(where: Path, side: str, port: int) -> str:
    return f"""\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        add_header {SIDE_HEADER} {side};
        location / {{ return 200 '{SMALL_BODY.decode()}'; }}
        location = {BLOB} {{ root {where}; }}
    }}
"""
