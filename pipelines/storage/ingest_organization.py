"""What ingest must know of an organization: its meters, formulas, states, time zone and accounts.

Accounts are looked up by the codes of a batch, never read whole. Put here reading; keep out what is computed with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage.config_store import entities, locked
from pipelines.storage.entity_tables import ORGANIZATIONS, TABLES
from pipelines.storage.ingest_tables import AGGREGATE_STATES
from transforms.aggregations.states import state_specs
from transforms.aggregations.usage import StateSpec, field_column
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.usage import Aggregation, Meter, Product
from transforms.measurements.derive import Formulas, formulas
from transforms.money import DECIMAL

_ACCOUNTS = {"account_code": pl.String, "account_number": pl.Int32, "custom_fields": pl.String}


@dataclass(frozen=True)
class IngestOrganization:
    """One organization as ingest sees it.

    Attributes:
        configuration: Meters, aggregations and products; without accounts and plans.
        meters: Meter code -> formulas of the meter (which name the meter).
        specs: The partial states that are wanted.
        complete: Those of them that exist and cover all measurements.
    """

    configuration: Configuration
    meters: dict[str, Formulas]
    specs: tuple[StateSpec, ...]
    complete: frozenset[StateSpec]

    @property
    def org_id(self) -> str:
        """The organization's id."""
        return self.configuration.organization_id


def field_types(meter: Meter) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Columns of the meter's fields in ``measurements``, in declared order."""
    return {field_column(f.code): DECIMAL if f.category.is_numeric else pl.String for f in meter.fields}


def state_fields(meter: Meter) -> dict[str, str]:
    """Field code -> category: what states of the meter were computed with."""
    return {f.code: f.category.value for f in meter.fields}


def ingest_organization(connection: Connection, org_id: str) -> IngestOrganization | None:
    """The organization as of now; None when there is none of that id."""
    if connection.execute(sa.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.id == org_id)).first() is None:
        return None
    now = locked(connection, org_id, shared=True)
    small: dict[str, Any] = {kind.__name__: {one.id: one for one in entities(connection, org_id, kind)} for kind in (Meter, Aggregation, Product)}
    config = next(iter(entities(connection, org_id, OrganizationConfig)), OrganizationConfig())
    custom_fields = next(iter(entities(connection, org_id, CustomFields)), CustomFields())
    configuration = Configuration(
        organization_id=org_id,
        as_of=now,
        organization=config,
        custom_fields=custom_fields,
        small=small,
        accounts=pl.DataFrame(schema=ACCOUNTS_SCHEMA),
        account_plans=pl.DataFrame(schema=ACCOUNT_PLANS_SCHEMA),
        hash="",
    )
    products = configuration.entities(Product)
    meters = configuration.entities(Meter)
    specs = state_specs(configuration)
    return IngestOrganization(
        configuration=configuration,
        meters={
            m.code: formulas(m, custom_fields, product=products.get(m.product_id) if m.product_id else None, time_zone=configuration.time_zone)
            for m in meters.values()
        },
        specs=specs,
        complete=complete_specs(connection, org_id, specs, meters),
    )


def complete_specs(connection: Connection, org_id: str, specs: Sequence[StateSpec], meters: Any) -> frozenset[StateSpec]:
    """Those of the specs whose states cover all measurements and were computed with the meter's present fields."""
    states = AGGREGATE_STATES
    rows = connection.execute(sa.select(states).where(states.c.org_id == org_id, states.c.is_complete)).mappings()
    fields = {(row["meter_id"], row["spec_key"]): row["fields"] for row in rows}
    return frozenset(s for s in specs if fields.get((s.meter_id, s.key)) == state_fields(meters[s.meter_id]))


def known_accounts(connection: Connection, org_id: str, codes: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The accounts of these codes, and accounts whose code differs from an unknown one in letter case only.

    Returns:
        account_code, account_number, custom_fields of the accounts that exist; account_code of the near ones.
    """
    accounts = TABLES["Account"].c
    query = sa.select(accounts.code, accounts.account_number, sa.cast(accounts.custom_fields, sa.Text)).where(
        accounts.org_id == org_id, accounts.code == sa.any_(sa.cast(list(codes), sa.ARRAY(sa.Text)))
    )
    found = pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=_ACCOUNTS, orient="row")
    unknown = sorted({code.lower() for code in set(codes) - set(found["account_code"])})
    near: list[str] = []
    if unknown:
        lower = sa.func.lower(accounts.code) == sa.any_(sa.cast(unknown, sa.ARRAY(sa.Text)))
        near = list(connection.execute(sa.select(accounts.code).where(accounts.org_id == org_id, lower)).scalars())
    return found, pl.DataFrame({"account_code": near}, schema={"account_code": pl.String})
