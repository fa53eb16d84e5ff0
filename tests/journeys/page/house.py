"""What the page is looked at with: a router with many routes, both sides behind it, users before it, and a browser."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEADLINE = 40.0
"""Seconds that a condition may take on a machine that is very slow; a good one takes a fraction of one."""

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--js-flags=--expose-gc",
    "--enable-precise-memory-info",
]

GROUPS = ("catalog", "orders", "members", "display", "payments", "delivery", "coupons", "reviews", "search", "admin")
WEIGHTS = (0, 0, 0, 5, 10, 25, 50, 75, 100, 100)


def routes_yaml(ports: dict[str, int], count: int) -> str:
    """A migration on its way: groups at different weights; the first group is the one that has traffic."""
    lines = [
        "version: 1",
        "upstreams:",
        f"  monolith: {{endpoints: ['http://127.0.0.1:{ports['legacy']}']}}",
        "  platform:",
        "    sites:",
        f"      k8s-pangyo: ['http://127.0.0.1:{ports['new']}']",
        f"      k8s-pyeongchon: ['http://127.0.0.1:{ports['new-too']}']",
        "legacy: monolith",
        "defaults: {subject: [header:X-User-Id, client-ip]}",
        "safety: {max_step: 60}",
        "plans:",
        "  careful: {steps: [1, 5, 25, 50, 100], time: 30s, clients: 5, sample: 20}",
        "groups:",
        *(f"  {group}: {{owner: team-{group}, new: platform}}" for group in GROUPS),
        "routes:",
        "  - path: '/v1/products/{productNo}'",
        "    methods: [GET]",
        "    group: catalog",
        "    weight: 30",
        "    name: product",
        "    shadow: {percent: 50, compare: true}",
        "  - {path: /v1/products/search, methods: [GET, POST], group: catalog, weight: 5, name: product-search}",
        "  - {path: '/v1/carts/{cartId}', methods: [GET], group: orders, weight: 1, name: cart, rollout: careful}",
    ]
    for number in range(count - 3):
        group = GROUPS[number % len(GROUPS)]
        weight = WEIGHTS[(number * 7 + number // 10) % len(WEIGHTS)]
        weight = min(weight, 50) if group == GROUPS[0] else weight  # so that no rule stands before its resume
        path = f"/v1/{group}/things{number}/{{id}}"
        plan = ", rollout: careful" if number in {2, 9, 12} else ""
        lines.append(f"  - {{path: '{path}', methods: [GET], group: {group}, weight: {weight}{plan}}}")
    return "\n".join(lines) + "\n"


class Service(BaseHTTPRequestHandler):
    """Answers in a few milliseconds; now and then with an error."""

    protocol_version = "HTTP/1.1"
    wait = 0.002
    failing = 0.0
    chance = random.Random(7)

    price: object = 12000

    def do_GET(self) -> None:
        time.sleep(self.wait * (0.5 + self.chance.random()))
        body = json.dumps({"productNo": 7, "price": self.price, "stock": {"left": 3}}).encode()
        self.send_response(500 if self.chance.random() < self.failing else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A router that ends leaves connections behind; that is not for standard error."""


@contextmanager
def services() -> Iterator[dict[str, int]]:
    """The ports of `legacy`, and of `new` at two sites; new is quicker and fails a little."""
    kinds = {
        "legacy": type("Legacy", (Service,), {"wait": 0.006}),
        "new": type("New", (Service,), {"wait": 0.003, "failing": 0.02, "price": "12000"}),
        "new-too": type("NewToo", (Service,), {"wait": 0.003}),
    }
    servers = {name: _Server(("127.0.0.1", 0), kind) for name, kind in kinds.items()}
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers.values()]
    for thread in threads:
        thread.start()
    try:
        yield {name: server.server_address[1] for name, server in servers.items()}
    finally:
        for server, thread in zip(servers.values(), threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


@contextmanager
def users(port: int, paths: list[str], *, pause: float = 0.015) -> Iterator[None]:
    """One thread of them, each request another user's, until the block is left."""
    over = threading.Event()

    def go() -> None:
        chance = random.Random(11)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not over.wait(pause):
            try:
                headers = {"X-User-Id": f"u-{chance.randrange(500)}"}
                connection.request("GET", chance.choice(paths), headers=headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


PATHS = ["/v1/products/7", "/v1/products/7", "/v1/products/search", "/v1/carts/3", "/unlisted"] + [
    f"/v1/{GROUPS[number % len(GROUPS)]}/things{number}/1" for number in range(40)
]


def loaded() -> bool:
    """Has the machine so much else to do that a second means nothing?"""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Waits for a condition that nobody signals; returns what it says once that is true."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true in {DEADLINE:g} s"
        time.sleep(0.02)
    return found
