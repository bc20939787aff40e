"""Declared tables and the newest migration agree; a released database comes up to date; the next revision writes itself."""

import hashlib
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from pydantic import Field
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.storage import config_store
from pipelines.storage.database import MIGRATIONS, Database, migrated, newest_revision
from pipelines.storage.entity_tables import entity_table
from pipelines.storage.metadata import METADATA as OURS
from pipelines.storage.migrations.catalog import declared_schema, described_schema, migrated_schema, scratch_database
from pipelines.storage.migrations.next_revision import revision_source
from pipelines.storage.tables import METADATA
from transforms.entities.bill_config import BillConfig
from transforms.entities.registry import BY_KIND
from transforms.entities.resource import Resource
from transforms.errors import Refused

#: File -> hash of what was released. Add a file with its release; a line here never changes.
RELEASED = {"0001_initial.py": "7499353485a79d168f7809871f924bae837a13e2d1bf45201fa5dc1899de0e4f"}


@pytest.fixture
def empty(database: Database) -> Iterator[Database]:
    with scratch_database(database) as scratch:
        yield scratch


def at_revision(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def with_rows(database: Database) -> None:
    """An organization with an account, in the words of the first revision."""
    with database.transaction() as connection:
        connection.execute(sa.text("INSERT INTO organizations (id, name, created_by) VALUES ('o', 'Old', 'SYSTEM')"))
        connection.execute(
            sa.text(
                "INSERT INTO accounts (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, custom_fields, name, code,"
                " email_address, account_number) VALUES ('o', 'a', 1, now(), now(), 'SYSTEM', 'SYSTEM', '{}', 'Acme', 'acme', 'a@acme.example', 0)"
            )
        )


def test_the_migrated_database_is_what_is_declared(database: Database) -> None:
    declared, reached = declared_schema(database, METADATA), migrated_schema(database)
    assert sorted(declared - reached) == [], 'run: make migration name="what changes"'
    assert sorted(reached - declared) == [], 'run: make migration name="what changes"'


def test_there_is_nothing_to_write(database: Database) -> None:
    with database.transaction() as connection:
        assert revision_source(connection, METADATA, name="nothing", revision="9999", down_revision=newest_revision()) is None


def test_released_revisions_are_frozen() -> None:
    hashes = {name: hashlib.sha256((MIGRATIONS / "versions" / name).read_bytes()).hexdigest() for name in RELEASED}
    assert hashes == RELEASED, "databases were made by this revision: write a new one instead (make migration)"


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrated(database)


def test_a_database_of_the_first_release_comes_up_to_date_with_its_rows(empty: Database, database: Database) -> None:
    at_revision(empty, "0001")
    with_rows(empty)
    migrated(empty)
    with empty.transaction() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == newest_revision()
        assert connection.execute(sa.text("SELECT org_id, code, name FROM accounts")).all() == [("o", "acme", "Acme")]
        assert connection.scalar(sa.text("SELECT name FROM organizations")) == "Old"
        reached = described_schema(connection)
    assert reached == declared_schema(database, METADATA)


def test_old_organizations_get_a_bill_config_and_lose_statement_definitions_that_never_were(empty: Database) -> None:
    at_revision(empty, "0001")
    with_rows(empty)
    with empty.transaction() as connection:
        connection.execute(sa.text("UPDATE accounts SET statement_definition_id = 'a made-up one'"))
    migrated(empty)
    with empty.transaction() as connection:
        config = config_store.singleton(connection, "o", BillConfig)
        assert (config.version, config.bill_lock_date, config.created_by) == (1, None, "SYSTEM")
        history = connection.execute(sa.text("SELECT id, version, change, body FROM entity_versions WHERE kind = 'BillConfig'")).one()
        assert (history.id, history.version, history.change) == (config.id, 1, "CREATED")
        assert BillConfig.model_validate(history.body) == config
        assert connection.scalar(sa.text("SELECT statement_definition_id FROM accounts")) is None


def test_a_database_of_newer_software_is_refused_and_left_alone(empty: Database) -> None:
    migrated(empty)
    with empty.transaction() as connection:
        before = described_schema(connection)
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match=r"revision 9999, which this version of Meterhouse does not know .* a newer version made it"):
        migrated(empty)
    with empty.transaction() as connection:
        assert described_schema(connection) == before
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"


