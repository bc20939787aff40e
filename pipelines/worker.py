"""The resident worker: ``python -m pipelines.worker``. It ingests what lands and runs bill jobs.

One thread ingests continuously, so that acknowledged usage shows within three seconds; a few threads claim and run bill
and statement jobs, woken by NOTIFY. A database that is away is waited for. A worker that is killed leaves nothing half done: its session's
lock falls and its jobs are run again by whoever is alive (bill_jobs.py).

Put here the threads and their lives. Keep out what a batch (ingest.py) or a job (bill_runs.py) does. Dagster is only told
afterwards, and only when ``DAGSTER_HOME`` is set (recorder.py).
"""

import logging
import os
import signal
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pipelines.recorder import Recorder
from pipelines.storage import bill_jobs, bill_lines, statement_jobs, statement_runs
from pipelines.storage.auto_approval import approved_when_due
from pipelines.storage.bill_jobs import BillJob, JobLost
from pipelines.storage.bill_runs import ran
from pipelines.storage.database import Database, connected, migrated
from pipelines.storage.ingest import ingested
from pipelines.storage.lake import Lake
from pipelines.storage.logs import event, logging_started
from pipelines.storage.maintenance import maintained
from pipelines.storage.schedule_runs import ran_due
from pipelines.storage.settings import Settings, settings_of
from pipelines.storage.statement_jobs import StatementJob
from transforms.errors import MeterhouseError, Unavailable

LOG = logging.getLogger("worker")

#: Bill jobs that one worker runs at once.
JOB_THREADS = 2
#: Seconds after which a thread looks for jobs of dead workers though nobody woke it.
CLAIM_SECONDS = 1.0
#: Seconds between looks at the landing folder.
LANDING_SECONDS = 0.1
#: Least seconds from one batch of a trickle to the next: fewer, larger files, and still visible within three seconds. A bill
#: job does not wait for it: it takes in what landed itself.
BATCH_SECONDS = 2.0
#: Seconds between two rounds of maintenance; the first is at the start.
MAINTENANCE_SECONDS = 6 * 3600.0
#: Seconds between two looks for bills whose grace period is over.
APPROVAL_SECONDS = 5.0
#: Seconds between two looks for schedules of balances that are due. A bill job does not wait for it: it runs them itself.
SCHEDULES_SECONDS = 5.0
#: Longest pause while something is away.
PAUSE_SECONDS = 5.0
#: Seconds that running jobs get to finish when the worker is asked to stop; they are run again at the next start otherwise.
GRACE_SECONDS = 8.0
#: Jobs of an organization after which its line item files are looked at, and merged where there are many small ones.
COMPACTION_JOBS = 20
#: Upper half of the advisory locks under which an organization's line item files are merged.
COMPACTION = 0x6D68_1004


