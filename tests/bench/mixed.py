"""The same accounts with the same measurements, on every kind of term at once: a second organization of the bench's home.

Prices are those of the plain organization, so that what the mixed run costs more is what commitments, balances, counters,
families, plan groups, charges and contracts cost. Put here small entities and the copy; who has what is in ``mixed.sql``.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipelines.storage import apply, organizations
from pipelines.storage.accounts_bulk import accounts_created
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.ingest_tables import AGGREGATE_STATES
from pipelines.storage.lake import Lake
from pipelines.storage.snapshots import configuration
from tests.bench import workload
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS
from transforms.entities.usage import Meter

ACTOR = "bench"


def document() -> dict[str, Any]:
    """The plain organization's configuration with what the other terms need beside it."""
    plain = workload.document()
    bands = [{"lowerLimit": 0, "fixedPrice": 0, "unitPrice": "0.0003"}]
    added: dict[str, list[dict[str, Any]]] = {
        "products": [{"name": "Support", "code": "support"}],
        "picklists/billgroupingkeys": [{"name": code, "code": code, "exclusive": code == "exclusive"} for code in ("exclusive", "shared")],
        "counters": [{"name": "Seats", "code": "seats", "unit": "seat"}],
        "plantemplates": [
            {"product": "support", "name": "Support", "code": "support", "currency": "USD", "billFrequency": "MONTHLY", "standingCharge": 10}
        ],
        "plans": [{"name": "Support", "code": "support", "planTemplate": "support"}],
        "plangroups": [{"name": "Together", "code": "together", "currency": "USD", "minimumSpend": 40, "standingCharge": 3}],
        "plangrouplinks": [{"planGroup": "together", "plan": plan} for plan in ("plan", "support")],
        "counterpricings": [
            {"plan": "plan", "counter": "seats", "startDate": "2025-01-01", "pricingBands": [{"lowerLimit": 0, "fixedPrice": 1, "unitPrice": 2}]}
        ],
    }
    for one in plain["pricings"]:
        if one.get("aggregation") == "tokens_sum":
            one["overagePricingBands"] = bands
    for one in plain["aggregations"]:
        if one["code"] == "requests_count":
            one["unit"] = "calls"
    back = {"from": "EUR", "to": "USD", "multiplier": "1.0945"}
    conversions = [*plain["organizationconfig"]["currencyConversions"], back]
    plain["organizationconfig"] = {"consolidateBills": True, "currencyConversions": conversions}
    return plain | {path: [*plain.get(path, []), *entities] for path, entities in added.items()}


def installed(database: Database, lake: Lake, *, plain_org_id: str, plain_meter_id: str, accounts: int) -> str:
    """A new organization with the plain one's accounts and measurements (the very same files, by hard links), on mixed terms; its id."""
    with database.transaction() as connection:
        org_id = organizations.created(connection, "bench, mixed").org_id
        apply.applied(document(), connection, org_id, actor=ACTOR)
    with database.transaction() as connection:
        accounts_created(connection, org_id, [f"account-{n}" for n in range(1, accounts + 1)], ACTOR)
        columns = TABLES["Account"].c
        in_euros = (columns.org_id == org_id, columns.account_number % workload.EURO_SHARE == 0)
        connection.execute(TABLES["Account"].update().where(*in_euros).values(currency="EUR"))
        for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
            if statement.strip():
                connection.execute(sa.text(statement), {"org_id": org_id, "actor": ACTOR})
    with database.transaction() as connection:
        (meter,) = configuration(connection, org_id).entities(Meter).values()
        for dataset in (MEASUREMENTS, DAILY_AGGREGATES):
            source, target = lake.table(dataset, plain_org_id, plain_meter_id), lake.table(dataset, org_id, meter.id)
            shutil.copytree(source, target, copy_function=os.link)
        states = AGGREGATE_STATES.c
        plain_states = sa.select(sa.literal(org_id), sa.literal(meter.id), states.spec_key, states.fields, states.is_complete)
        connection.execute(
            AGGREGATE_STATES.insert().from_select(
                ["org_id", "meter_id", "spec_key", "fields", "is_complete"], plain_states.where(states.org_id == plain_org_id)
            )
        )
    return org_id
