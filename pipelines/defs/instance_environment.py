"""Where Dagster's instance of a Meterhouse home lives, as environment variables; importable without Dagster."""

from pathlib import Path

from sqlalchemy.engine import make_url

#: Dagster's tables stay out of Meterhouse's own schema (both have an ``alembic_version``).
SCHEMA = "dagster"


def dagster_environment(home: Path, database_url: str) -> dict[str, str]:
    """The variables that every process which talks to the Dagster instance is started with.

    Args:
        home: Meterhouse's home.
        database_url: URL of Meterhouse's PostgreSQL with any driver; a socket folder in its query stays.

    Returns:
        ``DAGSTER_HOME``, ``METERHOUSE_DAGSTER_URL`` (psycopg2, its search path is the schema ``dagster``), the switch that turns telemetry
        off even where the instance is not configured yet, and the number of events that are written together.
    """
    url = make_url(database_url).set(drivername="postgresql+psycopg2").update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return {
        "DAGSTER_HOME": str((home / "dagster").resolve()),
        "METERHOUSE_DAGSTER_URL": url.render_as_string(hide_password=False),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # A year of daily partitions is then a few inserts, not hundreds of transactions.
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }
