"""Measures the router next to its peers, in one run on one machine.

`python -m bench` writes every configuration itself, starts every proxy it finds with one worker, lets them take turns
under the same load (A B C A B C ..., medians over the rounds) and writes `bench/RESULTS.md`.  The figure that counts
is CPU time of the proxy's processes per request: unlike requests per second it says something on a machine that is
also busy with other things.

Traffic never leaves 127.0.0.1, and nothing that was started here outlives the run.
"""
