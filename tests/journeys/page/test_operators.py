"""What an SRE and a migration lead do on the page, in a real browser, against a real router with real traffic."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.page.conftest import Opener
from tests.journeys.page.house import loaded
from tests.journeys.rig import Router

Figure = Callable[[str, str], None]


def ask(router: Router, method: str, path: str, body: object = None) -> Any:
    connection = HTTPConnection("127.0.0.1", router.admin_port, timeout=30)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def nothing_ordered(router: Router) -> Iterator[None]:
    """Each test leaves what routes.yaml says."""
    yield
    for order in ask(router, "GET", "/api/v1/orders")["orders"]:
        ask(router, "DELETE", f"/api/v1/orders/{order['id']}", {"reason": "the test is over", "override": ["max-step"]})


def share(router: Router, name: str) -> float:
    return float(ask(router, "GET", f"/api/v1/routes?name={name}")["effective"])


def test_a_rollback_takes_three_clicks_and_is_confirmed_within_a_second(
    router: Router, open_page: Opener, figure: Figure
) -> None:
    """From the first page a newcomer opens: the way back, what, the button; then words, proof and the way forward."""
    page = open_page(router)
    expect(page.get_by_role("heading", name="Needs a person now")).to_be_visible()
    clicks = 0

    def click(what: Any) -> None:
        nonlocal clicks
        clicks += 1
        what.click()

    click(page.get_by_role("link", name="Roll back"))
    click(page.get_by_role("radio", name=re.compile("^catalog ")))
    expect(page.get_by_text("come back to legacy")).to_be_visible()
    began = time.perf_counter()
    click(page.get_by_role("button", name="Roll back group catalog"))
    expect(page.get_by_role("heading", name="Group catalog is on legacy")).to_be_visible()
    took = time.perf_counter() - began
    assert 3 == clicks
    figure("page: rollback", f"{clicks} clicks, confirmation visible after {took * 1000:.0f} ms")
    assert took < 1.0 or loaded()

    words = page.locator(".workers li")
    assert 2 == words.count()
    assert all("confirmed in" in text for text in words.all_inner_texts())
    expect(page.get_by_text("nothing goes to the new side")).to_be_visible()
    expect(page.get_by_text("0 requests/s", exact=True)).to_be_visible()
    assert 0 == share(router, "product")

    order = ask(router, "GET", "/api/v1/orders")["orders"][0]
    expect(page.get_by_text(f"strangler resume {order['id']} --reason")).to_be_visible()
    page.get_by_role("button", name="Undo: resume").click()
    page.get_by_label("Reason").last.fill("it was the network")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_text("Confirmed by all 2 workers")).to_be_visible()
    assert 30 == share(router, "product")


def test_the_way_back_knows_which_route_was_looked_at(router: Router, open_page: Opener) -> None:
    """One click from a route's page, and it is chosen already."""
    page = open_page(router, "route/product")
    page.get_by_role("link", name="Roll back").click()
    page.get_by_label("Reason").fill("prices look odd")
    page.get_by_role("button", name="Roll back route product").click()
    expect(page.get_by_role("heading", name="Route product is on legacy")).to_be_visible()
    (order,) = ask(router, "GET", "/api/v1/orders")["orders"]
    assert ({"route": "product"}, "prices look odd") == (order["scope"], order["reason"])


def test_what_was_raised_last_is_rolled_back_without_knowing_what_it_was(router: Router, open_page: Opener) -> None:
    """The router looks it up; the page names it afterwards, with the command that undoes it."""
    raised = {"scope": {"route": "product-search"}, "weight": 40, "reason": "more"}
    assert ask(router, "POST", "/api/v1/weights", raised)["confirmed"]
    page = open_page(router, "rollback")
    page.get_by_role("radio", name="What the newest change raised").check()
    page.get_by_role("button", name="Roll back what the newest change raised").click()
    expect(page.get_by_text("40 % → 0 %")).to_be_visible()
    (order,) = [each for each in ask(router, "GET", "/api/v1/orders")["orders"] if each["kind"] == "rollback"]
    assert {"route": "product-search"} == order["scope"]
    expect(page.get_by_text(f"strangler resume {order['id']} --reason")).to_be_visible()


