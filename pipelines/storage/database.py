"""The connection to PostgreSQL: one engine, transactions, notifications, and the schema brought up to date.

Put here how to reach the database. Keep out tables (``tables.py``) and what is stored in them (the stores). A database
that can't be reached is ``Unavailable``; the pool opens new connections by itself once it is back.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from pipelines.storage.postgres import embedded
from pipelines.storage.settings import Settings
from transforms.errors import Refused, Unavailable

MIGRATIONS = Path(__file__).with_name("migrations")
#: Key of the advisory lock that lets one process at a time bring the schema up to date.
MIGRATION_LOCK = 0x6D68_0001
#: SQLSTATE classes that mean "not now": connection exceptions, insufficient resources, operator intervention.
_PASSING = ("08", "53", "57P")
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def _written_json(value: Any) -> str:
    return _ENCODER.encode(value).decode()


def _read_json(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def _is_passing(error: BaseException | None) -> bool:
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_PASSING)


class Database:
    """One PostgreSQL database with a pool of connections; safe to share between threads, not across a fork.

    Args:
        url: ``postgresql+psycopg://...``.
        owned: What to close together with it (the embedded server that this process uses).
    """

    def __init__(self, url: str, owned: ExitStack | None = None) -> None:
        self.url = url
        self._owned = owned if owned is not None else ExitStack()
        self.engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=16,
            pool_timeout=10,
            pool_recycle=1800,
            connect_args={"connect_timeout": 5, "application_name": "meterhouse"},
            json_serializer=_written_json,
            json_deserializer=_read_json,
        )
        event.listen(self.engine, "connect", _in_utc)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            Unavailable: The database can't be reached, is stopping, or is out of connections or disk.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if error.connection_invalidated or _is_passing(error.orig):
                raise _unavailable(error.orig) from error
            raise
        except PoolTimeout as error:
            raise Unavailable("all database connections are in use; try again") from error

    @contextmanager
    def locked(self, key: int) -> Iterator[Connection]:
        """A transaction that holds the advisory lock ``key`` until it ends; waits for whoever holds it."""
        with self.transaction() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (key,))
            yield connection

    @contextmanager
    def session_lock(self, key: int) -> Iterator[bool]:
        """Whether this process got the advisory lock ``key``; held on its own connection, across transactions, until the block ends.

        The lock falls with the connection, so a killed process leaves none behind.
        """
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
                yield bool(row and row[0])
        except psycopg.Error as error:
            if _is_passing(error):
                raise _unavailable(error) from error
            raise

    @contextmanager
    def organization_lock(self, org_id: str, seed: int) -> Iterator[None]:
        """Hold the advisory lock of an organization (``hashtextextended(org_id, seed)``) until the block ends; waits for whoever holds it.

        It is held on its own connection, across transactions, and falls with it.
        """
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, %s))", (org_id, seed))
                yield
                # Now, and not when the server notices that the connection is gone: whoever looks next finds it free.
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, %s))", (org_id, seed))
        except psycopg.Error as error:
            if _is_passing(error):
                raise _unavailable(error) from error
            raise

    @contextmanager
    def listening(self, *channels: str) -> Iterator["Listener"]:
        """A listener on the channels from now on; nothing sent after this returns is missed."""
        try:
            connection = psycopg.connect(self.conninfo, autocommit=True)
        except psycopg.Error as error:
            raise _unavailable(error) from error
        with connection:
            for channel in channels:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            yield Listener(connection)

    @property
    def conninfo(self) -> str:
        """The URL as libpq and psycopg understand it."""
        return make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)

    def close(self) -> None:
        """Close the pool and stop using the embedded server."""
        self.engine.dispose()
        self._owned.close()


class Listener:
    """Notifications of one connection (see ``Database.listening``)."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def notified(self, timeout: float) -> tuple[str, str] | None:
        """The next notification as (channel, payload), or None when none comes within ``timeout`` seconds.

        Raises:
            Unavailable: The connection is gone.
        """
        try:
            for notification in self._connection.notifies(timeout=timeout, stop_after=1):
                return notification.channel, notification.payload
        except psycopg.Error as error:
            raise _unavailable(error) from error
        return None


def _in_utc(connection: Any, _record: Any) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _unavailable(error: BaseException | None) -> Unavailable:
    reason = " ".join(str(error).split())
    return Unavailable(f"the database can't be reached at the moment: {reason}")


def sqlalchemy_url(url: str) -> str:
    """The URL with the driver that our own code uses (psycopg 3), whatever driver it names."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def connected(settings: Settings) -> Database:
    """The database of these settings: the external one, or the embedded one of the home folder, started when nobody has yet.

    Raises:
        Unavailable: It can't be reached or started; the message says why.
    """
    with ExitStack() as stack:
        if settings.database_url is not None:
            url = sqlalchemy_url(settings.database_url)
        else:
            url = stack.enter_context(embedded(settings.home, os_user=settings.postgres_user))
        database = Database(url, stack.pop_all())
    try:
        with database.transaction() as connection:
            connection.exec_driver_sql("SELECT 1")
    except Unavailable:
        database.close()
        raise
    return database


def migrated(database: Database) -> None:
    """Bring the schema to the newest revision; safe when several processes do it at once.

    Raises:
        Refused: Newer software made the database; nothing was changed.
    """
    stored, revisions = _stored_revision(database), _revisions()
    if stored == newest_revision():
        return  # without importing alembic, which takes longer than most commands
    if stored is not None and stored not in revisions:
        raise Refused(
            f"the database is at revision {stored}, which this version of Meterhouse does not know (its newest is {newest_revision()}): "
            "a newer version made it. Start that version or a later one, or restore a backup from before the upgrade"
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.locked(MIGRATION_LOCK) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _stored_revision(database: Database) -> str | None:
    with database.transaction() as connection:
        if connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is None:
            return None
        stored: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return stored


def _revisions() -> dict[str, str | None]:
    """Revision -> the one before it, read from the files."""
    found = {}
    for path in (MIGRATIONS / "versions").glob("*.py"):
        text = path.read_text()
        revision, before = (re.search(rf'^{name} = "(\w+)"', text, re.MULTILINE) for name in ("revision", "down_revision"))
        assert revision is not None, f"{path} names no revision"
        found[revision[1]] = before[1] if before else None
    return found


def newest_revision() -> str:
    """The revision of the migration that no other one follows."""
    revisions = _revisions()
    (newest,) = revisions.keys() - revisions.values()
    return newest
