"""Whole bills of a random organization, through ingest, lake and bill jobs: however usage came and whenever bills were made.

Configuration is copied to a second organization with its ids, so bills of both can be compared to the byte: only ids of bills
and lines, which are made of the organization's, have to be named.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from pipelines.storage import balance_transactions, bill_lines, bill_runs, bill_store, compaction, ledger, organizations
from pipelines.storage.bill_inputs import headers_of, inputs, with_ledger
from pipelines.storage.bill_scopes import created_scope
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import ENTITY_VERSIONS, TABLES
from pipelines.storage.ingest import drained
from pipelines.storage.lake import Lake
from pipelines.storage.metadata import METADATA
from tests.configured import Configured
from tests.offers import landed
from tests.pipelines.storage.test_bill_runs import Organization
from tests.transforms.rating.test_properties import band_lists, decimals
from transforms.aggregations.usage import MeterUsage
from transforms.billing.job_requests import BillJobRequest
from transforms.datasets import BILL_LINE_ITEMS
from transforms.entities.balances import BalanceTransaction
from transforms.entities.documents import validated

MONEY = decimals("0.01", "600", 2)
#: What bills draw from: less than one month costs, mostly, or enough for one and not for both, or for all.
FUNDS = decimals("0.01", "600", 2) | decimals("600", "20000", 2)
DAYS = st.dates(date(2025, 1, 1), date(2025, 2, 28))
START = datetime(2025, 1, 1, tzinfo=UTC)
MONTHS = (date(2025, 1, 31), date(2025, 2, 28))
#: parent's usage and that of the child without a plan are one block; the other child has a plan of its own.
ACCOUNTS = ("parent", "child", "own", "single")
#: What a header says about its calculation and its life rather than about the bill.
_STATE = ("org_id", "sequence", "version", "calculation_id", "bill_job_id", "last_calculated_at", "dt_created", "dt_last_modified")
_PROVENANCE = ("configuration_as_of", "configuration_hash", "software_version", "dataset_versions", "certificates")


def bands(rows: list[list[str]]) -> list[dict[str, Decimal]]:
    return [{name: Decimal(text) for name, text in zip(("lowerLimit", "fixedPrice", "unitPrice"), row, strict=True)} for row in rows]


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Everything that an example decides: prices, funds, seats, and usage with times in January and February."""
    cumulative = st.booleans()
    measurements = st.fixed_dictionaries(
        {
            "account": st.sampled_from(ACCOUNTS),
            "ts": st.integers(0, 59 * 86_400_000 - 1).map(lambda ms: (START + timedelta(milliseconds=ms)).isoformat()),
            "qty": decimals("-20", "200", 6),
            "region": st.sampled_from(["eu", "us", "mars"]),
        }
    )
    return {
        "prices": [(draw(band_lists()), draw(cumulative)) for _ in range(4)],
        "overage": draw(st.none() | band_lists()),
        "standing": draw(MONEY),
        "minimum": draw(st.sampled_from([Decimal(0), Decimal("40.5"), Decimal(700)])),
        "in_advance": draw(st.booleans()),
        "mode": draw(st.sampled_from(["PARENT_SUMMARY", "PARENT_BREAKDOWN", "CHILD"])),
        "rounding": draw(st.sampled_from(["NONE", "UP", "NEAREST"])),
        "compound": draw(st.sampled_from(["aggregation.calls + aggregation.peak * 2", "aggregation.calls > 100 ? aggregation.calls / 3 : 1"])),
        "seats": draw(st.dictionaries(DAYS, st.integers(0, 50), min_size=1, max_size=3)),
        "commitment": (draw(FUNDS), draw(st.sampled_from(["surcharge", "separate", "nothing"]))),
        "credits": draw(st.lists(st.tuples(DAYS, FUNDS), min_size=1, max_size=3)),
        "usage": draw(st.lists(measurements, min_size=4, max_size=24)),
    }


