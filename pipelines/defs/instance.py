"""The Dagster instance of a Meterhouse home: created and migrated once, before any Dagster service starts.

``python -m pipelines.defs.instance`` prepares it and prints the environment that the services need. Keep out what the
instance runs.
"""

import os
import shutil
import sys
from contextlib import closing
from pathlib import Path

import dagster as dg
import sqlalchemy

from pipelines.defs.instance_environment import SCHEMA, dagster_environment
from pipelines.storage.database import connected, sqlalchemy_url
from pipelines.storage.settings import settings_of

#: The instance's configuration as it stands in the repository.
CONFIGURATION = Path(__file__).resolve().parents[2] / "dagster.yaml"


def prepared_instance(home: Path, database_url: str) -> dict[str, str]:
    """Create or upgrade the instance; running it again changes nothing.

    Args:
        home: Meterhouse's home; ``<home>/dagster`` becomes DAGSTER_HOME, with the repository's ``dagster.yaml``.
        database_url: URL of Meterhouse's PostgreSQL with any driver.

    Returns:
        The environment of ``dagster_environment``, set in this process too.
    """
    environment = dagster_environment(home, database_url)
    folder = Path(environment["DAGSTER_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CONFIGURATION, folder / "dagster.yaml")
    engine = sqlalchemy.create_engine(sqlalchemy_url(database_url))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtext('meterhouse.dagster.schema'))"))
        connection.execute(sqlalchemy.schema.CreateSchema(SCHEMA, if_not_exists=True))
    engine.dispose()
    os.environ |= environment
    with dg.DagsterInstance.get() as instance:
        instance.upgrade()
    return environment


if __name__ == "__main__":
    settings = settings_of()
    with closing(connected(settings)) as database:
        prepared = prepared_instance(settings.home, database.url)
    sys.stdout.writelines(f"{name}={value}\n" for name, value in prepared.items())
