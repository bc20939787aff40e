"""The one Dagster resource: the database, the lake and the landing of a Meterhouse home, and whose data a run looks at.

Put here how Dagster code reaches the storage layer. Keep out what it does there.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from sqlalchemy import Connection

from pipelines.storage.database import Database, connected
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import organization, organization_ids
from pipelines.storage.settings import settings_of

#: Tags that restrict a run or a backfill to one organization (its id), and in it to some accounts (their codes, comma separated).
ORGANIZATION_TAG = "meterhouse/organization"
ACCOUNTS_TAG = "meterhouse/accounts"


@dataclass(frozen=True)
class Storage:
    """Storage of one home.

    Attributes:
        database: PostgreSQL.
        lake: The Delta tables.
        landing_root: The folder of the landing log.
    """

    database: Database
    lake: Lake
    landing_root: Path

    def accounts(self, context: dg.AssetExecutionContext) -> tuple[str, ...] | None:
        """Codes of the accounts that the run is restricted to by its tag; None is all."""
        codes = context.run.tags.get(ACCOUNTS_TAG)
        return None if codes is None else tuple(code.strip() for code in codes.split(","))

    def organizations(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[str]:
        """Ids of the organizations that the run is about: the one of its tag, else all that are active.

        Raises:
            NotFound: The tag names an organization that does not exist.
        """
        wanted = context.run.tags.get(ORGANIZATION_TAG)
        with self.database.transaction() as connection:
            return organizations_named(connection, wanted)


def organizations_named(connection: Connection, org_id: str | None) -> list[str]:
    """The one organization, or all active ones for None."""
    if org_id is None:
        return organization_ids(connection)
    organization(connection, org_id)
    return [org_id]


def _storage(_context: dg.InitResourceContext) -> Generator[Storage, None, None]:
    settings = settings_of()
    with closing(connected(settings)) as database:
        yield Storage(database, Lake(settings.lake_root, settings.lake_options), settings.landing_root)


#: Storage of the home that ``METERHOUSE_HOME`` and the other settings name; open while a run, a sensor or a schedule looks.
storage = dg.ResourceDefinition(_storage, description="PostgreSQL, the lake and the landing of this Meterhouse.")

Warehouse = dg.ResourceParam[Storage]
