"""Rewrite ``versions/0001_initial.py`` from the declared tables: ``python -m pipelines.storage.migrations.regenerate``.

Until the first release there is this one migration. Afterwards every change is a migration of its own.
"""

from pathlib import Path

from alembic.autogenerate import render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateIndexOp, CreateTableOp, DropTableOp, MigrateOperation, UpgradeOps

from pipelines.storage.tables import METADATA

PATH = Path(__file__).with_name("versions") / "0001_initial.py"
_HEAD = '''"""The first schema, written by regenerate.py from the declarations; do not edit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
'''


def source() -> str:
    """The migration's text."""
    tables = METADATA.sorted_tables
    up: list[MigrateOperation] = []
    for table in tables:
        up.append(CreateTableOp.from_table(table))
        up.extend(CreateIndexOp.from_index(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))
    down: list[MigrateOperation] = [DropTableOp.from_table(table) for table in reversed(tables)]
    parts = [_HEAD]
    context = MigrationContext.configure(dialect_name="postgresql")
    for name, doc, operations in (("upgrade", "Create every table.", up), ("downgrade", "Drop every table.", down)):
        code = render_python_code(UpgradeOps(operations), migration_context=context)
        body = "\n".join(line for line in code.splitlines() if not line.strip().startswith("# ###")).strip()
        parts.append(f'\ndef {name}() -> None:\n    """{doc}"""\n    {body}\n')
    return "\n".join(parts)


if __name__ == "__main__":
    PATH.write_text(source())
