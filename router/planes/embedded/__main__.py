"""`python -m router.planes.embedded`: one worker, under the supervisor or standing alone.

--worker N --fd FD --state DIR       under the supervisor: an inherited listening socket, told by its channel
--config FILE --listen HOST:PORT     alone: routes by a file as it is, without control, orders or reloads
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

import uvloop

from router.planes.embedded.worker import WorkerOptions, serve


def main() -> int:
    """Run one worker; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m router.planes.embedded", description=__doc__.splitlines()[0])
    parser.add_argument("--worker", type=int, default=0, metavar="N")
    parser.add_argument("--fd", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--census", type=int, default=-1, metavar="FD")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--listen", metavar="HOST:PORT")
    parser.add_argument("--access-log", default="", metavar="PATH")
    parser.add_argument("--drain", type=float, default=30.0, metavar="SECONDS")
    arguments = parser.parse_args()
    if arguments.config is not None and arguments.listen:
        options = _alone(arguments)
    elif arguments.fd is not None and arguments.state is not None:
        options = WorkerOptions(
            socket.socket(fileno=arguments.fd), arguments.worker, arguments.state, arguments.census,
            access_log=arguments.access_log, drain=arguments.drain,
        )  # fmt: skip
    else:
        parser.error("either --config and --listen, or --fd and --state")
    if options is None:
        return 1
    uvloop.run(serve(options))
    return 0


def _alone(arguments: argparse.Namespace) -> WorkerOptions | None:
    """A worker that routes by a file; None after its problems have been printed."""
    from router.blocks import Registry, extended
    from router.core.orders import effective
    from router.core.wire import snapshot_lines, state_hash, structure_digest, structure_lines
    from router.hardening import harden
    from router.sources.yaml_file import load_table

    harden()  # under the supervisor it is inherited
    loaded = load_table(arguments.config.read_bytes(), arguments.config.name, os.environ)
    table = getattr(loaded, "table", None)
    if table is None:
        print(loaded, file=sys.stderr)
        return None
    blocks = extended(Registry(), table).blocks()
    structure = structure_lines(table, blocks)
    state = effective(table, ())
    lines = snapshot_lines(1, blocks.slots, structure, state, state_hash(structure_digest(structure), state))
    host, _, port = arguments.listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host.strip("[]"), int(port)), family=family, backlog=4096)
    address = listener.getsockname()
    return WorkerOptions(
        listener,
        lines=list(lines),
        access_log=arguments.access_log,
        drain=arguments.drain,
        announce=f"listening on http://{host}:{address[1]}",
    )


if __name__ == "__main__":
    sys.exit(main())
