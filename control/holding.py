"""A site that is taken out again and again is held for a person: an ordinary drain, given by control itself.

So it is recorded, survives a restart, stands in `strangler status`, and ends with `strangler on SITE`.
"""

from __future__ import annotations

from typing import Final

from control.observer import Observer
from router.core.health import TAKEN_OUT_MOST
from router.core.orders import Kind, Reach, Scope
from router.events import EventName
from router.live import Change, Live

ACTOR: Final = "health"


async def hold_sites(live: Live, observer: Observer) -> None:
    """Runs until it is cancelled."""
    while True:
        site = await observer.next_to_hold()
        reason = f"all of it was down {TAKEN_OUT_MOST} times within an hour; strangler on {site} when it is mended"
        answer = await live.give(Kind.DRAIN, Scope(Reach.SITE, site), reason=reason, actor=ACTOR)
        if isinstance(answer, Change) and answer.order is not None:
            live.events.tell(EventName.SITE_HELD, site=site, order=answer.order.id)
