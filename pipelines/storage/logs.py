"""Logs of the resident processes: one line per event, ``key=value`` after the message, UTC, no secrets.

Put here the format. Keep out what is worth saying.
"""

import logging
import sys
import time


class OneLine(logging.Formatter):
    """``2026-01-31T12:00:00.123Z INFO worker: message``; a traceback is folded into the line."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return super().format(record).replace("\n", " | ")


def logging_started(level: str) -> None:
    """Send the process's log to standard error from that level up (``info``, ``debug`` ...)."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(OneLine())
    logging.basicConfig(level=level.upper(), handlers=[output], force=True)


def event(message: str, **fields: object) -> str:
    """The message followed by its fields: ``job complete job=... bills=3``."""
    return " ".join((message, *(f"{name}={value}" for name, value in fields.items())))
