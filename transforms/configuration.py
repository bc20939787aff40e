"""The configuration of one organization as of an instant: what a bill is a function of, beside usage and a date.

Small entities are typed objects by id; accounts and account plans, which may be many, are frames. The hash names the
exact versions of everything in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar, cast

import polars as pl

from transforms.datasets import INSTANT
from transforms.entities.organization import Currency, CustomFields, OrganizationConfig, time_zone
from transforms.entities.resource import Entity

E = TypeVar("E", bound=Entity)

#: One row per account.
ACCOUNTS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_id": pl.String,
    "account_number": pl.Int32,
    "account_code": pl.String,
    "parent_account_id": pl.String,
    "bill_epoch": pl.Date,
    "currency": pl.String,
    "days_before_bill_due": pl.Int32,
    "purchase_order_number": pl.String,
    # The account's own custom fields as a JSON object.
    "custom_fields": pl.String,
}

#: One row per account plan; start_date and end_date are half-open instants.
ACCOUNT_PLANS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_plan_id": pl.String,
    "account_id": pl.String,
    "plan_id": pl.String,
    "plan_group_id": pl.String,
    "start_date": INSTANT,
    "end_date": INSTANT,
    "bill_epoch": pl.Date,
    "contract_id": pl.String,
    "child_billing_mode": pl.String,
    "custom_fields": pl.String,
}


@dataclass(frozen=True)
class Configuration:
    """A snapshot of one organization's entities.

    Attributes:
        organization_id: The organization.
        as_of: The instant whose versions it holds.
        organization: Organization config (defaults when it was never written).
        custom_fields: Organization-level custom fields.
        small: Kind -> id -> entity, for every kind but Account and AccountPlan.
        accounts: See ACCOUNTS_SCHEMA.
        account_plans: See ACCOUNT_PLANS_SCHEMA.
        hash: sha256 (hex) over the sorted (kind, id, version) of all of it.
    """

    organization_id: str
    as_of: datetime
    organization: OrganizationConfig
    custom_fields: CustomFields
    small: Mapping[str, Mapping[str, Entity]]
    accounts: pl.DataFrame
    account_plans: pl.DataFrame
    hash: str

    def entities(self, kind: type[E]) -> Mapping[str, E]:
        """All entities of a small kind by id."""
        return cast(Mapping[str, E], self.small.get(kind.__name__, {}))

    def entity(self, kind: type[E], entity_id: str) -> E:
        """The entity of a small kind; a missing one is a broken reference and thus a KeyError."""
        return self.entities(kind)[entity_id]

    @property
    def time_zone(self) -> str:
        """The organization's tz database name."""
        return time_zone(self.organization.timezone)

    def currency(self, code: str) -> Currency | None:
        """The picklist entry of a currency code, or None."""
        return next((c for c in self.entities(Currency).values() if c.code == code), None)
