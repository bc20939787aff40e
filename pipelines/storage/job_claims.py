"""How workers own jobs, of whatever kind.

A job is claimed by a worker's *session*: an advisory lock that the worker holds on its own connection for as long as it
lives. A worker that is killed loses its connection, thereby the lock, and its jobs may be claimed by another at once. The
pair (claimed_by, attempts) of the job's row fences: an attempt that lost its job cannot store anything.

Put here what the tables of jobs share. Keep out their columns and what a job does (bill_jobs.py, statement_jobs.py).
"""

import secrets

#: A job that killed its worker this often is not started again.
ATTEMPTS_MAX = 3
#: Upper half of the advisory lock keys of worker sessions; the lower half is the session's number.
SESSIONS = 0x6D68_1001
#: PostgreSQL channel on which a new job is announced.
CHANNEL = "meterhouse_jobs"
#: Condition on a row ``j`` of a table of jobs: the session that claimed it is dead.
IS_ORPHANED = f"""NOT EXISTS (
            SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted
              AND l.classid::bigint = {SESSIONS} AND l.objid::bigint = j.claimed_by AND l.objsubid = 1)"""


class JobLost(Exception):  # noqa: N818 (as the errors of transforms, named for what it is)
    """The attempt no longer owns its job: it was cancelled, or another worker claimed it. Nothing of it is stored."""


def new_session() -> int:
    """A number for a worker session; 31 random bits, so that a dead session's number does not come back."""
    return secrets.randbelow(2**31 - 1) + 1


def session_key(session: int) -> int:
    """The advisory lock that the worker session of that number holds while it lives."""
    return SESSIONS << 32 | session
