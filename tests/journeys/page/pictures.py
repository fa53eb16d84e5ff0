"""Takes the pictures of docs/page.md anew.

python -m tests.journeys.page.pictures [SECONDS]    how long traffic flows before the first picture (330)
"""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import ExitStack
from http.client import HTTPConnection

from playwright.sync_api import Browser, Page, sync_playwright

from tests.journeys.page.house import CHROMIUM, FLAGS, PATHS, routes_yaml, services, users
from tests.journeys.rig import ROOT, Router

FOLDER = ROOT / "docs" / "page"
SIZE = {"width": 1180, "height": 680}


def post(router: Router, path: str, body: object) -> None:
    connection = HTTPConnection("127.0.0.1", router.admin_port, timeout=30)
    headers = {"Content-Type": "application/json", "X-Strangler-Actor": "kim"}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    print(path, answer.status, answer.read()[:80])
    connection.close()


def opened(browser: Browser, router: Router, view: str, scheme: str) -> Page:
    page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    page.add_init_script("localStorage.setItem('actor', 'kim')")
    page.goto(f"http://127.0.0.1:{router.admin_port}/#/{view}")
    page.wait_for_timeout(3000)
    return page


def shoot(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.screenshot(path=FOLDER / f"{name}.png")
    print(name, (FOLDER / f"{name}.png").stat().st_size // 1024, "KiB")


def pictures(browser: Browser, router: Router) -> None:
    shoot(opened(browser, router, "board", "light"), "board")
    routes = opened(browser, router, "routes", "light")
    routes.wait_for_timeout(4000)
    shoot(routes, "routes")
    routes.get_by_role("button", name="Weight of product", exact=True).click()
    routes.get_by_label("Weight of the new side, in percent").fill("98")
    routes.get_by_label("Reason").fill("two days without a difference")
    routes.wait_for_timeout(1000)
    shoot(routes, "weight")
    shoot(opened(browser, router, "route/product", "light"), "route")
    shoot(opened(browser, router, "rollouts", "light"), "rollouts")
    shoot(opened(browser, router, "sites", "light"), "sites")
    back = opened(browser, router, "rollback", "dark")
    back.get_by_role("radio", name=re.compile("^catalog group")).check()
    back.get_by_label("Reason").fill("prices look odd")
    back.wait_for_timeout(800)
    shoot(back, "rollback")
    back.get_by_role("button", name="Roll back group catalog").click()
    back.wait_for_timeout(4000)
    shoot(back, "rolled-back")
    shoot(opened(browser, router, "audit", "dark"), "audit")


def main(seconds: float) -> None:
    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as stack:
        ports = stack.enter_context(services())
        text = routes_yaml(ports, 1500).replace("steps: [1, 5, 25, 50, 100]", "steps: [20, 40, 60, 80, 100]")
        router = stack.enter_context(Router(text, workers=2))
        for _ in range(3):
            stack.enter_context(users(router.port, PATHS, pause=0.008))
        post(router, "/api/v1/rollouts", {"do": "start", "scope": {"all": True}, "reason": "the teams are ready"})
        cap = {"scope": {"group": "orders"}, "cap": 80, "reason": "until the new cluster has more nodes"}
        post(router, "/api/v1/caps", cap)
        time.sleep(seconds / 2)
        weight = {"scope": {"route": "product"}, "weight": 35, "reason": "a quiet week at 30"}
        post(router, "/api/v1/weights", weight)
        freeze = {"scope": {"group": "payments"}, "reason": "sale until Monday", "for": "48h"}
        post(router, "/api/v1/freezes", freeze)
        time.sleep(seconds / 2)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.callback(browser.close)
        pictures(browser, router)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 330)