class Account(BY_KIND["Account"].entity):  # type: ignore[name-defined,misc]
    """An account with more fields."""

    gate: str = "A1"
    is_late: bool = False
    legs: list[str] = Field(default_factory=lambda: ["first"])


def changed_declarations() -> tuple[sa.MetaData, dict[str, Resource]]:
    """Ours with more fields of accounts, and with two tables that have one of everything."""
    changed = sa.MetaData(naming_convention=OURS.naming_convention)
    resource = BY_KIND["Account"].__class__(**{**vars(BY_KIND["Account"]), "entity": Account})
    for table in METADATA.sorted_tables:
        if table.name != "accounts":
            table.to_metadata(changed)
    entity_table(resource, changed)
    sa.Table(
        "airports",
        changed,
        sa.Column("org_id", sa.Text, sa.ForeignKey("organizations.id"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="OPEN"),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("gates", JSONB(none_as_null=True), nullable=False, server_default="[]", comment="A list of names."),
        sa.Column("fee", sa.Numeric(38, 12), nullable=False, server_default="0"),
        sa.CheckConstraint("status IN ('OPEN', 'CLOSED')", name="status"),
        sa.UniqueConstraint("org_id", "status", name="uq_airports_status"),
        sa.Index("ix_airports_open", "org_id", "status", unique=True, postgresql_where=sa.text("status = 'OPEN'")),
    )
    sa.Table(
        "runways",
        changed,
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("airport_id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=True),
        sa.ForeignKeyConstraint(["org_id", "airport_id"], ["airports.org_id", "airports.id"], name="fk_runways_airport", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_runways_account"),
    )
    return changed, {"accounts": resource}


def run(connection: sa.Connection, source: str, function: str) -> None:
    names: dict[str, object] = {}
    exec(compile(source, "revision", "exec"), names)
    context = MigrationContext.configure(connection, opts={"target_metadata": METADATA})
    with Operations.context(context):
        names[function]()  # type: ignore[operator]


def test_the_next_revision_leads_to_the_declarations_and_back(empty: Database, database: Database) -> None:
    migrated(empty)
    with_rows(empty)
    metadata, resources = changed_declarations()
    with empty.transaction() as connection:
        before = described_schema(connection)
        source = revision_source(connection, metadata, name="airports", revision="0099", down_revision="0098", resources=resources)
    assert source is not None
    assert source.startswith('"""Airports."""\n')
    assert 'revision = "0099"\ndown_revision = "0098"\n' in source
    with empty.transaction() as connection:
        run(connection, source, "upgrade")
        assert described_schema(connection) == declared_schema(database, metadata)
        assert connection.execute(sa.text("SELECT gate, is_late, legs FROM accounts")).all() == [("A1", False, ["first"])]
        run(connection, source, "downgrade")
        assert described_schema(connection) == before


def test_a_revision_may_take_in_some_tables_only(empty: Database) -> None:
    migrated(empty)
    metadata, _ = changed_declarations()
    with empty.transaction() as connection:
        source = revision_source(connection, metadata, name="airports", revision="0099", down_revision="0098", tables=["airports"])
    assert source is not None
    assert "airports" in source
    assert "runways" not in source
    assert "gate" not in source.replace("gates", "")


def test_a_new_column_without_a_value_for_old_rows_is_refused(empty: Database) -> None:
    migrated(empty)
    metadata, _ = changed_declarations()
    with empty.transaction() as connection, pytest.raises(Refused, match=r"accounts\.gate may not be null, so rows that exist need a default"):
        revision_source(connection, metadata, name="airports", revision="0099", down_revision="0098")