def test_a_lead_finds_a_route_sees_what_a_weight_moves_and_has_it_confirmed(router: Router, open_page: Opener) -> None:
    """The safety rules speak before the button is pressed, and what they allow is one click away."""
    page = open_page(router, "routes")
    page.get_by_role("searchbox").fill("product")
    expect(page.get_by_text("2 of 1,500")).to_be_visible()
    page.get_by_role("button", name="Weight of product", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Weight of the new side, in percent").fill("95")
    expect(dialog.get_by_text("65 % of users")).to_be_visible()
    expect(dialog.get_by_text("30 % to 95 % is more than 60 points at once")).to_be_visible()
    dialog.get_by_role("button", name="Take 90 %, which is allowed").click()
    expect(dialog.get_by_text("60 % of users")).to_be_visible()
    dialog.get_by_label("Reason").fill("two days without a difference")
    dialog.get_by_role("button", name="Set weight").click()
    expect(dialog.get_by_text("Confirmed by all 2 workers")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    assert 90 == share(router, "product")
    expect(page.locator("#routes-0").get_by_text("90 %", exact=True)).to_be_visible()
    page.goto(f"http://127.0.0.1:{router.admin_port}/#/route/product")
    expect(page.get_by_text("30 % → 90 %")).to_be_visible()
    expect(page.get_by_text("“two days without a difference”")).to_be_visible()


def test_a_change_by_somebody_else_is_seen_without_asking(router: Router, open_page: Opener, figure: Figure) -> None:
    """It is pushed: the board says so, and what needs a person stands first."""
    page = open_page(router)
    expect(page.get_by_text("Nothing. Every worker has confirmed what is in force")).to_be_visible()
    began = time.perf_counter()
    ask(router, "POST", "/api/v1/rollbacks", {"scope": {"route": "cart"}, "reason": "carts are empty"})
    expect(page.locator(".need.bad").get_by_text("carts are empty")).to_be_visible()
    behind = time.perf_counter() - began
    figure("page: a change by somebody else is seen", f"after {behind * 1000:.0f} ms")
    assert behind < 2.0 or loaded()


def test_traffic_is_seen_within_two_seconds(router: Router, open_page: Opener, figure: Figure) -> None:
    """From the first request of a route that had none to its rate on the page."""
    page = open_page(router, "routes")
    page.get_by_role("searchbox").fill("things777/")
    expect(page.get_by_text("1 of 1,500")).to_be_visible()
    rates = page.locator("#routes-0 .pairs").first
    expect(rates).to_have_text("legacy 0new 0")
    began = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", router.port, timeout=30)
    for _ in range(20):
        connection.request("GET", "/v1/reviews/things777/1", headers={"X-User-Id": "u-1"})
        connection.getresponse().read()
    connection.close()
    expect(rates).not_to_have_text("legacy 0new 0")
    behind = time.perf_counter() - began
    figure("page: live figures are behind", f"{behind:.1f} s")
    assert behind < 2.0 or loaded()


def test_selected_routes_are_changed_together(router: Router, open_page: Opener) -> None:
    """A whole group is one order, taken in one step; single routes are one each."""
    page = open_page(router, "routes?group=catalog")
    page.get_by_role("searchbox").fill("product")
    page.get_by_label("Select all that are listed").check()
    expect(page.get_by_text("2 routes selected")).to_be_visible()
    page.get_by_role("button", name="Freeze …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("sale")
    dialog.get_by_role("button", name="Freeze", exact=True).click()
    expect(dialog.get_by_role("button", name="Done")).to_be_visible()
    scopes = [order["scope"] for order in ask(router, "GET", "/api/v1/orders")["orders"]]
    assert [{"route": "product"}, {"route": "product-search"}] == scopes


def test_the_list_is_walked_by_keys_alone(router: Router, open_page: Opener) -> None:
    """Focus on the table, End to the last of 1,500, Enter to open it."""
    page = open_page(router, "routes")
    table = page.get_by_role("grid", name="Routes")
    expect(page.locator("#routes-0")).to_be_visible()
    table.focus()
    page.keyboard.press("End")
    expect(page.locator("#routes-1499")).to_be_visible()
    assert "routes-1499" == table.get_attribute("aria-activedescendant")
    assert ("1501", 1) == (table.get_attribute("aria-rowcount"), page.locator('[aria-rowindex="1501"]').count())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=re.compile("things1496"))).to_be_visible()


def test_a_request_is_explained_on_its_route(router: Router, open_page: Opener) -> None:
    """Which side, whose bucket, which rule."""
    page = open_page(router, "route/product")
    page.get_by_label("Headers, one a line").fill("X-User-Id: u-77")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("header:x-user-id = u-77", exact=False).or_(page.get_by_text("= u-77"))).to_be_visible()


def test_a_rollout_is_started_and_ended_where_its_evidence_stands(router: Router, open_page: Opener) -> None:
    """On the route's page: its steps, who began it and why; an abort brings back the share that it began with."""
    page = open_page(router, "route/cart")
    evidence = page.get_by_role("region", name="Evidence")
    evidence.get_by_role("button", name="Start").click()
    reason(page, "Start", "the team is ready")
    page.get_by_role("button", name="Done").click()
    expect(evidence.get_by_text("step 1 of 5")).to_be_visible()
    expect(evidence.get_by_text("“the team is ready”")).to_be_visible()
    page.get_by_role("link", name="Rollouts", exact=True).click()
    card = page.get_by_role("region", name="Rollout of cart")
    card.get_by_role("button", name="Abort …").click()
    reason(page, "Abort", "not today after all")
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Over").click()
    expect(card.get_by_text("aborted", exact=True)).to_be_visible()


def test_a_site_is_taken_out_of_traffic_and_put_back(router: Router, open_page: Opener) -> None:
    """Drained, it says so and why; on again, it takes requests."""
    page = open_page(router, "sites")
    card = page.get_by_role("region", name="Site k8s-pangyo")
    card.get_by_role("button", name="Drain …").click()
    reason(page, "Drain", "kernel update")
    page.get_by_role("button", name="Done").click()
    expect(card.get_by_text("drained")).to_be_visible()
    expect(card.get_by_text("kernel update")).to_be_visible()
    card.get_by_role("button", name="On again …").click()
    reason(page, "On again", "the update is done")
    page.get_by_role("button", name="Done").click()
    expect(card.get_by_text("up", exact=True).first).to_be_visible()
    assert [] == ask(router, "GET", "/api/v1/orders")["orders"]


def test_where_the_answers_of_both_sides_differ_stands_on_the_route(router: Router, open_page: Opener) -> None:
    """By the place in the answer, the worst first: here new says a price in quotes."""
    page = open_page(router, "route/product")
    shadow = page.get_by_role("region", name="Shadow differences")
    price = shadow.locator("summary", has_text="$.price")
    expect(price.get_by_text("critical")).to_be_visible()
    price.click()
    expect(shadow.get_by_text("number -> short string")).to_be_visible()


def reason(page: Page, verb: str, text: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(text)
    dialog.get_by_role("button", name=verb, exact=True).click()
