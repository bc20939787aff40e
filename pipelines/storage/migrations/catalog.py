"""What PostgreSQL knows of our tables, as lines to compare: two schemas are the same when their lines are.

Alembic's comparison does not see the text of a check or the condition of a partial index; the system catalogs have
both. Put here how a schema is read; keep out how it is changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import Connection, MetaData, make_url

from pipelines.storage.database import Database, migrated

_COLUMNS = """
SELECT c.relname || '.' || a.attname || ': ' || format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
    || CASE WHEN a.attidentity <> '' THEN ' IDENTITY ' || a.attidentity::text ELSE '' END
    || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
    || coalesce(' COMMENT ' || col_description(c.oid, a.attnum), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version'
"""
# NOT NULL is told with the column; since PostgreSQL 18 it is a constraint as well, with a name that nobody chose.
_CONSTRAINTS = """
SELECT c.relname || ': CONSTRAINT ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.connamespace = 'public'::regnamespace AND k.contype <> 'n' AND c.relname <> 'alembic_version'
"""
_INDEXES = "SELECT tablename || ': ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


def described_schema(connection: Connection) -> frozenset[str]:
    """One line per column, constraint and index of the connected database, whatever the order of its columns."""
    return frozenset(str(line) for query in (_COLUMNS, _CONSTRAINTS, _INDEXES) for line in connection.exec_driver_sql(query).scalars())


@contextmanager
def scratch_database(server: Database) -> Iterator[Database]:
    """A new, empty database on the same server, dropped at the end."""
    name = f"scratch_{uuid4().hex}"
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        scratch = Database(make_url(server.url).set(database=name).render_as_string(hide_password=False))
        try:
            yield scratch
        finally:
            scratch.close()
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def declared_schema(server: Database, metadata: MetaData) -> frozenset[str]:
    """The schema that a database has whose tables were created from their declarations."""
    with scratch_database(server) as scratch, scratch.transaction() as connection:
        metadata.create_all(connection)
        return described_schema(connection)


def migrated_schema(server: Database) -> frozenset[str]:
    """The schema that a database has which went through all migrations."""
    with scratch_database(server) as scratch:
        migrated(scratch)
        with scratch.transaction() as connection:
            return described_schema(connection)
