"""Every setting of Meterhouse in one place, each with its environment variable ``METERHOUSE_<NAME>``.

Put here what an operator may choose. Keep out what one organization chooses (its organization config) and constants of
a format or an algorithm.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from transforms.errors import EntityInvalid


class Settings(BaseSettings):
    """What an operator may choose; the default of each is right for one machine.

    The field descriptions are the documentation: the README's table and ``meterhouse --help`` show them.
    """

    model_config = SettingsConfigDict(env_prefix="METERHOUSE_", frozen=True, extra="ignore")

    home: Path = Field(Path(".meterhouse"), description="Folder for everything that Meterhouse keeps on this machine.")
    database_url: str | None = Field(
        None, description="URL of an external PostgreSQL (`postgresql://user:password@host/name`); without it one runs in the home folder."
    )
    postgres_user: str = Field(
        "meterhouse", description="OS user that runs the embedded PostgreSQL when Meterhouse is started by root; created when missing."
    )
    lake: str | None = Field(None, description="Where the Delta Lake tables are: a folder or `s3://bucket/prefix`; default `<home>/lake`.")
    lake_options: dict[str, str] = Field(
        default_factory=dict, description="Storage options of the lake as JSON (`AWS_ENDPOINT_URL`, `AWS_REGION`, ...)."
    )
    lake_retention_days: int = Field(
        400,
        ge=7,
        le=400,
        description="How many days after its calculation a bill can be computed again from the versions of the lake's tables that it used; 7 to 400.",
    )
    lake_history_days: int = Field(
        7, ge=7, le=400, description="How many days every replaced version of the lake's tables can still be read, whether a bill used it or not."
    )
    host: str = Field("127.0.0.1", description="Address that the API and the Dagster UI listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the API.")
    dagster_port: int = Field(3000, ge=0, le=65535, description="Port of the Dagster UI.")
    base_url: str | None = Field(None, description="Address that clients use to reach the API; default `http://<host>:<port>`.")
    api_workers: int = Field(2, ge=1, le=64, description="Number of API processes.")
    worker_niceness: int = Field(
        10,
        ge=0,
        le=19,
        description="How far the worker stands back when processors are short, 0 to 19; at 0 it takes as much as the API, which acknowledges less.",
    )
    token_seconds: int = Field(18_000, ge=60, description="How long an access token is valid, in seconds.")
    locale: str = Field("en-US", description="Language and conventions of printed bills where neither the reader nor the account says which.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What the server says: `debug`, `info`, `warning` or `error`."
    )

    @property
    def lake_root(self) -> str:
        """The lake's address: as set, or the folder inside the home."""
        return self.lake if self.lake is not None else str(self.home / "lake")

    @property
    def landing_root(self) -> Path:
        """The folder of the landing log, always on this machine's disk."""
        return self.home / "landing"

    @property
    def dagster_home(self) -> Path:
        """``DAGSTER_HOME``: where Dagster finds its instance configuration."""
        return self.home / "dagster"

    @property
    def serving_file(self) -> Path:
        """A small JSON file that a running ``meterhouse serve`` keeps: its process id and its addresses."""
        return self.home / "serve.json"

    @property
    def public_base_url(self) -> str:
        """The API's address for clients: as set, or that of the running server, or the one the next server will have."""
        if self.base_url is not None:
            return self.base_url
        served = served_addresses(self)
        return served["base_url"] if served else f"http://{self.host}:{self.port}"


def settings_of(home: Path | None = None) -> Settings:
    """The settings from the environment, with absolute paths.

    Args:
        home: The home folder named on the command line; it wins over ``METERHOUSE_HOME``.

    Raises:
        EntityInvalid: A variable has no possible value; the message names it.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = (f"METERHOUSE_{str(e['loc'][0]).upper()} is {e['input']!r}: {e['msg'].replace('Input should', 'it must')}" for e in error.errors())
        raise EntityInvalid("; ".join(wrong)) from None
    except SettingsError as error:
        raise EntityInvalid(f"a setting is not the JSON it must be: {error}") from None
    return settings.model_copy(update={"home": (home if home is not None else settings.home).expanduser().absolute()})


def served_addresses(settings: Settings) -> dict[str, str] | None:
    """What ``meterhouse serve`` last wrote about itself, or None when it never ran in this home."""
    try:
        content = json.loads(settings.serving_file.read_text())
    except FileNotFoundError:
        return None
    return {key: str(value) for key, value in content.items()}
