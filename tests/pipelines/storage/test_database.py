"""Transactions, JSON, locks and notifications on the real PostgreSQL."""

from decimal import Decimal

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.storage.database import MIGRATIONS, Database, connected, migrated, newest_revision
from pipelines.storage.settings import Settings
from transforms.errors import Unavailable


def test_migrations_may_run_again(database: Database) -> None:
    migrated(database)
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1


def test_the_newest_revision_is_alembics_head() -> None:
    assert newest_revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_json_keeps_every_digit(database: Database) -> None:
    value = {"price": Decimal("12345678901234567890.123456789012"), "count": 3, "text": "x", "none": None, "small": Decimal("0.000000000001")}
    with database.transaction() as connection:
        assert connection.scalar(sa.select(sa.cast(sa.literal(value, JSONB), JSONB))) == value


def test_sessions_are_in_utc(database: Database) -> None:
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT current_setting('timezone')")) == "UTC"


def test_an_error_rolls_back(database: Database) -> None:
    with pytest.raises(RuntimeError, match="stop"), database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE never (x int)"))
        raise RuntimeError("stop")
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT to_regclass('never')")) is None


def test_session_lock_is_had_by_one(database: Database) -> None:
    with database.session_lock(77) as first, database.session_lock(77) as second:
        assert (first, second) == (True, False)
    with database.session_lock(77) as again:
        assert again


def test_notifications_arrive_and_silence_ends(database: Database) -> None:
    with database.listening("jobs_test") as listener:
        with database.transaction() as connection:
            connection.execute(sa.text("NOTIFY jobs_test, 'seven'"))
        assert listener.notified(10) == ("jobs_test", "seven")
        assert listener.notified(0.01) is None


def test_a_lost_connection_is_unavailable_and_then_replaced(database: Database) -> None:
    with pytest.raises(Unavailable, match="can't be reached"), database.transaction() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


def test_an_external_database_is_used_instead(database: Database, tmp_path: object) -> None:
    plain = database.url.replace("postgresql+psycopg://", "postgresql://")
    external = connected(Settings(home=tmp_path, database_url=plain))  # type: ignore[arg-type]
    with external.transaction() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1
    external.close()


def test_an_external_database_that_is_not_there_says_so(tmp_path: object) -> None:
    with pytest.raises(Unavailable, match=r"nowhere\.invalid"):
        connected(Settings(home=tmp_path, database_url="postgresql://user@nowhere.invalid/x"))  # type: ignore[arg-type]
