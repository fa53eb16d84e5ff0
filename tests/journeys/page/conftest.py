"""One browser and one router with 1,500 routes for the tests of a file; each test has a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import find_tool
from tests.journeys.page.house import DEADLINE, FLAGS, PATHS, routes_yaml, services, users
from tests.journeys.rig import Router

ROUTES = 1500
expect.set_options(timeout=DEADLINE * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for longer than a file: while it is there its event loop runs in this thread, and no other one could."""
    chromium = find_tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    """Many routes, two workers, both sides behind them and users before them."""
    with services() as ports, Router(routes_yaml(ports, ROUTES), workers=2) as router, users(router.port, PATHS):
        yield router


Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Opens a page of a router in a fresh context; fails the test when a script of ours has failed."""
    with ExitStack() as stack:
        broken: list[str] = []

        def opener(router: Router, view: str = "board", **context: object) -> Page:
            made = browser.new_context(**({"viewport": {"width": 1360, "height": 820}} | context))  # type: ignore[arg-type]
            stack.callback(made.close)
            page = made.new_page()
            page.set_default_timeout(DEADLINE * 1000)
            page.on("pageerror", lambda error: broken.append(str(error)))
            page.goto(f"http://127.0.0.1:{router.admin_port}/#/{view}")
            return page

        yield opener
        assert broken == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from the package that carries it."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
