"""The router: routing rules (`core`), the data planes that carry traffic by them (`planes`), and what feeds them."""

from router import twins

twins.install()
