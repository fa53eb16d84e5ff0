"""`strangler`: the command line.

    0  done, and confirmed by all workers         2  wrong usage
    1  refused or failed                          3  recorded, but not confirmed by all (they are named)

Commands speak to the admin address; `check` needs nobody, `run` and `demo` are the router itself.  What a command
needs is imported when it runs: a person in a hurry waits for nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from control import cli_values as values
from control.cli_values import FAILED, USAGE

ADMIN: Final = "http://127.0.0.1:8081"

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no other name for it


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["demo"]:
        return _demo(words[1:])
    parser = make_parser()
    args = parser.parse_args(words)
    if args.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        code = _dispatch(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _demo(words: list[str]) -> int:
    from demo.main import main as demo  # noqa: PLC0415 - the demo is the one thing above us, and only if asked for

    return demo(words)


def _dispatch(args: argparse.Namespace) -> int:
    if args.command == "run":
        return _run(args)
    if args.command == "check":
        from control.cli_check import check  # noqa: PLC0415 - reads YAML, which nothing else here does

        return check(args)
    if args.command == "override":
        from control.cli_override import override  # noqa: PLC0415 - needs a key file and nobody else

        return override(args)
    if args.command == "audit":
        from control.cli_audit import audit  # noqa: PLC0415 - needs files and nobody else

        return audit(args)
    if args.command == "token":
        from control.cli_token import token  # noqa: PLC0415 - needs a file and nobody else

        return token(args)
    if args.command == "discover" and args.source != "live":
        from control.cli_discover import discover  # noqa: PLC0415 - reads files, and speaks to nobody

        return discover(args)
    from control.cli_commands import perform  # noqa: PLC0415 - `run` and `check` speak to nobody

    return perform(args)


def _run(args: argparse.Namespace) -> int:
    from control.admission import check_admin  # noqa: PLC0415 - as above
    from control.loopback import UnsafeAddressError  # noqa: PLC0415 - as above
    from control.supervisor import Options, run  # noqa: PLC0415 - processes and sockets, for `run` alone

    options = Options(
        config=args.config,
        listen=args.listen,
        admin=args.admin_listen,
        workers=args.workers,
        state=args.state,
        access_log=args.access_log,
        drain=args.drain,
        log_format=args.log_format or ("console" if sys.stderr.isatty() else "json"),
        allow_removal=args.allow_removal,
        tls_cert=args.admin_tls_cert,
        tls_key=args.admin_tls_key,
        insecure_admin=args.insecure_admin,
        admin_names=tuple(args.admin_name),
    )
    try:
        check_admin(options)
    except UnsafeAddressError as error:
        print(f"strangler: {error}", file=sys.stderr)
        return FAILED
    return run(options)


# -- the words ---------------------------------------------------------------------------------------------------------


class _Version(argparse.Action):
    """Looks the version up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - reads the file system

        print(f"strangler {version('strangler')}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """Everything that can be said."""
    parser = argparse.ArgumentParser(
        prog="strangler",
        description="Moves HTTP APIs from a legacy system to new services, one by one, and back in an instant.",
        epilog="exit codes: 0 done and confirmed by all workers; 1 refused or failed; 2 wrong usage; "
        "3 recorded but not confirmed by all workers",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="which one this is")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_router(commands)
    _add_tokens(commands)
    _add_reading(commands)
    _add_discover(commands)
    _add_orders(commands)
    _add_rollouts(commands)
    _add_shadow(commands)
    return parser


def _add_router(commands: Commands) -> None:
    run = commands.add_parser("run", help="the router itself")
    run.add_argument("--config", type=Path, default=Path("routes.yaml"), help="(default: %(default)s)")
    run.add_argument("--listen", default="127.0.0.1:8080", help="where clients come (default: %(default)s)")
    run.add_argument(
        "--admin", dest="admin_listen", default="127.0.0.1:8081", help="where operators come (default: %(default)s)"
    )
    cores = os.cpu_count() or 1
    run.add_argument(
        "--workers", type=values.workers, default=cores, help="processes (default: one a core, here %(default)s)"
    )
    run.add_argument("--state", type=Path, default=Path(".strangler"), help="what must survive (default: %(default)s)")
    run.add_argument("--access-log", default="", metavar="PATH", help="JSON lines; `-` for standard output")
    run.add_argument(
        "--drain",
        type=values.seconds,
        default=30.0,
        help="for exchanges under way when it is told to stop (default: 30s)",
    )
    run.add_argument("--log-format", choices=("console", "json"), help="(default: console on a terminal, else json)")
    run.add_argument("--allow-removal", action="store_true", help="take routes.yaml even when much of it has vanished")
    _add_admission(run)
    commands.add_parser("demo", help="a shop to play with: legacy, new services, router, traffic")


def _add_admission(run: argparse.ArgumentParser) -> None:
    guarded = run.add_argument_group("the admin address", "beyond loopback it needs tokens (`strangler token`) and TLS")
    guarded.add_argument("--admin-tls-cert", default="", metavar="PEM")
    guarded.add_argument("--admin-tls-key", default="", metavar="PEM")
    guarded.add_argument("--insecure-admin", action="store_true", help="let tokens travel unencrypted")
    guarded.add_argument(
        "--admin-name", action="append", default=[], metavar="HOST", help="what it is called, beside localhost"
    )


def _add_tokens(commands: Commands) -> None:
    token = commands.add_parser("token", help="who may use the admin address", description="Who may use it, as what.")
    what = token.add_subparsers(dest="what", metavar="create|list|revoke", required=True)
    create = what.add_parser("create", help="a new one; it is shown once")
    create.add_argument("name", metavar="NAME", help="stands in every history")
    create.add_argument("--role", required=True, choices=("metrics", "viewer", "operator", "editor"))
    create.add_argument("--ttl", type=values.lifetime, metavar="90d", help="(default: it does not expire)")
    revoke = what.add_parser("revoke", help="holds at once, for its sessions too")
    revoke.add_argument("name", metavar="NAME")
    audit = commands.add_parser("audit", help="who did what, and whether the record is whole")
    audit.add_argument("--limit", type=values.count, default=20, help="the newest so many (default: %(default)s)")
    for parser in (audit, create, revoke, what.add_parser("list", help="names, roles, ends and last uses")):
        parser.add_argument("--state", type=Path, default=Path(".strangler"), help="(default: %(default)s)")
        parser.add_argument("--json", action="store_true", help="for programs")


def _add_reading(commands: Commands) -> None:
    check = _command(commands, "check", "all problems of a routes.yaml, with line and column", admin=False)
    check.add_argument("file", nargs="?", default="routes.yaml", help="`-` reads standard input (default: %(default)s)")
    plan = _command(commands, "plan", "what a routes.yaml would change against what is in force")
    plan.add_argument("file", nargs="?", default="routes.yaml", help="`-` reads standard input (default: %(default)s)")
    status = _command(commands, "status", "orders, routes with their shares, and workers")
    status.add_argument("text", nargs="?", default="", help="only routes with this in their name, path or host")
    status.add_argument("--group", help="only the routes of this group")
    explain = _command(commands, "explain", "which route and side a request gets, and why")
    explain.add_argument("method", nargs="?", metavar="METHOD")
    explain.add_argument("path", nargs="?", metavar="PATH", help="or a whole URL")
    explain.add_argument("--request-id", metavar="ID", help="what became of a finished exchange, instead")
    explain.add_argument("-H", "--header", action="append", default=[], metavar="'K: V'", type=values.header)
    explain.add_argument("--client", default="", metavar="ADDRESS", help="the client's address")
    override = _command(commands, "override", "headers that let their bearer choose a side for a while", admin=False)
    override.add_argument("side", choices=("legacy", "new"))
    override.add_argument("--for", dest="lasts", type=values.seconds, default=3600.0, help="(default: 1h)")
    override.add_argument("--state", type=Path, default=Path(".strangler"), help="(default: %(default)s)")
    _command(commands, "progress", "how far the migration is: stages, groups, forecast, and what is stuck")
    _command(commands, "top", "the worst routes first, live; keys to roll back and to hold")
    _command(commands, "orders", "the orders in force")
    _command(commands, "sites", "sites and endpoints: health, weights, orders, what that changes")
    history = _command(commands, "history", "the newest revisions: who, when, why")
    history.add_argument("--limit", type=values.count, default=20, help="how many (default: %(default)s)")
    history.add_argument("--before", type=values.count, metavar="REVISION", help="those before this one")
    show = _command(commands, "show", "everything about one revision")
    show.add_argument("revision", type=values.count, metavar="REVISION")
    diff = _command(commands, "diff", "what differs between two revisions: routes.yaml, orders, shares")
    diff.add_argument("first", type=values.count, metavar="A")
    diff.add_argument("second", type=values.count, metavar="B")
    restore = _command(commands, "restore", "orders and routes.yaml as they were at a revision, as a new one")
    restore.add_argument("revision", type=values.count, metavar="REVISION")
    _reasoned(restore)
    bake = _command(commands, "bake", "weight orders in force are written into routes.yaml, changing only those lines")
    bake.add_argument("file", nargs="?", help="(default: the file that the router watches)")
    bake.add_argument("--patch", action="store_true", help="write nothing, print the patch")
    _command(commands, "watch", "what happens, as it happens; Ctrl-C ends it")


def _add_discover(commands: Commands) -> None:
    what = "a draft routes.yaml from OpenAPI documents, access logs, or what no route lists yet"
    sources = commands.add_parser("discover", help=what, description=what).add_subparsers(
        dest="source", metavar="openapi|access-log|live", required=True
    )
    openapi = sources.add_parser("openapi", help="what documents say (2.0, 3.0, 3.1; JSON or YAML)")
    openapi.add_argument("documents", nargs="+", metavar="FILE")
    openapi.add_argument(
        "--access-log", dest="logs", action="append", default=[], metavar="FILE", help="and what is used"
    )
    log = sources.add_parser("access-log", help="what is asked for, by the logs of a proxy or server")
    log.add_argument("logs", nargs="+", metavar="FILE", help="also gzipped; `-` reads standard input")
    live = sources.add_parser("live", help="what the running router is asked for and lists nowhere")
    usual = os.environ.get("STRANGLER_ADMIN") or ADMIN
    live.add_argument("--admin", default=usual, type=values.admin, metavar="URL", help="(default: %(default)s)")
    for parser in (log, live):
        parser.add_argument(
            "--openapi", dest="documents", action="append", default=[], metavar="FILE", help="and what is documented"
        )
    for parser in (openapi, log):
        parser.add_argument(
            "--format", default="", choices=values.LOG_FORMATS, help="of the lines (default: recognised)"
        )
    for parser in (openapi, log, live):
        _discovered(parser)


def _discovered(parser: argparse.ArgumentParser) -> None:
    """What becomes of it."""
    parser.add_argument(
        "--template", action="append", default=[], type=values.template, metavar="PATH", help="one that you know"
    )
    parser.add_argument(
        "--base", metavar="PATH", help="in front of documented paths, instead of what a document declares"
    )
    parser.add_argument("--host", type=values.host, help="routes for this host, and only its lines of the log")
    parser.add_argument("--by", default="", choices=("tag", "prefix", "none"), help="groups (default: what says more)")
    parser.add_argument(
        "--legacy", default="http://127.0.0.1:9001", type=values.endpoint, metavar="URL", help="(default: %(default)s)"
    )
    into = parser.add_mutually_exclusive_group()
    into.add_argument("--output", default="", metavar="FILE", help="a new file, instead of standard output")
    into.add_argument(
        "--merge", default="", metavar="ROUTES_YAML", help="adds what this file lacks, and changes no line"
    )
    parser.add_argument("--patch", action="store_true", help="with --merge: write nothing, print the patch")
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_orders(commands: Commands) -> None:
    weight = _command(commands, "weight", "a share for a route, several, or a group")
    _scoped_words(weight, "PERCENT", "0 to 100")
    _ordered(weight, trial=True, preview=True)
    pin = _command(commands, "pin", "one side for everything in the scope, whatever weights say")
    _scoped_words(pin, "legacy|new", "the side")
    _ordered(pin, trial=True, preview=True)
    cap = _command(commands, "cap", "a ceiling for the share of each route in the scope")
    _scoped_words(cap, "PERCENT", "0 to 100")
    _ordered(cap, trial=True, preview=True)
    freeze = _command(commands, "freeze", "no share in the scope may rise; lowering is always allowed")
    _scoped(freeze)
    _ordered(freeze)
    _add_places(commands)
    _add_rollback(commands)
    drill = _command(commands, "drill", "rehearses a rollback and its resume on one route, and reports both times")
    drill.add_argument("route", metavar="ROUTE", help="its name")
    drill.add_argument("--hold", type=values.seconds, default=1.0, metavar="1s", help="in between (default: 1s)")
    drill.add_argument("--reason", default="", metavar="TEXT")
    resume = _command(commands, "resume", "lifts an order; what was declared or ordered before holds again")
    resume.add_argument("order", metavar="ORDER", help="its id, such as R-12")
    resume.add_argument("--weight", type=values.percent, metavar="PERCENT", help="begin again with this share")
    _reasoned(resume)
    confirm = _command(commands, "confirm", "an order that is on trial stays (--confirm-within)")
    confirm.add_argument("order", metavar="ORDER", help="its id, or `file` for a routes.yaml that is on trial")
    confirm.add_argument("--reason", default="", metavar="TEXT")


def _add_rollouts(commands: Commands) -> None:
    rollout = commands.add_parser(
        "rollout", help="moves routes by themselves, step by step, and back", description="Moves routes by their plans."
    )
    what = rollout.add_subparsers(dest="what", metavar="start|pause|resume|promote|abort|status|...", required=True)
    start = _command(what, "start", "begins the plan that a route names in routes.yaml")
    start.add_argument("--at", type=values.percent, metavar="PERCENT", help="begin with this step of the plan")
    pause = _command(what, "pause", "no share rises any more; evidence still comes in, and rolls back")
    resume = _command(what, "resume", "takes the step once more from its beginning")
    promote = _command(what, "promote", "opens the gate of the present step")
    promote.add_argument("--without-evidence", action="store_true", help="whatever evidence says or does not say yet")
    abort = _command(what, "abort", "ends it; the share with which it began holds again")
    for parser in (start, pause, resume, promote, abort):
        _scoped(parser)
        parser.add_argument("--reason", required=True, type=values.reason, metavar="TEXT")
    status = _command(what, "status", "how rollouts stand, and what they wait for")
    status.add_argument("route", nargs="?", metavar="ROUTE", help="one of them, with its steps and its verdict")
    plan = _command(what, "plan", "what a rollout would take, from real traffic; without ROUTE the calendar of all")
    plan.add_argument("route", nargs="?", metavar="ROUTE", help="its name")
    plan.add_argument("--explain", action="store_true", help="how the figures come about")
    replay = _command(what, "replay", "what the recorded evidence says, perhaps with other tolerances")
    replay.add_argument("route", nargs="?", metavar="ROUTE", help="its name (default: all)")
    replay.add_argument("--r0", type=values.ratio, metavar="1.2", help="so many times the failures of legacy")
    replay.add_argument("--p0", type=values.percent, metavar="PERCENT", help="so many failures in any case")
    aa = _command(what, "aa", "legacy against legacy: would identical sides be told apart with these clients?")
    aa.add_argument("route", metavar="ROUTE", help="its name")
    aa.add_argument("--share", type=values.percent, metavar="PERCENT", help="of the new side (default: 1, 5, 25, 50)")
    aa.add_argument("--for", dest="span", type=values.duration, metavar="60s", help="listen for so long (default: 60s)")
    aa.add_argument("--recorded", action="store_true", help="what its rollouts have recorded, instead of its traffic")
    _command(what, "drill", "the judgement has to find a fault that is made up")


def _add_shadow(commands: Commands) -> None:
    shadow = commands.add_parser(
        "shadow",
        help="what copies of requests have shown about the other side",
        description="Copies, and what differs.",
    )
    what = shadow.add_subparsers(dest="what", metavar="list|report", required=True)
    _command(what, "list", "the routes whose requests are copied, and how their answers compare")
    report = _command(what, "report", "where the answers of the two sides differ, what is worst first")
    report.add_argument("route", metavar="ROUTE", help="its name")
    report.add_argument("--all", action="store_true", help="every place, not just the first ones")


def _add_places(commands: Commands) -> None:
    for name, what in (
        ("drain", "a site takes no more requests; the others take them over, what is under way there has its time"),
        ("off", "the same, and tunnels to the site are cut at once"),
    ):
        closing = _command(commands, name, what)
        closing.add_argument("site", metavar="SITE")
        closing.add_argument(
            "--wait",
            type=values.seconds,
            default=40.0,
            metavar="40s",
            help="count down what is under way there so long",
        )
        _ordered(closing, trial=True)
    on = _command(commands, "on", "a site takes requests again, and what waits for a person there may come back")
    on.add_argument("place", metavar="PLACE", help="a site; or an upstream or an endpoint that is held")
    _reasoned(on)
    breaker = commands.add_parser("breaker", help="of a route: pulls a sick API to legacy")
    verbs = breaker.add_subparsers(dest="what", metavar="close", required=True)
    close = _command(verbs, "close", "the new side of a route is well: every worker tries it again")
    close.add_argument("route", metavar="ROUTE", help="its name")
    close.add_argument("--reason", required=True, type=values.reason, metavar="TEXT")


def _add_rollback(commands: Commands) -> None:
    rollback = _command(commands, "rollback", "legacy, now, until somebody resumes")
    what = _scoped(rollback, site=True)
    what.add_argument("--last", action="store_true", help="what the newest change that raised a share was about")
    what.add_argument("--since", type=values.duration, metavar="60m", help="everything that was raised since then")
    rollback.add_argument(
        "--over",
        type=values.easing,
        metavar="20s",
        help="for a legacy that is cold: control takes it down to 0 in steps (10m at most; Ctrl-C: the rest at once)",
    )
    rollback.add_argument(
        "--state",
        type=Path,
        help="where the router on this machine keeps its state, for when control does not answer "
        "(default: $STRANGLER_STATE, else .strangler)",
    )
    _ordered(rollback, "it is due then, but holds until somebody resumes")


def _scoped(parser: argparse.ArgumentParser, *, site: bool = False) -> argparse._MutuallyExclusiveGroup:
    """ROUTE, or one of the options that name more."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("route", nargs="?", metavar="ROUTE", help="a name or glob")
    what.add_argument("--group", metavar="G", help="all routes of a group")
    if site:
        what.add_argument("--site", metavar="S", help="the part of the traffic that is drawn to this site")
    what.add_argument("--all", action="store_true", dest="everything", help="every route")
    return what


def _scoped_words(parser: argparse.ArgumentParser, last: str, what: str) -> None:
    """The same with one more word behind it."""
    parser.usage = (
        f"{parser.prog} (ROUTE | --group G | --all) {last} (--reason TEXT | --preview)\n"
        "           [--for 2h | --confirm-within 10m] [--override RULE]\n"
        "           [--admin URL] [--json]"
    )
    parser.add_argument("words", nargs="+", metavar=f"ROUTE {last}", help=f"a name or glob; {what}")
    wide = parser.add_mutually_exclusive_group()
    wide.add_argument("--group", metavar="G", help="all routes of a group, instead of ROUTE")
    wide.add_argument("--all", action="store_true", dest="everything", help="every route, instead of ROUTE")


def _ordered(
    parser: argparse.ArgumentParser,
    ends: str = "it ends then by itself",
    *,
    trial: bool = False,
    preview: bool = False,
) -> None:
    """What every order may say."""
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--for", dest="lasts", type=values.duration, metavar="2h", help=ends)
    if trial:
        until.add_argument(
            "--confirm-within",
            dest="trial",
            type=values.duration,
            metavar="10m",
            help="it is taken back then unless somebody confirms it",
        )
    _reasoned(parser, preview=preview)


def _reasoned(parser: argparse.ArgumentParser, *, preview: bool = False) -> None:
    """What every change may say; with `preview`, whoever only looks need not say why."""
    why = parser.add_mutually_exclusive_group(required=True)
    why.add_argument("--reason", type=values.reason, metavar="TEXT")
    if preview:
        why.add_argument("--preview", action="store_true", help="only tell what it would change and who would notice")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="RULE",
        choices=values.RULES,
        help=f"a safety rule that shall not refuse it this once, for that reason: {', '.join(values.RULES)}",
    )


def _command(commands: Commands, name: str, what: str, *, admin: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what)
    if admin:
        usual = os.environ.get("STRANGLER_ADMIN") or ADMIN
        parser.add_argument("--admin", default=usual, type=values.admin, metavar="URL", help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
