"""A logger for a terminal: the messages of our own steps, without Dagster's headers and events.

Put here how progress is shown. Keep out what is said.
"""

import logging
import sys

import dagster as dg

#: Name of the logger in a run's configuration: ``{"loggers": {"progress": {}}}``.
PROGRESS_LOGGER = "progress"


class _Message(logging.Formatter):
    """The message as it was given to ``context.log``; an error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        if record.levelno >= logging.ERROR:
            return str(record.getMessage())
        return str(meta.get("orig_message", record.getMessage()))


def _progress(_context: dg.InitLoggerContext) -> logging.Logger:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Message())
    logger = logging.getLogger("meterhouse.progress")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
    return logger


#: Prints INFO and above.
progress = dg.LoggerDefinition(_progress, description="Our own messages, plain, on stderr.")