class Whole(Organization):
    """An organization with its usage delivered in some way."""

    def __init__(self, database: Database, org_id: str, folder: Path) -> None:
        super().__init__(database, Lake(str(folder / "lake")), org_id, folder / "landing")
        self.on = Configured(database, org_id)

    def configure(self, world: dict[str, Any]) -> dict[str, Any]:
        """Make the world's configuration; what is needed of it later."""
        on = self.on
        meter = on.meter()
        body = {"rounding": world["rounding"], "quantityPerUnit": Decimal("2.5")}
        calls = on.aggregation(meter, **body)
        on.aggregation(meter, "peak", aggregation="MAX")
        regions = on.segmented(meter)
        compound = on.compound(world["compound"])
        template = on.template(
            on.product(),
            standingCharge=world["standing"],
            minimumSpend=world["minimum"],
            standingChargeBillInAdvance=world["in_advance"],
            minimumSpendBillInAdvance=not world["in_advance"],
        )
        plan = on.plan(template)
        priced = [(calls, {}), (regions, {"segment": {"region": "eu"}}), (regions, {"segment": {"region": "*"}})]
        for (aggregation, segment), (rows, cumulative) in zip(priced, world["prices"], strict=False):
            overage = {"overagePricingBands": bands(world["overage"])} if world["overage"] and cumulative else {}
            named = {"planId": plan["id"], "aggregationId": aggregation["id"], **segment}
            on.pricing(pricingBands=bands(rows), cumulative=cumulative, **named, **overage)
        on.pricing(planId=plan["id"], compoundAggregationId=compound["id"], cumulative=True, pricingBands=bands(world["prices"][3][0]))
        seats = on.post("counters", name="Seats", code="seats", unit="seat")
        free = [{"lowerLimit": 0, "fixedPrice": 0, "unitPrice": Decimal("1.37")}]
        on.post("counterpricings", planId=plan["id"], counterId=seats["id"], startDate="2025-01-01T00:00:00Z", cumulative=True, pricingBands=free)
        accounts = {"parent": on.account("parent")}
        accounts |= {code: on.account(code, parentAccountId=accounts["parent"]["id"]) for code in ("child", "own")}
        accounts["single"] = on.account("single")
        on.attached(accounts["parent"], plan, childBillingMode=world["mode"])
        on.attached(accounts["own"], plan, childBillingMode="CHILD")
        on.attached(accounts["single"], plan, startDate="2025-01-11T00:00:00Z")
        for day, value in world["seats"].items():
            on.post("counteradjustments", counterId=seats["id"], accountId=accounts["single"]["id"], date=day.isoformat(), value=value)
        amount, over = world["commitment"]
        life = {"startDate": "2025-01-01", "endDate": "2026-01-01", "currency": "USD"}
        surcharge = {"overageSurchargePercent": 12} if over == "surcharge" else {}
        promised = {"accountId": accounts["parent"]["id"], "amount": amount, "amountPrePaid": amount}
        commitment = on.post("commitments", **promised, **life, **surcharge, separateOverageUsage=over == "separate")
        balance = on.post("balances", accountId=accounts["single"]["id"], name="b", code="b", **life)
        return {"commitment": commitment["id"], "balance": balance["id"], "plan": plan}

    def pay(self, balance_id: str, credits_: Sequence[tuple[date, Decimal]]) -> None:
        with self.database.transaction() as connection:
            for day, amount in credits_:
                new = validated(BalanceTransaction, {"amount": amount, "appliedDate": day.isoformat()})
                balance_transactions.created(connection, self.org_id, balance_id, new, "tester")

    def deliver(self, measurements: Sequence[dict[str, Any]]) -> None:
        landed(self.landing, self.org_id, msgspec.json.Encoder(decimal_format="number").encode({"measurements": list(measurements)}))

    def month(self, last: date) -> None:
        summary = self.billed(BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=last))
        assert summary.failures == 0, self.job(summary.job_id).failures

    def headers(self) -> list[dict[str, Any]]:
        with self.database.transaction() as connection:
            found = bill_store.listed(connection, self.org_id, BillFilter(), before=None, limit=1000)
        return sorted(found, key=lambda header: (header["account_code"], header["bill_date"]))

    def printed(self, headers: Sequence[dict[str, Any]] | None = None) -> bytes:
        """Headers (by default all, without their state and provenance) and every line, as bytes."""
        shown = self.headers() if headers is None else headers
        assert len({(header["account_code"], header["bill_date"]) for header in shown}) == len(shown)
        lines = bill_lines.lines_by_bill(self.lake, self.org_id, self.headers())
        for header in self.headers():
            assert header["bill_total"] == sum((line["converted_subtotal"] for line in lines[header["id"]]), Decimal(0))
        left_out = {*_STATE, *_PROVENANCE} if headers is None else set[str]()
        parts = [
            (
                {name: value for name, value in header.items() if name not in left_out},
                [{name: value for name, value in line.items() if name != "calculation_id"} for line in lines[header["id"]]],
            )
            for header in shown
        ]
        return msgspec.json.encode(parts)

    def portable(self) -> bytes:
        """As ``printed``, with ids that do not depend on the organization: bills and lines are named by what they are of."""
        text = self.printed()
        lines = bill_lines.lines_by_bill(self.lake, self.org_id, self.headers())
        for header in self.headers():
            name = f"{header['account_code']} {header['bill_date']}"
            for own, named in ((header["id"], name), *((line["line_item_id"], f"{name} {line['sequence_number']}") for line in lines[header["id"]])):
                assert own.encode() in text, f"{named}: the id {own} is not unique"
                text = text.replace(own.encode(), named.encode())
        return text

    def drawn(self) -> tuple[int, list[tuple[str, Decimal]]]:
        """The ledger's last entry, and what bills draw of each fund in all; the books must add up."""
        with self.database.transaction() as connection:
            assert ledger.problems(connection, self.org_id) == []
            entries = ledger.standing(connection, self.org_id).filter(pl.col("bill_id").is_not_null())
            return ledger.last_sequence(connection, self.org_id), sorted(entries.group_by("fund_id").agg(-pl.col("amount").sum()).rows())


