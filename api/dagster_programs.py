"""Dagster's programs as the API package sees them: command lines and variables; nothing of Dagster is imported here."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.storage.settings import Settings

REPOSITORY = Path(__file__).parents[1]
_WORKSPACE = ("-w", str(REPOSITORY / "workspace.yaml"))
#: Prepares Dagster's instance in the home folder and prints its variables.
PREPARATION = (sys.executable, "-m", "pipelines.defs.instance")
DAEMON = (sys.executable, "-m", "dagster._daemon", "run", *_WORKSPACE)


def webserver(settings: "Settings") -> tuple[str, ...]:
    """The command line of the UI."""
    return (sys.executable, "-m", "dagster_webserver", *_WORKSPACE, "-h", settings.host, "-p", str(settings.dagster_port))


def backfill(first_month: str, last_month: str, org_id: str) -> tuple[str, ...]:
    """The command line that bills the months (``2013-01``) of one organization in one Dagster backfill."""
    return (sys.executable, "-m", "pipelines.defs.backfill", "--from", first_month, "--to", last_month, "--organization", org_id)


def home_environment(settings: "Settings") -> dict[str, str]:
    """The environment of a program that works in this home."""
    return {**os.environ, "METERHOUSE_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}


def printed_variables(output: str) -> Mapping[str, str]:
    """The variables that the preparation printed."""
    lines = (line.partition("=") for line in output.splitlines() if line.startswith(("DAGSTER_", "METERHOUSE_")))
    return {name: value for name, _, value in lines}
