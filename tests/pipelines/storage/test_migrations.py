"""Declared tables and the newest migration agree."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pipelines.storage.database import Database, migrated
from pipelines.storage.migrations.regenerate import PATH, source
from pipelines.storage.tables import METADATA


def test_the_migrated_database_is_what_is_declared(database: Database) -> None:
    with database.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, METADATA) == []


def test_the_first_migration_is_the_generated_one() -> None:
    assert PATH.read_text() == source(), "run: python -m pipelines.storage.migrations.regenerate"


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrated(database)
