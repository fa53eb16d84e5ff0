"""What the store remembers of earlier revisions, as far back as there is anything; it may not answer."""

from __future__ import annotations

from typing import Final

from router.answers import Refusal, refusal
from router.course import REMEMBERED, Course
from router.ports import Past, Revision, State, Store, StoreError
from router.steps import raised_by

PAGES: Final = 50
"""So many times as many revisions as memory has are asked of the store at most, to find what was raised."""


class Archive:
    """Asks the store; writes nothing."""

    def __init__(self, store: Store, course: Course) -> None:
        self._store = store
        self._course = course

    async def past(self, limit: int, before: int | None = None) -> list[Revision] | Refusal:
        """The newest revisions first."""
        try:
            return list(await self._store.history(limit, before))
        except StoreError as error:
            return refusal("storage", str(error))

    async def recall(self, number: int) -> Past | Refusal:
        """One revision, with the orders and the routes.yaml that were in force, if they are kept."""
        try:
            past = await self._store.recall(number)
        except StoreError as error:
            return refusal("storage", str(error))
        if past is None:
            return refusal("unknown-revision", f"there is no revision {number}", "see `strangler history`")
        return past

    async def state_of(self, number: int) -> State | Refusal:
        """The orders and the routes.yaml that were in force."""
        past = await self.recall(number)
        if isinstance(past, Refusal):
            return past
        if past.state is None:
            return refusal("not-kept", f"what was in force at revision {number} is not kept any more")
        return past.state

    async def raised(self, since: float | None) -> tuple[str, ...]:
        """The routes that were raised since a time, or by the newest change that raised any.

        From memory, and what is older from the store, as far as it answers.
        """
        found: dict[str, None] = {}
        page, pages = self._course.history(REMEMBERED), 0
        while page and pages < PAGES:
            for revision in page:
                if since is not None and revision.at < since:
                    return tuple(found)
                found |= dict.fromkeys(raised_by(revision, ever=since is None))
                if found and since is None:
                    return tuple(found)
            older = await self.past(REMEMBERED, page[-1].number)
            page, pages = ([], pages) if isinstance(older, Refusal) else (older, pages + 1)
        return tuple(found)
