"""One connection to an endpoint: it serves one exchange at a time and is never trusted after a surprise."""

from __future__ import annotations

from tests.router.planes.embedded.stage import NEW, OK, Stage, Wire


def idle(stage: Stage) -> tuple[Wire, object]:
    wire = stage.warm(stage.new)
    return wire, stage.pool(NEW).idle[0]


def test_an_idle_connection_belongs_to_nobody(stage: Stage) -> None:
    """No exchange is kept alive by it."""
    _, connection = idle(stage)
    assert connection.exchange is None
    assert not connection.closed


def test_bytes_for_nobody_end_it(stage: Stage) -> None:
    """They belong to no answer."""
    wire, connection = idle(stage)
    wire.say(b"x")
    stage.settle()
    assert (True, True) == (wire.aborted, connection.closed)
    assert ([], 0) == (stage.pool(NEW).idle, stage.pool(NEW).open)


def test_an_end_for_nobody_ends_it(stage: Stage) -> None:
    """Our side is not kept open: there is nothing left to say."""
    wire, connection = idle(stage)
    wire.end()
    stage.settle()
    assert (True, True) == (wire.closed, connection.closed)
    assert [] == stage.pool(NEW).idle


def test_full_buffers_of_an_idle_connection_concern_nobody(stage: Stage) -> None:
    """The events of a transport come whenever they like; it is remembered whether it takes more."""
    wire, connection = idle(stage)
    wire.full()
    assert connection.write_paused
    wire.drained()
    assert not connection.write_paused


def test_expiring_means_nothing_while_it_serves(stage: Stage) -> None:
    """The deadline is that of an idle connection."""
    wire = stage.warm(stage.new)
    connection = stage.pool(NEW).idle[0]
    client = stage.ask()
    connection.expired()
    wire.say(OK)
    assert client.heard.endswith(b"ok")
    assert not wire.closed


def test_an_exchange_hears_of_a_loss_once_and_not_of_its_own_close(stage: Stage) -> None:
    """After `close` or `abort` the connection is forgotten, whatever the transport says later."""
    client = stage.ask()
    connection = client._protocol.exchange.connection
    connection.abort()
    stage.settle()
    assert (True, None) == (connection.closed, connection.exchange)
    assert b"" == client.heard
    client.reset()