@dataclass(frozen=True)
class Worker:
    """What the threads share."""

    database: Database
    lake: Lake
    landing_root: Path
    recorder: Recorder
    stop: threading.Event
    #: How long the versions that bills used are kept, and how long all are.
    retention: timedelta
    history: timedelta
    #: Organization -> jobs since its line item files were looked at.
    jobs: Counter[str] = field(default_factory=Counter)

    def threads(self) -> list[threading.Thread]:
        """The worker's threads, not started."""
        single = [("ingest", self._ingesting), ("maintenance", self._maintaining), ("approval", self._approving), ("schedules", self._scheduling)]
        loops = [*single, *((f"jobs-{n}", self._billing) for n in range(1, JOB_THREADS + 1))]
        return [threading.Thread(target=self._resident, args=(name, loop), name=name, daemon=True) for name, loop in loops]

    def _resident(self, name: str, loop: Callable[[], None]) -> None:
        """Run the loop until the worker stops; wait and begin anew where it breaks."""
        pause = 0.1
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                loop()
            except (Unavailable, OSError) as error:
                LOG.warning(event("waiting", thread=name, reason=error))
            except Exception:
                # The edge of the process: what is broken in one batch must not end the bill jobs, nor the other way round.
                LOG.exception(event("broken", thread=name))
            pause = 0.1 if time.monotonic() - begun > PAUSE_SECONDS else min(pause * 2, PAUSE_SECONDS)
            self.stop.wait(pause)

    def _ingesting(self) -> None:
        seen: object = None
        while not self.stop.is_set():
            now = landed(self.landing_root)
            if now == seen:
                self.stop.wait(LANDING_SECONDS)
                continue
            begun = time.monotonic()
            while not self.stop.is_set() and (result := ingested(self.database, self.lake, self.landing_root)) is not None:
                self.recorder.ingested(result)
            seen = now
            self.stop.wait(max(0.0, BATCH_SECONDS - (time.monotonic() - begun)))

    def _maintaining(self) -> None:
        while not self.stop.is_set():
            done = maintained(self.database, self.lake, retention=self.retention, history=self.history, is_over=self.stop.is_set)
            if done is not None and (done.data_files or done.log_files):
                LOG.info(event("lake cleaned", data_files=done.data_files, log_files=done.log_files))
            self.stop.wait(MAINTENANCE_SECONDS)

    def _approving(self) -> None:
        while not self.stop.is_set():
            for org_id, count in approved_when_due(self.database).items():
                LOG.info(event("bills approved", org=org_id, bills=count))
            self.stop.wait(APPROVAL_SECONDS)

    def _scheduling(self) -> None:
        while not self.stop.is_set():
            made = ran_due(self.database)
            if made:
                LOG.info(event("schedules run", transactions_and_charges=made))
            self.stop.wait(SCHEDULES_SECONDS)

    def _billing(self) -> None:
        session = bill_jobs.new_session()
        with self.database.session_lock(bill_jobs.session_key(session)) as is_ours, self.database.listening(bill_jobs.CHANNEL) as listener:
            assert is_ours, f"the new session {session} is already taken"
            while not self.stop.is_set():
                with self.database.transaction() as connection:
                    claim = bill_jobs.claimed(connection, session)
                    statement = statement_jobs.claimed(connection, session) if claim is None else None
                if claim is not None:
                    self._job(claim)
                elif statement is not None:
                    self._statement(statement)
                else:
                    listener.notified(CLAIM_SECONDS)

    def _job(self, claim: BillJob) -> None:
        """Run the claimed job, and see to it that it ends in any case."""
        fields = {"org": claim.org_id, "job": claim.id, "type": claim.type}
        if claim.attempts > bill_jobs.ATTEMPTS_MAX:
            self._abandon(claim, f"its worker died {bill_jobs.ATTEMPTS_MAX} times while it ran; the worker's log may say why")
            return
        LOG.info(event("job started", **fields, attempt=claim.attempts))
        try:
            summary = ran(self.database, self.lake, self.landing_root, claim)
        except JobLost:
            LOG.info(event("job dropped", **fields, reason="cancelled or claimed by another worker"))
            return
        except (Unavailable, OSError):
            with self.database.transaction() as connection:
                bill_jobs.released(connection, claim)
            raise
        except MeterhouseError as error:
            self._abandon(claim, str(error))
            return
        except Exception as error:
            # A defect of ours in one job: say so in the job, so that its client learns of it, and keep the worker for the others.
            LOG.exception(event("job broken", **fields))
            self._abandon(claim, f"internal error ({type(error).__name__}); the worker's log has the details")
            return
        done = {"bills": summary.bills, "lines": summary.line_items, "failures": summary.failures, "seconds": f"{summary.seconds:.3f}"}
        LOG.info(event("job complete", **fields, **done))
        self.recorder.job_done(summary)
        self._compact(claim.org_id)

    def _abandon(self, claim: BillJob, reason: str) -> None:
        LOG.error(event("job cancelled", org=claim.org_id, job=claim.id, reason=reason))
        try:
            with self.database.transaction() as connection:
                bill_jobs.abandoned(connection, claim, reason)
        except JobLost:
            LOG.info(event("job dropped", org=claim.org_id, job=claim.id, reason="cancelled or claimed by another worker"))

    def _statement(self, claim: StatementJob) -> None:
        """Run the claimed statement job, and see to it that it ends in any case."""
        fields = {"org": claim.org_id, "job": claim.id, "bill": claim.bill_id}
        if claim.attempts > bill_jobs.ATTEMPTS_MAX:
            self._fail(claim, f"its worker died {bill_jobs.ATTEMPTS_MAX} times while it ran; the worker's log may say why")
            return
        try:
            statement_runs.ran(self.database, self.lake, claim)
        except JobLost:
            LOG.info(event("statement dropped", **fields, reason="cancelled or claimed by another worker"))
        except (Unavailable, OSError):
            with self.database.transaction() as connection:
                statement_jobs.released(connection, claim)
            raise
        except MeterhouseError as error:
            self._fail(claim, str(error))
        except Exception as error:
            # As for bill jobs: a defect in one statement is told to whoever ordered it, and the worker goes on.
            LOG.exception(event("statement broken", **fields))
            self._fail(claim, f"internal error ({type(error).__name__}); the worker's log has the details")
        else:
            LOG.info(event("statement complete", **fields, attempt=claim.attempts))

    def _fail(self, claim: StatementJob, reason: str) -> None:
        LOG.error(event("statement failed", org=claim.org_id, job=claim.id, reason=reason))
        try:
            with self.database.transaction() as connection:
                statement_jobs.failed(connection, claim, reason)
        except JobLost:
            LOG.info(event("statement dropped", org=claim.org_id, job=claim.id, reason="cancelled or claimed by another worker"))

    def _compact(self, org_id: str) -> None:
        self.jobs[org_id] += 1
        if self.jobs[org_id] < COMPACTION_JOBS:
            return
        del self.jobs[org_id]
        with self.database.session_lock(COMPACTION << 32 | zlib.crc32(org_id.encode())) as is_ours:
            if is_ours:
                bill_lines.compacted(self.lake, org_id)


