"""The programs behind the demo's router answer over real sockets like the shop they pretend to be."""

from __future__ import annotations

import aiohttp

from demo.services import ORDER_STEPS, cart_app, catalog_app, legacy_app, serving
from demo.shop import Shop


async def test_both_sides_give_the_same_product_and_sign_their_answers() -> None:
    """Legacy and new agree on the body; X-Served-By tells them apart."""
    shop = Shop()
    async with serving(legacy_app(shop)) as old, serving(catalog_app(shop, "here")) as new:
        async with aiohttp.ClientSession() as session:
            answers = []
            for port in (old, new):
                async with session.get(f"http://127.0.0.1:{port}/v1/products/1001") as answer:
                    answers.append((answer.headers["X-Served-By"], await answer.json()))
    product = shop.products[1001].view()
    assert [("legacy-shop", product), ("catalog@here", product)] == answers


async def test_a_cart_filled_on_one_side_is_read_on_the_other_and_bought_at_legacy() -> None:
    """The sides share their data, so a user may change sides in the middle of a purchase."""
    shop = Shop()
    async with serving(legacy_app(shop)) as old, serving(cart_app(shop)) as new, aiohttp.ClientSession() as session:
        item = {"productNo": 1002, "quantity": 2}
        async with session.post(f"http://127.0.0.1:{new}/v1/carts/c1/items", json=item) as answer:
            assert answer.status == 201
        async with session.get(f"http://127.0.0.1:{old}/v1/carts/c1") as answer:
            assert (await answer.json())["items"] == [{"product": shop.products[1002].view(), "quantity": 2}]
        async with session.post(f"http://127.0.0.1:{old}/v1/orders", json={"cartId": "c1"}) as answer:
            assert answer.status == 201
        async with session.post(f"http://127.0.0.1:{old}/v1/orders", json={"cartId": "c1"}) as answer:
            assert answer.status == 409


async def test_bad_input_is_told_in_json_with_a_client_error() -> None:
    """No input makes the shop answer 500."""
    async with serving(legacy_app(Shop())) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for method, path, body, status in (
            ("GET", "/v1/products/none", "", 400),
            ("GET", "/v1/products/9", "", 404),
            ("POST", "/v1/products/search", "{", 400),
            ("POST", "/v1/carts/c/items", '{"productNo": 1001, "quantity": "many"}', 400),
            ("POST", "/v1/carts/c/items", '{"productNo": 1}', 404),
            ("POST", "/v1/orders", "[]", 400),
            ("GET", "/v1/orders/1/events", "", 404),
            ("DELETE", "/v1/products/1001", "", 405),
        ):
            async with session.request(method, path, data=body) as answer:
                assert (path, status) == (path, answer.status)
                assert "error" in await answer.json()


async def test_a_broken_service_fails_its_health_check_until_it_is_mended() -> None:
    """Breaking shows in health and answers alike; mending undoes it."""
    async with serving(catalog_app(Shop(), "here")) as port:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            seen = []
            for switch in ("/-/break", "/-/mend"):
                async with session.post(switch) as answer:
                    assert answer.status == 200
                for path in ("/healthz", "/v1/categories"):
                    async with session.get(path) as answer:
                        seen.append(answer.status)
    assert [503, 503, 200, 200] == seen


async def test_an_order_is_followed_by_server_sent_events() -> None:
    """The stream tells every step in order and ends."""
    shop = Shop()
    shop.add("c1", 1001, 1)
    order = shop.buy("c1")
    assert order is not None
    async with serving(legacy_app(shop)) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/v1/orders/{order.number}/events") as answer:
            assert answer.content_type == "text/event-stream"
            lines = (await answer.text()).splitlines()
    assert [f"event: {step}" for step in ORDER_STEPS] == [line for line in lines if line.startswith("event:")]


async def test_the_chat_answers_each_line() -> None:
    """A WebSocket client gets one answer per line."""
    async with serving(legacy_app(Shop())) as port, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{port}/v1/chat") as socket:
            await socket.send_str("hello")
            assert await socket.receive_json(timeout=5) == {
                "from": "legacy-shop",
                "answer": "Thank you for 'hello'.",
            }
