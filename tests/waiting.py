"""Waiting for a condition with a deadline, in place of sleeping for a guess."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], *, seconds: float = 30.0, why: Callable[[], str] = lambda: "") -> None:
    """Return as soon as the condition is true; fail with ``why()`` when it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}; {why()}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
