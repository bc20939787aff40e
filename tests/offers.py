"""A small offer to bill: one product, one meter, one SUM priced per unit, a MONTHLY plan on some accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from pipelines.storage import config_store
from pipelines.storage.database import Database
from pipelines.storage.landing import Landing
from transforms.entities.accounts import Account, AccountPlan
from transforms.entities.organization import Currency
from transforms.entities.plans import Plan, PlanTemplate, Pricing, PricingBand
from transforms.entities.resource import BillingFrequency
from transforms.entities.usage import Aggregation, DataField, Meter, Method, Product
from transforms.money import Rounding

START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Offer:
    """Ids of what was created."""

    template_id: str
    plan_id: str
    pricing_id: str
    account_ids: dict[str, str]
    account_plan_ids: dict[str, str]


def offer(
    database: Database, org_id: str, accounts: Sequence[str], *, unit_price: str = "0.25", standing_charge: str = "0", currency: str = "USD"
) -> Offer:
    """Accounts on a plan that charges the sum of ``qty`` of the meter ``calls`` from 2025 on."""
    with database.transaction() as connection:

        def new(entity):  # type: ignore[no-untyped-def]
            return config_store.created(connection, org_id, entity, "tester")

        if currency != "USD":
            new(Currency(name=currency, code=currency))
        product = new(Product(name="Product", code=f"product-{currency}"))
        fields = [DataField(category="MEASURE", code="qty", name="qty", unit="1")]
        meters = config_store.entities(connection, org_id, Meter, code="calls")
        meter = meters[0] if meters else new(Meter(name="calls", code="calls", data_fields=fields, derived_fields=[]))
        aggregation = new(
            Aggregation(
                name="calls",
                code=f"calls_{currency}",
                meter_id=meter.id,
                target_field="qty",
                aggregation=Method.SUM,
                quantity_per_unit=Decimal(1),
                rounding=Rounding.NONE,
                unit="call",
            )
        )
        template = new(
            PlanTemplate(
                product_id=product.id,
                name="template",
                code=f"template-{currency}",
                currency=currency,
                standing_charge=Decimal(standing_charge),
                bill_frequency=BillingFrequency.MONTHLY,
            )
        )
        plan = new(Plan(plan_template_id=template.id, name="plan", code=f"plan-{currency}"))
        bands = [PricingBand(lower_limit=Decimal(0), fixed_price=Decimal(0), unit_price=Decimal(unit_price))]
        pricing = new(Pricing(plan_id=plan.id, aggregation_id=aggregation.id, start_date=START, cumulative=True, pricing_bands=bands))
        account_ids, account_plan_ids = {}, {}
        for code in accounts:
            account_ids[code] = new(Account(name=code, code=code, email_address="billing@example.com")).id
            account_plan_ids[code] = new(AccountPlan(account_id=account_ids[code], plan_id=plan.id, start_date=START)).id
    return Offer(template.id, plan.id, pricing.id, account_ids, account_plan_ids)


def usage_body(quantities: dict[str, str], *, day: int = 10, uid: str = "", region: str | None = None) -> bytes:
    """A request body with one measurement per account (code -> qty) in January 2025."""
    where = {} if region is None else {"where": {"region": region}}
    measurements = [
        {"uid": f"{uid}{code}-{day}", "meter": "calls", "account": code, "ts": f"2025-01-{day:02}T12:00:00Z", "measure": {"qty": Decimal(quantity)}}
        | where
        for code, quantity in quantities.items()
    ]
    return msgspec.json.Encoder(decimal_format="number").encode({"measurements": measurements})


def landed(root: Path, org_id: str, *bodies: bytes) -> None:
    """Put the bodies into the landing, durable, as the API does before it answers."""
    landing = Landing(root)
    landing.append_all(org_id, bodies, datetime.now(UTC))
    landing.close()