def copied(source: Whole, folder: Path) -> Whole:
    """A new organization with the configuration of another one, ids and history included, and nothing else."""
    with source.database.transaction() as connection:
        org_id = organizations.created(connection, "Copy").org_id
        tables = [table for table in METADATA.sorted_tables if table in {*TABLES.values(), ENTITY_VERSIONS}]
        for table in reversed(tables):
            connection.execute(sa.delete(table).where(table.c.org_id == org_id))
        for table in tables:
            columns = [column for column in table.c if column.identity is None and column.name != "org_id"]
            rows = sa.select(sa.literal(org_id), *columns).where(table.c.org_id == source.org_id).order_by(*table.primary_key)
            connection.execute(sa.insert(table).from_select(["org_id", *(column.name for column in columns)], rows))
    return Whole(source.database, org_id, folder)


def scanned_bills(org: Whole) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Headers and lines of both months as they come out without any state: everything is read from the measurements."""
    now = inputs(org.database, org.lake, org.landing, org.org_id)
    assert any(one.states for one in now.usage.values())
    bare = replace(now, usage={meter_id: MeterUsage(one.meter, one.measurements, {}, {}) for meter_id, one in now.usage.items()})
    found = []
    for last in MONTHS:
        scope = created_scope(BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=last), today=now.today)
        results = bill_runs.results(with_ledger(bare, org.database, [scope]), scope, shard_done=lambda _: None)
        found += [(headers_of(result, scope, now.configuration), result.line_items) for result in results]
    return found


def check_scanned(org: Whole) -> None:
    headers = {header["id"]: header for header in org.headers()}
    lines = bill_lines.lines_by_bill(org.lake, org.org_id, list(headers.values()))
    names = [name for name in BILL_LINE_ITEMS.schema if name != "calculation_id"]
    count = 0
    for computed, computed_lines in scanned_bills(org):
        for row in computed.iter_rows(named=True):
            count += 1
            assert (row["bill_total"], row["line_count"]) == (headers[row["id"]]["bill_total"], headers[row["id"]]["line_count"])
            again = computed_lines.filter(pl.col("bill_id") == row["id"]).sort("sequence_number").select(names).to_dicts()
            stored = [{name: line[name] for name in names} for line in lines[row["id"]]]
            assert msgspec.json.encode(again) == msgspec.json.encode(stored)
    assert count == len(headers)


@settings(max_examples=4, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(world=worlds(), shuffler=st.randoms(use_true_random=False))
def test_bills_do_not_depend_on_how_they_came_about(
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
    world: dict[str, Any],
    shuffler: random.Random,
) -> None:
    usage = [
        {"uid": f"u{n}", "meter": "meter", "account": one["account"], "ts": one["ts"]}
        | {"measure": {"qty": one["qty"]}, "where": {"region": one["region"]}}
        for n, one in enumerate(world["usage"])
    ]
    with database.transaction() as connection:
        org_id = organizations.created(connection, "Whole").org_id
    whole = Whole(database, org_id, tmp_path_factory.mktemp("whole"))
    ids = whole.configure(world)
    parts = copied(whole, tmp_path_factory.mktemp("parts"))
    for org in (whole, parts):
        org.pay(ids["balance"], world["credits"])

    # All at once, and each month once.
    whole.deliver(usage)
    for last in MONTHS:
        whole.month(last)
    bills = whole.portable()
    assert {header["account_code"] for header in whole.headers()} >= {"parent", "own", "single"}

    # In pieces, in another order, some twice, merged in between; bills in another order, and one before all was there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "BATCHES", 2)
        left = [*usage, *shuffler.choices(usage, k=len(usage) // 3)]
        shuffler.shuffle(left)
        early = shuffler.choice(MONTHS)
        cuts = sorted({0, len(left), *(shuffler.randrange(len(left)) for _ in range(4))})
        for number, (start, end) in enumerate(pairwise(cuts)):
            parts.deliver(left[start:end])
            if number == 1:
                parts.month(early)
            elif shuffler.random() < 0.7:
                drained(parts.database, parts.lake, parts.landing)
        for last in reversed(MONTHS):
            parts.month(last)
    assert parts.portable() == bills
    assert parts.drawn()[1] == whole.drawn()[1]

    # From the measurements alone.
    check_scanned(parts)

    # Again, without a change.
    printed, settled = parts.printed(), parts.drawn()
    for last in MONTHS:
        parts.month(last)
    parts.recalculated(*(header["id"] for header in parts.headers()))
    assert (parts.printed(), parts.drawn()) == (printed, settled)

    # Never more than there is.
    credit = {ids["commitment"]: world["commitment"][0], ids["balance"]: sum((amount for _, amount in world["credits"]), Decimal(0))}
    assert all(amount <= credit[fund_id] for fund_id, amount in settled[1])
    check_locked(parts, ids["plan"], shuffler)


def check_locked(org: Whole, plan: dict[str, Any], shuffler: random.Random) -> None:
    """January, once locked, stays as it is, whatever comes later; and what comes later is drawn from what is left."""
    with org.database.transaction() as connection:
        for header in org.headers():
            if header["end_date"] == MONTHS[0]:
                bill_store.with_status(connection, org.org_id, header["id"], "APPROVED", actor="me")
                bill_store.locked(connection, org.org_id, header["id"], actor="me")
    locked = [header for header in org.headers() if header["locked"]]
    assert locked
    before = org.printed(locked)
    at = (datetime(2025, 1, 12, tzinfo=UTC) + timedelta(hours=shuffler.randrange(400))).isoformat()
    late = {"meter": "meter", "ts": at, "measure": {"qty": Decimal("33.25")}, "where": {"region": "eu"}}
    org.deliver([{"uid": f"late-{code}", "account": code, **late} for code in ACCOUNTS])
    org.on.put("plans", plan, standingCharge=999)
    for last in shuffler.sample(MONTHS, 2):
        org.billed(BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=last))
    org.recalculated(*(header["id"] for header in org.headers()))
    ids = {header["id"] for header in locked}
    assert org.printed([header for header in org.headers() if header["id"] in ids]) == before
    org.printed()
    org.drawn()
