"""nginx: literal paths as exact locations, the others as regex locations, one `split_clients` per template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.base import Plan, Program
from bench.templates import ordered

_PROXY = """\
proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_max_temp_file_size 0;"""


@dataclass(frozen=True, slots=True)
class Nginx(Program):
    """The web server as a reverse proxy."""

    name: str = "nginx"

    def files(self, plan: Plan) -> Mapping[str, str]:
        return {"nginx.conf": config(plan)}

    def arguments(self, plan: Plan) -> Sequence[str]:
        return ["-p", str(plan.directory), "-c", str(plan.directory / "nginx.conf"), "-e", "stderr"]


def config(plan: Plan) -> str:
    return f"""\
{main(plan.directory, plan.workers)}
http {{
    access_log off;
    variables_hash_max_size 65536;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    {temporary_paths(plan.directory)}
    upstream legacy {{ server 127.0.0.1:{plan.upstreams.legacy}; {_keepalive()} }}
    upstream new {{ server 127.0.0.1:{plan.upstreams.new}; {_keepalive()} }}
{_splits(plan)}
    server {{
        listen 127.0.0.1:{plan.port} backlog=4096;
        {_PROXY}
{_locations(plan)}
    }}
}}
"""


def main(directory: Path, workers: int = 1) -> str:
    return f"""\
daemon off;
pcre_jit on;
worker_processes {workers};
worker_rlimit_nofile 20000;
error_log stderr error;
pid {directory}/nginx.pid;
events {{ worker_connections 16384; }}"""


def temporary_paths(directory: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n    ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)


def _keepalive() -> str:
    return "keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 300s;"


def _splits(plan: Plan) -> str:
    return "\n".join(
        f'    split_clients "route{number}$http_x_user_id" $side{number} {{ 50% new; * legacy; }}'
        for number in range(len(plan.templates))
    )


def _locations(plan: Plan) -> str:
    if not plan.templates:
        return "        location / { proxy_pass http://legacy; }"
    return "\n".join(
        f'        location {"=" if template.literal else "~"} "{template.path if template.literal else template.regex}"'
        f" {{ proxy_pass http://$side{number}; }}"
        for number, template in ordered(plan.templates)
    )
