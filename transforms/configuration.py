"""The configuration of one organization as of an instant: what a bill is a function of, beside usage and a date.

Small entities are typed objects by id; accounts and what belongs to one account each, which may be many, are frames. The
hash names the exact versions of everything in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, cast

import polars as pl

from transforms.datasets import INSTANT
from transforms.entities.organization import Currency, CustomFields, OrganizationConfig, time_zone
from transforms.entities.resource import Entity
from transforms.money import DECIMAL

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
    # PREPAYMENT and BALANCE in the order of drawing, as a JSON list; null for the organization's.
    "credit_application_order": pl.String,
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

#: Kind -> columns of the frame of what belongs to one account each: one row per entity, half-open dates, lists and nested parts
#: as JSON text in their wire form, ``created_at`` the order of creation.
FRAMES: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "Commitment": {
        "commitment_id": pl.String,
        "account_id": pl.String,
        "currency": pl.String,
        "amount": DECIMAL,
        "amount_pre_paid": DECIMAL,
        "amount_first_bill": DECIMAL,
        "start_date": pl.Date,
        "end_date": pl.Date,
        "bill_epoch": pl.Date,
        "billing_interval": pl.Int32,
        "billing_offset": pl.Int32,
        "billing_plan_id": pl.String,
        "fee_dates": pl.String,
        "commitment_fee_bill_in_advance": pl.Boolean,
        "commitment_fee_description": pl.String,
        "commitment_usage_description": pl.String,
        "overage_description": pl.String,
        "overage_surcharge_percent": DECIMAL,
        "separate_overage_usage": pl.Boolean,
        "product_ids": pl.String,
        "line_item_types": pl.String,
        "contract_id": pl.String,
        "child_billing_mode": pl.String,
        "accounting_product_id": pl.String,
        "fees_accounting_product_id": pl.String,
        "drawdowns_accounting_product_id": pl.String,
        "created_at": INSTANT,
    },
    "Balance": {
        "balance_id": pl.String,
        "account_id": pl.String,
        "code": pl.String,
        "name": pl.String,
        "currency": pl.String,
        "start_date": INSTANT,
        "end_date": INSTANT,
        "rollover_amount": DECIMAL,
        "rollover_end_date": INSTANT,
        "balance_draw_down_description": pl.String,
        "overage_description": pl.String,
        "overage_surcharge_percent": DECIMAL,
        "product_ids": pl.String,
        "line_item_types": pl.String,
        "contract_id": pl.String,
        "allow_overdraft": pl.Boolean,
        "consumptions_accounting_product_id": pl.String,
        "fees_accounting_product_id": pl.String,
        "created_at": INSTANT,
    },
    "Charge": {
        "charge_id": pl.String,
        "account_id": pl.String,
        "code": pl.String,
        "name": pl.String,
        "description": pl.String,
        "currency": pl.String,
        "amount": DECIMAL,
        "units": DECIMAL,
        "unit_price": DECIMAL,
        "bill_date": pl.Date,
        "entity_type": pl.String,
        "entity_id": pl.String,
        "line_item_type": pl.String,
        "accounting_product_id": pl.String,
        "service_period_start_date": INSTANT,
        "service_period_end_date": INSTANT,
        "contract_id": pl.String,
        "created_at": INSTANT,
    },
    "CounterAdjustment": {
        "counter_adjustment_id": pl.String,
        "account_id": pl.String,
        "counter_id": pl.String,
        "date": pl.Date,
        "value": pl.Int64,
        "created_at": INSTANT,
    },
    "Contract": {
        "contract_id": pl.String,
        "account_id": pl.String,
        "code": pl.String,
        "name": pl.String,
        "start_date": pl.Date,
        "end_date": pl.Date,
        "purchase_order_number": pl.String,
        "apply_contract_period_limits": pl.Boolean,
        "usage_filters": pl.String,
        "bill_grouping_key_id": pl.String,
        "created_at": INSTANT,
    },
}


@dataclass(frozen=True)
class Configuration:
    """A snapshot of one organization's entities.

    Attributes:
        organization_id: The organization.
        as_of: The instant whose versions it holds.
        organization: Organization config (defaults when it was never written).
        custom_fields: Organization-level custom fields.
        small: Kind -> id -> entity, for every kind but Account, AccountPlan and those of FRAMES.
        accounts: See ACCOUNTS_SCHEMA.
        account_plans: See ACCOUNT_PLANS_SCHEMA.
        hash: sha256 (hex) over the sorted (kind, id, version) of all of it.
        frames: Kind -> frame, see FRAMES.
    """

    organization_id: str
    as_of: datetime
    organization: OrganizationConfig
    custom_fields: CustomFields
    small: Mapping[str, Mapping[str, Entity]]
    accounts: pl.DataFrame
    account_plans: pl.DataFrame
    hash: str
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def frame(self, kind: str) -> pl.DataFrame:
        """The frame of a kind of FRAMES; it has no rows where the organization has none."""
        return self.frames[kind] if kind in self.frames else pl.DataFrame(schema=FRAMES[kind])

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
