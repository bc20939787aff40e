"""Tells Dagster what the worker has done, in a thread of its own, so that neither jobs nor batches wait for it.

Without ``DAGSTER_HOME`` nothing is recorded and Dagster is never imported. A Dagster that is away or broken never fails a
job: what could not be recorded is said in the log and dropped.

Put here the hand-over. Keep out what a record says (defs/recording.py).
"""

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from importlib import import_module
from typing import Any

from pipelines.storage.bill_runs import JobSummary
from pipelines.storage.ingest import IngestResult
from pipelines.storage.logs import event

LOG = logging.getLogger("recorder")
#: Records that wait at most; when Dagster is away for long, the oldest are not worth keeping.
WAITING_MAX = 10_000


def _record_batch(days: Mapping[date, Mapping[str, int]], seconds: float, recording: Any) -> None:
    recording.recorded_ingest(days, seconds=seconds)


class Recorder:
    """A queue of records; ``is_on`` is False where there is no Dagster instance."""

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._waiting: queue.Queue[Callable[[Any], None]] = queue.Queue(WAITING_MAX)

    @classmethod
    def of_environment(cls) -> "Recorder":
        """The recorder that the environment asks for."""
        return cls(is_on=bool(os.environ.get("DAGSTER_HOME")))

    def threads(self, stop: threading.Event) -> list[threading.Thread]:
        """The thread that records, not started; none when there is nothing to record in."""
        return [threading.Thread(target=self._recording, args=(stop,), name="recorder", daemon=True)] if self._is_on else []

    def job_done(self, summary: JobSummary) -> None:
        """A bill job is complete."""
        for result in summary.ingested:
            self.ingested(result)
        self._put(lambda recording: recording.recorded_bill_job(summary))

    def ingested(self, result: IngestResult) -> None:
        """Batches are in."""
        for batch in result.batches:
            self._put(partial(_record_batch, batch.days, result.seconds))

    def _put(self, record: Callable[[Any], None]) -> None:
        if not self._is_on:
            return
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            LOG.warning(event("dropped", reason="too many records wait for Dagster"))

    def _recording(self, stop: threading.Event) -> None:
        recording: Any = None
        while not stop.is_set():
            try:
                record = self._waiting.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                recording = recording or import_module("pipelines.defs.recording")
                record(recording)
            except Exception as error:  # noqa: BLE001
                # Dagster raises errors of many kinds; none of them may reach a job, whose bills are stored already.
                LOG.warning(event("not recorded", reason=f"{type(error).__name__}: {error}"))
