"""What is recorded in Dagster: nothing where there is none, and a Dagster that is broken harms nobody."""

import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.recorder import Recorder
from pipelines.storage.bill_runs import JobSummary
from pipelines.storage.logs import OneLine, event
from tests.waiting import eventually

SUMMARY = JobSummary(
    org_id="o",
    job_id="j",
    type="CREATE",
    calculation_id="c",
    bills=2,
    line_items=5,
    failures=1,
    last_dates=(date(2025, 1, 31),),
    seconds=0.5,
    ingested=(),
)


def test_without_dagster_there_is_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    recorder = Recorder.of_environment()
    recorder.job_done(SUMMARY)
    assert recorder.threads(threading.Event()) == []


def test_a_broken_dagster_is_said_in_the_log_and_the_next_record_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any) -> None:
    # No dagster.yaml that makes sense: the instance can't be opened.
    (tmp_path / "dagster.yaml").write_text("storage: {nonsense: true}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    recorder = Recorder.of_environment()
    stop = threading.Event()
    [thread] = recorder.threads(stop)
    thread.start()
    recorder.job_done(SUMMARY)
    recorder.job_done(SUMMARY)
    eventually(lambda: caplog.text.count("not recorded") == 2, why=lambda: caplog.text)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_log_line_is_one_line() -> None:
    import logging

    record = logging.LogRecord("worker", logging.INFO, "", 1, event("job complete", job="j", bills=2), (), None)
    assert OneLine().format(record).endswith("INFO worker: job complete job=j bills=2")
    record.msg = "two\nlines"
    assert "two | lines" in OneLine().format(record)
