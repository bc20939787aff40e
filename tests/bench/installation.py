"""The bench's installation: a home of its own with one organization, its accounts and a month of measurements.

Measurements and their daily states are put where ingest puts them, by the same functions, without the landing: the bench
of ingest is another one.
"""

from pathlib import Path

import sqlalchemy as sa

from pipelines.storage import apply, organizations
from pipelines.storage.accounts_bulk import accounts_created
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.ingest_rebuild import brought_up_to_date
from pipelines.storage.lake import Lake
from pipelines.storage.snapshots import configuration
from tests.bench import workload
from transforms.datasets import MEASUREMENTS
from transforms.entities.usage import Meter

ACTOR = "bench"


def installed(database: Database, lake: Lake, *, rows: int, accounts: int) -> tuple[organizations.Credentials, str]:
    """A new organization with everything in place; its credentials and its meter's id."""
    with database.transaction() as connection:
        credentials = organizations.created(connection, "bench")
        org_id = credentials.org_id
        apply.applied(workload.document(), connection, org_id, actor=ACTOR)
    with database.transaction() as connection:
        accounts_created(connection, org_id, [f"account-{n}" for n in range(1, accounts + 1)], ACTOR)
        _attached(connection, org_id)
    with database.transaction() as connection:
        found = configuration(connection, org_id)
    (meter,) = found.entities(Meter).values()
    for number, day in enumerate(workload.measurements(rows, accounts), 1):
        files = lake.written(MEASUREMENTS, org_id, meter.id, frame=day)
        lake.commit(MEASUREMENTS, org_id, meter.id, files=files, app_id="bench", app_version=number)
    brought_up_to_date(database, lake, org_id)
    return credentials, meter.id


def _attached(connection: sa.Connection, org_id: str) -> None:
    """The plan attached to every account; every fifth account is billed in euros."""
    accounts, plans, attached = TABLES["Account"], TABLES["Plan"], TABLES["AccountPlan"]
    in_euros = (accounts.c.org_id == org_id, accounts.c.account_number % workload.EURO_SHARE == 0)
    connection.execute(accounts.update().where(*in_euros).values(currency="EUR"))
    given = {"id": sa.cast(sa.func.gen_random_uuid(), sa.Text), "account_id": accounts.c.id, "plan_id": plans.c.id, "product_id": plans.c.product_id}
    fixed = {"version": 1, "start_date": sa.text("timestamptz '2025-01-01'"), "created_by": ACTOR, "last_modified_by": ACTOR}
    columns = {"org_id": accounts.c.org_id, **given} | {k: v if isinstance(v, sa.TextClause) else sa.literal(v) for k, v in fixed.items()}
    columns |= {"dt_created": sa.func.now(), "dt_last_modified": sa.func.now(), "custom_fields": sa.text("'{}'::jsonb")}
    chosen = sa.select(*columns.values()).select_from(accounts.join(plans, accounts.c.org_id == plans.c.org_id)).where(accounts.c.org_id == org_id)
    connection.execute(attached.insert().from_select(list(columns), chosen))


def account_file(database: Database, org_id: str, path: Path) -> None:
    """Accounts as the hand-written SQL wants them: account_id, account_number, currency."""
    with database.transaction() as connection:
        frame = configuration(connection, org_id).accounts
    frame.select("account_id", "account_number", "currency").with_columns(currency=frame["currency"].fill_null("USD")).write_parquet(path)
