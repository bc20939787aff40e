"""Runs migrations on the connection that ``database.migrated`` passes in; there is no alembic.ini."""

from alembic import context

from pipelines.storage.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
