"""Events as log lines: JSON for machines, coloured text for people at a terminal.

One line an event, on standard error; the names are those of `router.events.EventName`.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

from router.events import Event, EventName

LEVELS: Final = {
    EventName.REFUSED: logging.ERROR,
    EventName.MISSING: logging.ERROR,
    EventName.LAST_GOOD_USED: logging.ERROR,
    EventName.STORE_FAILED: logging.ERROR,
    EventName.SNAPSHOT_UNWRITABLE: logging.ERROR,
    EventName.UNCONFIRMED: logging.ERROR,
    EventName.WORKER_REFUSED: logging.ERROR,
    EventName.CHILD_DIED: logging.ERROR,
    EventName.ADMIN_FAILED: logging.ERROR,
    EventName.ACCESS_TROUBLE: logging.WARNING,
    EventName.ORDER_REFUSED: logging.WARNING,
    EventName.COMPILER_RESTARTED: logging.WARNING,
    EventName.COMPARER_RESTARTED: logging.WARNING,
    EventName.WORKER_LOST: logging.WARNING,
    EventName.SUPERSEDED: logging.WARNING,
}
"""How loud an event is; everything else is information."""


def configure(log_format: str) -> None:
    """Sets the process up to write `json` or `console` lines."""
    people = log_format == "console"
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
        if people
        else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not people),
            structlog.processors.format_exc_info,
            renderer,
        ],
        # One write a line: several processes share this stream.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def write(event: Event) -> None:
    """The log's side of an event; a log that cannot be written stops nothing."""
    level = logging.getLevelName(LEVELS.get(event.name, logging.INFO)).lower()
    try:
        getattr(structlog.get_logger(), level)(event.name, **event.fields)
    except OSError:
        pass
