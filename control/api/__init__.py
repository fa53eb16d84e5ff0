"""The admin address: what operators, dashboards and the command line read and change.

It is aiohttp's world: nothing here is on the way of a proxied request.  Handlers read `router.live`, ask it for
changes and write down its answers; they decide nothing.
"""
