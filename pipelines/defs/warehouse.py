"""The one Dagster resource: the database, the lake and the landing of a Meterhouse home, and whose data a run looks at.

Put here how Dagster code reaches the storage layer. Keep out what it does there.
"""

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import Connection

from pipelines.storage.database import Database, connected
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import organization, organization_ids
from pipelines.storage.settings import settings_of

#: Tags that restrict a run or a backfill to one organization (its id), and in it to some accounts (their codes, comma separated).
ORGANIZATION_TAG = "meterhouse/organization"
ACCOUNTS_TAG = "meterhouse/accounts"


class Warehouse(dg.ConfigurableResource["Warehouse"]):
    """Storage of the home that ``METERHOUSE_HOME`` and the other settings name; opened once per run."""

    _database: Database = PrivateAttr()
    _lake: Lake = PrivateAttr()
    _landing_root: Path = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Self, None, None]:
        """The resource with its database open until the run ends."""
        del context
        with self.opened():
            yield self

    @contextmanager
    def opened(self) -> Generator[Self, None, None]:
        """The same for code outside a run: sensors, schedules, the worker."""
        settings = settings_of()
        self._lake = Lake(settings.lake_root, settings.lake_options)
        self._landing_root = settings.landing_root
        with closing(connected(settings)) as database:
            self._database = database
            yield self

    @property
    def database(self) -> Database:
        """PostgreSQL."""
        return self._database

    @property
    def lake(self) -> Lake:
        """The Delta tables."""
        return self._lake

    @property
    def landing_root(self) -> Path:
        """The folder of the landing log."""
        return self._landing_root

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
