"""Rollback when control does not answer: the command goes to every worker's own socket.

It needs neither control nor its store, no room on the disk and no routes.yaml, only the state directory of a router
on this machine.  Each worker confirms for itself; whoever does not is named.  Control adopts what the workers hold when
it is back (`router.core.hold`), so that `strangler orders` shows it and `strangler resume` lifts it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from control.cli_client import CannotAskError, user
from control.cli_values import DONE, FAILED, UNCONFIRMED, parse_url
from router.core.hold import Hold, hold_of, message_of
from router.core.wire import encode

PATIENCE: Final = 1.5
"""Seconds in which control has to give a sign of life."""
WORKER_PATIENCE: Final = 2.5
"""Seconds in which a worker has to confirm."""
USUAL_STATE: Final = Path(".strangler")
_AT_ONCE: Final = 32

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """What became of one worker."""

    worker: int
    ms: float | None = None
    """From the command to its confirmation; None: it has not confirmed."""
    held_by: str = ""
    """The id under which it holds: ours, or that of somebody who was faster."""
    written: bool = False
    """A worker that is started in its place will hold as well."""
    refused: bool = False
    why: str = ""


class NotHereError(CannotAskError):
    """The workers of the router that is meant are not at hand: there is nobody to tell."""


def absent(url: str, patience: float = PATIENCE) -> str:
    """Why control cannot be asked, in words; empty when it gives a sign of life."""
    place = parse_url(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=patience)
    if place.scheme == "https":
        context = ssl.create_default_context()
        # Nothing is believed and nothing is told here: it is a question for a sign of life.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(place.hostname or "", place.port, timeout=patience, context=context)
    try:
        connection.request("GET", place.path.rstrip("/") + "/livez")
        connection.getresponse()
    except TimeoutError:
        return f"it gave no sign of life within {patience:g} s"
    except (OSError, HTTPException, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return ""


def rollback(args: argparse.Namespace, scope: Json, why: str) -> int:
    """Every worker is told to hold the scope on legacy; the exit code."""
    if not scope:
        raise CannotAskError(
            f"control does not answer at {args.admin} ({why}), and only it knows the history; "
            "name a route, a glob, a group or a site, or use --all"
        )
    state = state_of(args, why)
    said = {"id": f"E-{secrets.token_hex(6)}", "scope": scope, "reason": args.reason, "actor": user()}
    try:
        hold = hold_of(said | {"at": time.time()})
    except ValueError as error:
        raise CannotAskError(str(error)) from None
    words = tell(state, hold)
    if all(word.refused for word in words):
        raise CannotAskError(f"refused by every worker: {words[0].why}")
    _print(args, hold, words, why)
    missing = [str(word.worker) for word in words if word.ms is None]
    if not missing:
        return DONE
    print(f"strangler: NOT CONFIRMED by worker {', '.join(missing)}; give the command again", file=sys.stderr)
    return UNCONFIRMED if len(missing) < len(words) or any(word.why == _SILENT for word in words) else FAILED


def state_of(args: argparse.Namespace, why: str) -> Path:
    """The state directory of the router that is meant; raises CannotAskError rather than rolling back another one."""
    said = getattr(args, "state", None) or os.environ.get("STRANGLER_STATE")
    state = Path(said) if said else USUAL_STATE
    gone = f"control does not answer at {args.admin} ({why})"
    elsewhere = "run this on the router's machine, with --state DIR or STRANGLER_STATE (what `strangler run` was given)"
    if not (state / "workers").is_dir():
        raise NotHereError(f"{gone}, and no router keeps its state in {state}; {elsewhere}")
    admin = str(_run_file(state).get("admin", ""))
    if not said and admin and admin.rpartition(":")[2] != str(parse_url(args.admin).port or ""):
        raise NotHereError(f"{gone}, and the router of {state} is another one (admin at {admin}); {elsewhere}")
    return state


def tell(state: Path, hold: Hold) -> tuple[Word, ...]:
    """The word of each worker that there should be."""
    numbers = workers_of(state)
    if not numbers:
        raise NotHereError(f"no worker has ever run with the state directory {state}")
    # A socket's address has at most 107 bytes; through the folder's descriptor its path may be as long as it likes.
    folder = os.open(state / "workers", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with ThreadPoolExecutor(min(_AT_ONCE, len(numbers))) as threads:
            return tuple(threads.map(lambda number: _tell_one(folder, number, hold), numbers))
    finally:
        os.close(folder)


def workers_of(state: Path) -> tuple[int, ...]:
    """As many as the router was started with, or those that have a socket when that cannot be read."""
    count = _run_file(state).get("workers")
    if isinstance(count, int) and 0 < count <= 256:
        return tuple(range(count))
    return tuple(sorted(int(path.stem) for path in (state / "workers").glob("*.sock") if path.stem.isdecimal()))


def _run_file(state: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((state / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_SILENT: Final = f"it has not answered within {WORKER_PATIENCE:g} s; it holds as soon as it looks at the disk"


def _tell_one(folder: int, number: int, hold: Hold) -> Word:
    began = time.perf_counter()
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(WORKER_PATIENCE)
            channel.connect(f"/proc/self/fd/{folder}/{number}.sock")
            channel.sendall(encode(message_of(hold)))
            answer = _answer(channel, began + WORKER_PATIENCE)
    except TimeoutError:
        return Word(number, why=_SILENT)
    except (OSError, EOFError, ValueError) as error:
        return Word(number, why=f"it is not running: {getattr(error, 'strerror', None) or error}")
    if answer["op"] == "refused":
        return Word(number, refused=True, why=str(answer.get("why")))
    ms = round((time.perf_counter() - began) * 1000, 2)
    return Word(number, ms, str(answer.get("id")), bool(answer.get("written")))


def _answer(channel: socket.socket, deadline: float) -> Mapping[str, Any]:
    """The answer to a hold; the greeting, and whatever else comes before it, is passed over."""
    data = b""
    while True:
        channel.settimeout(max(0.001, deadline - time.perf_counter()))
        more = channel.recv(65_536)
        if not more:
            raise EOFError("it has closed the connection")
        *lines, data = (data + more).split(b"\n")
        for line in lines:
            message: Mapping[str, Any] = json.loads(line)
            if message["op"] in {"held", "refused"}:
                return message


# -- words -------------------------------------------------------------------------------------------------------------


def _print(args: argparse.Namespace, hold: Hold, words: tuple[Word, ...], why: str) -> None:
    lines = [json.dumps(_json(hold, words, why), indent=2)] if args.json else _lines(args, hold, words, why)
    for line in lines:
        print(line)


def _json(hold: Hold, words: tuple[Word, ...], why: str) -> Json:
    return {
        "emergency": True,
        "control": why,
        "order": {"id": hold.id, "kind": "rollback", "scope": message_of(hold)["scope"], "reason": hold.reason}
        | {"actor": hold.actor, "created": hold.at, "text": f"rollback {hold.scope}"},
        "confirmed": all(word.ms is not None for word in words),
        "persisted": any(word.written for word in words),
        "workers": [
            {"id": word.worker, "ms": word.ms, "confirmed": word.ms is not None, "held_by": word.held_by}
            | {"written": word.written, "why": word.why}
            for word in words
        ],
    }


def _lines(args: argparse.Namespace, hold: Hold, words: tuple[Word, ...], why: str) -> Iterable[str]:
    yield f"control does not answer at {args.admin} ({why}): the workers were told themselves"
    yield f"rolled back to legacy: {hold.scope} ({hold.id})"
    for word in words:
        if word.ms is None:
            yield f"  worker {word.worker}  NOT CONFIRMED: {word.why}"
        else:
            before = "" if word.held_by == hold.id else f", already held by {word.held_by}"
            yield f"  worker {word.worker}  confirmed in {word.ms:g} ms{before}"
    if any(word.ms is not None for word in words) and not any(word.written for word in words):
        yield "the disk does not take it: a worker that is started anew meanwhile would not know of it"
    yield "control adopts it as an order when it is back; `strangler orders` shows it then, `strangler resume` lifts it"
