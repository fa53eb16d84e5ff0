"""Compares what workers saw of both sides, in a process of its own.

    page.py      one route: its rules, its noise, its counts; a capture comes in, a comparison comes out
    book.py      all routes that are shadowed, and what is asked about them
    keeper.py    pages on disk, so that a restart forgets nothing
    server.py    the process: captures from workers on a Unix socket, questions from control on standard input

Nothing here is needed for traffic: a worker whose captures nobody takes counts them and goes on.
"""
