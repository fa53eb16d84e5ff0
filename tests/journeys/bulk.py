"""An upstream for large bodies, in a process of its own so that its memory and time are not the test's.

python -m tests.journeys.bulk       prints its port, ends with its standard input

GET  /stream?bytes=N[&chunked=1]    N bytes of the pattern
POST /sink[?gate=NAME]              reads the body and answers with its size and checksum; with a gate it does not
                                    begin to read before GET /open?gate=NAME
GET  /sent                          how many body bytes the streams have handed to their sockets so far
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

PIECE = 1 << 16
BLOCK = random.Random(1).randbytes(PIECE)
ROOT = Path(__file__).resolve().parents[2]


def pattern(total: int) -> Iterator[bytes]:
    """The bytes of a body, in pieces."""
    whole, rest = divmod(total, PIECE)
    for _ in range(whole):
        yield BLOCK
    if rest:
        yield BLOCK[:rest]


def checksum(total: int) -> int:
    found = 0
    for piece in pattern(total):
        found = zlib.crc32(piece, found)
    return found


@contextmanager
def bulk_upstream() -> Iterator[int]:
    """The port of a running one."""
    command = [sys.executable, "-m", "tests.journeys.bulk"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


class Handler(BaseHTTPRequestHandler):
    """One connection of the upstream."""

    protocol_version = "HTTP/1.1"
    gates: ClassVar[defaultdict[str, threading.Event]] = defaultdict(threading.Event)
    sent = 0

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/stream":
            self._stream(int(query["bytes"]), chunked="chunked" in query)
        elif url.path == "/open":
            self.gates[query["gate"]].set()
            self._tell({})
        else:
            self._tell({"sent": Handler.sent})

    def _stream(self, total: int, *, chunked: bool) -> None:
        self.send_response(200)
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(total))))
        self.end_headers()
        for piece in pattern(total):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            Handler.sent += len(piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "gate" in query:
            self.gates[query["gate"][0]].wait(60)
        size = found = 0
        for piece in self._body():
            size += len(piece)
            found = zlib.crc32(piece, found)
        self._tell({"size": size, "checksum": found})

    def _body(self) -> Iterator[bytes]:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield from self._pieces(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield from self._pieces(size)
            self.rfile.readline()
        self.rfile.readline()

    def _pieces(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def _tell(self, what: dict[str, int]) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
