"""Who may use the admin address: tokens, sessions of browsers, roles, and the trace of what was tried.

It knows no routes and no HTTP framework; the admin API asks it and does what it says.
"""
