"""How much a run searches, and where; a few names that the command line and the pytest plugin share."""

PROFILES = {"quick": 5, "ci": 20, "deep": 1000}
"""Cases that each check searches on each implementation."""

DEVICES = ("auto", "cpu", "cuda")
"""Where torch implementations run; "auto" is cuda where there is one."""
