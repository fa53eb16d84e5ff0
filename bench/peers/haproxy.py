"""HAProxy: a map of literal paths, then a map of patterns, give the route; a hash of route and user gives the side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.peers.base import Plan, Program
from bench.templates import ordered


@dataclass(frozen=True, slots=True)
class Haproxy(Program):
    """The load balancer."""

    name: str = "haproxy"

    def files(self, plan: Plan) -> Mapping[str, str]:
        pairs = ordered(plan.templates)
        return {
            "haproxy.cfg": config(plan),
            "literal.map": "".join(f"{template.path} r{number}\n" for number, template in pairs if template.literal),
            "pattern.map": "".join(
                f"{template.regex} r{number}\n" for number, template in pairs if not template.literal
            ),
            "weight.map": "".join(f"r{number} 50\n" for number, _ in pairs),
        }

    def arguments(self, plan: Plan) -> Sequence[str]:
        return ["-db", "-f", str(plan.directory / "haproxy.cfg")]


def config(plan: Plan) -> str:
    return f"""\
global
    nbthread {plan.workers}
    maxconn 8000
defaults
    mode http
    option forwardfor
    option http-keep-alive
    http-reuse always
    timeout connect 3s
    timeout client 300s
    timeout server 300s
frontend front
    bind 127.0.0.1:{plan.port} backlog 4096
{_rules(plan)}
    default_backend legacy
backend legacy
    server one 127.0.0.1:{plan.upstreams.legacy}
backend new
    server one 127.0.0.1:{plan.upstreams.new}
"""


def _rules(plan: Plan) -> str:
    if not plan.templates:
        return ""
    where = plan.directory
    return f"""\
    http-request set-var(txn.route) path,map_str({where}/literal.map)
    http-request set-var(txn.route) path,map_reg({where}/pattern.map) if !{{ var(txn.route) -m found }}
    http-request set-var(txn.weight) var(txn.route),map_str_int({where}/weight.map,0)
    http-request set-var(txn.bucket) req.hdr(x-user-id),concat(,txn.route),xxh32,mod(100)
    use_backend new if {{ var(txn.bucket),sub(txn.weight) -m int lt 0 }}"""
