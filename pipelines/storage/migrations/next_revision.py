"""Write the next migration from what the declarations have and the newest revision has not: ``make migration name="plan groups"``.

Revisions that stand in ``versions`` are frozen once they are released, the first one since 0.1.0: never edit them. To
change a table: change its declaration, run ``make migration name="..."``, **read the file that it wrote**, correct it where
data has to move, commit both. What the tool does:

1. Migrates a database of its own (an embedded PostgreSQL in a temporary folder) to the newest revision and lets Alembic
   compare it with the declarations; ``tables="plan_groups plan_group_links"`` takes only these tables in.
2. A new column that may not be null gets the default of its declaration in the rows that exist; without a default that is
   refused, because an organization with rows could not be upgraded.
3. Writes ``versions/NNNN_name.py``, formatted by ruff.
4. Migrates again and compares the system catalogs with those of a database made from the declarations (``catalog.py``).
   What Alembic did not see (the changed text of a check, the condition of a partial index) is printed, to be written by hand.

``tests/pipelines/storage/test_migrations.py`` holds the same comparison.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import AddColumnOp, AlterColumnOp, ModifyTableOps, OpContainer, UpgradeOps
from sqlalchemy import Column, Connection, MetaData
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.storage.database import Database, connected, migrated, newest_revision
from pipelines.storage.entity_tables import table_name
from pipelines.storage.migrations.catalog import declared_schema, migrated_schema
from pipelines.storage.settings import settings_of
from pipelines.storage.tables import METADATA
from transforms.entities.registry import RESOURCES
from transforms.entities.resource import Resource
from transforms.errors import Refused

VERSIONS = Path(__file__).with_name("versions")
_FILE = '''"""{title}."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = "{down_revision}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """{title}."""
    {up}


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    {down}
'''


def _declared_default(resource: Resource | None, column: str) -> Any:
    """What an entity that was saved before the field existed has in it; None where the declaration has no default."""
    field = None if resource is None else resource.entity.model_fields.get(column)
    if field is None or field.is_required():
        return None
    return field.get_default(call_default_factory=True, validated_data={})


def _default_text(value: Any, *, is_json: bool) -> str:
    if is_json:
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    assert isinstance(value, str | int | Decimal), f"no default of a column can be {value!r}"
    return str(value)


def _with_values_for_rows(operations: OpContainer, resources: Mapping[str, Resource]) -> None:
    """Give new columns that may not be null a value in the rows that exist; new rows name theirs, so the default goes again."""
    for table_operations in operations.ops:
        if not isinstance(table_operations, ModifyTableOps):
            continue
        completed: list[Any] = []
        for operation in table_operations.ops:
            completed.append(operation)
            if not isinstance(operation, AddColumnOp):
                continue
            column = operation.column
            if column.nullable or column.server_default is not None or column.identity is not None or column.computed is not None:
                continue
            value = _declared_default(resources.get(operation.table_name), column.name)
            if value is None:
                raise Refused(f"{operation.table_name}.{column.name} may not be null, so rows that exist need a default in its declaration")
            text = _default_text(value, is_json=isinstance(column.type, JSONB))
            with_default: Column[Any] = Column(column.name, column.type, nullable=False, server_default=text, comment=column.comment)
            completed[-1] = AddColumnOp(operation.table_name, with_default, schema=operation.schema)
            completed.append(AlterColumnOp(operation.table_name, column.name, modify_server_default=None, existing_type=column.type))
        table_operations.ops = completed


def revision_source(
    connection: Connection,
    metadata: MetaData,
    *,
    name: str,
    revision: str,
    down_revision: str,
    tables: Collection[str] = (),
    resources: Mapping[str, Resource] | None = None,
) -> str | None:
    """The text of the revision that leads from the connected database to the declarations, or None when nothing differs.

    Args:
        connection: A database at ``down_revision``.
        metadata: The declarations.
        name: What changes, in a few words.
        revision: The new revision's number.
        down_revision: The number of the revision before it.
        tables: Only these tables; empty for all.
        resources: Table name -> declaration of an entity; where defaults of new columns come from. None for the registry.

    Raises:
        Refused: A new column may not be null and has no default.
    """

    def is_included(_object: Any, object_name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
        return kind != "table" or not tables or object_name in tables

    options: dict[str, bool | Callable[..., bool] | list[str]] = {
        "compare_type": True,
        "compare_server_default": True,
        "include_object": is_included,
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
    }
    context = MigrationContext.configure(connection, opts=options)
    script = produce_migrations(context, metadata)
    up, down = script.upgrade_ops, script.downgrade_ops
    assert up is not None
    assert down is not None
    if up.is_empty():
        return None
    known = {table_name(r.kind): r for r in RESOURCES} if resources is None else resources
    _with_values_for_rows(up, known)

    def body(operations: OpContainer) -> str:
        code = render_python_code(UpgradeOps(operations.ops), migration_context=context)
        return "\n".join(line for line in code.splitlines() if not line.strip().startswith("# ###")).strip()

    text = _FILE.format(title=name[0].upper() + name[1:], revision=revision, down_revision=down_revision, up=body(up), down=body(down))
    return _formatted(text)


def _formatted(source: str) -> str:
    """As ruff writes it, without the imports that it does not need."""
    for arguments in (("check", "--fix-only", "--exit-zero", "--select=F401,I", "-"), ("format", "-")):
        # Under a name outside of the folder, which the configuration excludes.
        command = [sys.executable, "-m", "ruff", arguments[0], "--quiet", "--stdin-filename=revision.py", *arguments[1:]]
        source = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    return source


def written_revision(server: Database, name: str, tables: Collection[str] = ()) -> Path | None:
    """The file of the next revision, or None when the declarations say what the newest revision says."""
    down_revision = newest_revision()
    revision = f"{int(down_revision) + 1:04}"
    migrated(server)
    with server.transaction() as connection:
        source = revision_source(connection, METADATA, name=name, revision=revision, down_revision=down_revision, tables=tables)
    if source is None:
        return None
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    path = VERSIONS / f"{revision}_{slug}.py"
    path.write_text(source)
    return path


def main() -> int:
    """Write the next revision and say what is left to do; 1 when the declarations and the migrations still differ."""
    parser = argparse.ArgumentParser(prog='make migration name="..."', description="Write the next migration from the table declarations.")
    parser.add_argument("name", help="What changes, in a few words: plan groups.")
    parser.add_argument("tables", nargs="*", help="Only these tables.")
    options = parser.parse_args()
    if not re.search(r"[a-zA-Z0-9]", options.name):
        parser.error('say what changes in a few words: make migration name="plan groups"')
    with tempfile.TemporaryDirectory() as home:
        settings = settings_of(Path(home))
        server = connected(settings.model_copy(update={"database_url": None}))
        try:
            path = written_revision(server, options.name, options.tables)
            declared, reached = declared_schema(server, METADATA), migrated_schema(server)
        finally:
            server.close()
    say = sys.stdout.write
    say(f"wrote {path}: read it before you commit it\n" if path else "the declarations have nothing new\n")
    for line in sorted(declared - reached):
        say(f"  declared, but not migrated: {line}\n")
    for line in sorted(reached - declared):
        say(f"  migrated, but not declared: {line}\n")
    return 1 if declared != reached else 0


if __name__ == "__main__":
    sys.exit(main())
