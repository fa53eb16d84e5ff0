"""Caddy: its `map` finds the route; it has no weighted sticky split, so the side is its header hash over two upstreams.

The hash is the same for all routes and its 50/50 cannot be given another weight: the closest that Caddy offers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.base import Plan, Program
from bench.templates import ordered


@dataclass(frozen=True, slots=True)
class Caddy(Program):
    """The web server written in Go, held to one processor as the others are to one worker."""

    name: str = "caddy"
    version_argument: str = "version"

    def files(self, plan: Plan) -> Mapping[str, str]:
        return {"caddy.json": json.dumps(config(plan))}

    def arguments(self, plan: Plan) -> Sequence[str]:
        return ["run", "--config", str(plan.directory / "caddy.json")]

    def environment(self, plan: Plan) -> Mapping[str, str]:
        return {**Program.environment(self, plan), "GOMAXPROCS": str(plan.workers)}


def config(plan: Plan) -> dict[str, Any]:
    server = {
        "listen": [f"127.0.0.1:{plan.port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [*_map(plan), _proxy(plan)]}],
    }
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": {"front": server}}},
    }


def _map(plan: Plan) -> list[dict[str, Any]]:
    if not plan.templates:
        return []
    mappings = [
        {"input" if template.literal else "input_regexp": template.path if template.literal else template.regex}
        | {"outputs": [f"r{number}"]}
        for number, template in ordered(plan.templates)
    ]
    return [
        {"handler": "map", "source": "{http.request.uri.path}", "destinations": ["{route}"], "mappings": mappings},
    ]


def _proxy(plan: Plan) -> dict[str, Any]:
    ports = [plan.upstreams.legacy, plan.upstreams.new] if plan.templates else [plan.upstreams.legacy]
    idle = {"max_idle_conns": 4096, "max_idle_conns_per_host": 2048, "idle_timeout": "300s"}
    proxy: dict[str, Any] = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{port}"} for port in ports],
        "transport": {"protocol": "http", "keep_alive": idle, "compression": False},
    }
    if plan.templates:
        policy = {"policy": "header", "field": "X-User-Id"}
        proxy["load_balancing"] = {"selection_policy": policy}
        proxy["headers"] = {"request": {"set": {"X-Route": ["{route}"]}}}
    return proxy