def landed(landing_root: Path) -> object:
    """A value that changes whenever something is added to the landing: the sizes of its files, a stat each."""
    sizes = {}
    for path in landing_root.rglob("*"):
        try:
            sizes[str(path)] = path.stat().st_size
        except FileNotFoundError:  # ingested and removed meanwhile
            continue
    return sizes


def opened_database(settings: Settings, stop: threading.Event) -> Database | None:
    """The database, as soon as it can be reached; None when the worker is to stop before."""
    pause = 0.1
    while not stop.is_set():
        try:
            database = connected(settings)
        except Unavailable as error:
            LOG.warning(event("waiting", reason=error))
            stop.wait(pause)
            pause = min(pause * 2, PAUSE_SECONDS)
            continue
        migrated(database)
        return database
    return None


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    settings = settings_of()
    logging_started(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = opened_database(settings, stop)
    if database is None:
        return 0
    settings.landing_root.mkdir(parents=True, exist_ok=True)
    recorder = Recorder.of_environment()
    lake = Lake(settings.lake_root, settings.lake_options)
    retention, history = timedelta(days=settings.lake_retention_days), timedelta(days=settings.lake_history_days)
    worker = Worker(database, lake, settings.landing_root, recorder, stop, retention, history)
    threads = [*worker.threads(), *recorder.threads(stop)]
    for thread in threads:
        thread.start()
    LOG.info(event("started", pid=os.getpid(), home=settings.home, job_threads=JOB_THREADS))
    stop.wait()
    deadline = time.monotonic() + GRACE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    unfinished = [thread.name for thread in threads if thread.is_alive()]
    database.close()
    LOG.info(event("stopped", unfinished=",".join(unfinished) or "none"))
    if unfinished:
        # Threads in native code can't be ended; what they did is dropped and their jobs are run again.
        sys.stderr.flush()
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
