"""Services in threads of the test, for routers to ask: they speak HTTP/1.1, a packet an answer, and are quiet else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Manner:
    """How every service speaks; what it says is its handler's affair."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body at once: two packets would wait for each other's confirmation

    def log_message(self, *_: object) -> None:
        """Standard error is for the router."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A router that ends or is killed leaves connections behind; that is not for standard error."""


@contextmanager
def served(*handlers: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[list[int]]:
    """One service for each handler, on ports of their own, unless there is one that is to have this port."""
    mannered = (type(handler.__name__, (_Manner, handler), {}) for handler in handlers)
    servers = [_Server(("127.0.0.1", port), handler) for handler in mannered]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield [server.server_address[1] for server in servers]
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
