"""Ingest on the real database and a real lake: what is accepted, what is rejected and why, and that it is once."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal

from pipelines.storage import config_store
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained, ingested, meter_usage
from pipelines.storage.ingest_tables import INGEST_BATCHES, INGEST_FAILURES, LANDING_POSITIONS, MEASUREMENT_COUNTS
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from pipelines.storage.organizations import Credentials
from pipelines.storage.snapshots import configuration
from transforms.aggregations.aggregate import WINDOW, quantities
from transforms.aggregations.states import daily_states, merged_states
from transforms.aggregations.usage import Grain, MeterUsage, StateKind, StateSpec
from transforms.datasets import MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX
from transforms.entities.organization import OrganizationConfig
from transforms.entities.usage import Aggregation, Category, Meter, Method
from transforms.money import Rounding

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Site:
    """One organization with its landing log and lake."""

    def __init__(self, database: Database, lake: Lake, organization: Credentials, root: Path) -> None:
        self.database, self.lake, self.org_id, self.root = database, lake, organization.org_id, root
        self.landing = Landing(root)

    def meter(self, code: str = "calls", derived: Iterable[tuple[str, str, str]] = ()) -> Meter:
        meter = Meter.model_validate(
            {
                "name": code,
                "code": code,
                "dataFields": [
                    {"category": "MEASURE", "code": "qty", "name": "qty", "unit": "1"},
                    {"category": "WHERE", "code": "region", "name": "region"},
                ],
                "derivedFields": [{"category": c, "code": n, "name": n, "unit": "1", "calculation": f} for c, n, f in derived],
            }
        )
        with self.database.transaction() as connection:
            return config_store.created(connection, self.org_id, meter, "test")

    def land(self, *items: dict[str, Any], at: datetime = NOW) -> None:
        self.landing.append_all(self.org_id, [json.dumps({"measurements": list(items)}).encode()], at)

    def drain(self) -> Any:
        return drained(self.database, self.lake, self.root)

    def accepted(self, meter: Meter) -> pl.DataFrame:
        with self.database.transaction() as connection:
            config = configuration(connection, self.org_id)
        return meter_usage(self.database, self.lake, config)[meter.id].measurements.sort("ts", "uid").collect()

    def usage(self, meter: Meter) -> MeterUsage:
        with self.database.transaction() as connection:
            config = configuration(connection, self.org_id)
        return meter_usage(self.database, self.lake, config)[meter.id]

    def complete_states(self) -> int:
        """How many states are complete, by day and by month; each must be what the measurements say."""
        with self.database.transaction() as connection:
            config = configuration(connection, self.org_id)
        count: Counter[Grain] = Counter()
        for usage in meter_usage(self.database, self.lake, config).values():
            for spec, states in usage.states.items():
                kept = merged_states(spec, usage.meter, states).collect()
                direct = merged_states(spec, usage.meter, daily_states(spec, usage.meter, usage.measurements)).collect()
                assert kept.height > 0
                assert_frame_equal(kept, direct, check_row_order=False)
                stored = states.filter(pl.col("month").is_in(list(usage.merged[spec]))).collect()
                assert stored.height == kept.filter(pl.col("month").is_in(list(usage.merged[spec]))).height
                count[spec.grain] += 1
        assert count[Grain.DAY] == count[Grain.MONTH]
        assert count[Grain.POOLED] > 0
        return count[Grain.DAY]

    def rejected(self) -> pl.DataFrame:
        return self.lake.scan(REJECTED_MEASUREMENTS, self.org_id).sort("received_at", "body").collect()

    def counts(self) -> dict[str, int]:
        table = MEASUREMENT_COUNTS
        names = ("landed", "accepted", "duplicates", "rejected", "dropped_fields", "calculation_errors")
        with self.database.transaction() as connection:
            row = connection.execute(sa.select(*(sa.func.sum(table.c[n]) for n in names)).where(table.c.org_id == self.org_id)).one()
        return {name: int(value or 0) for name, value in zip(names, row, strict=True)}


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Any:
    made = Site(database, lake, organization, tmp_path / "landing")
    yield made
    made.landing.close()


def item(uid: str | None = None, qty: Any = 1, *, account: str = "acme", day: int = 5, region: str = "eu", **more: Any) -> dict[str, Any]:
    made = {"account": account, "meter": "calls", "ts": f"2025-01-{day:02}T10:00:00Z", "measure": {"qty": qty}, "where": {"region": region}, **more}
    return made if uid is None else {**made, "uid": uid}


def test_landed_usage_becomes_measurements_and_states(site: Site) -> None:
    meter = site.meter(derived=[("MEASURE", "double", "qty * 2"), ("OTHER", "who_pays", "account")])
    site.land(item("a", 5), item("b", 7, day=6), item("c", 1, account="other"))
    results = site.drain()
    assert [(b.landed, b.accepted) for r in results for b in r.batches] == [(3, 3)]
    frame = site.accepted(meter)
    assert frame.select("uid", "qty", "double", "who_pays", "date").rows() == [
        ("a", Decimal(5), Decimal(10), "acme", date(2025, 1, 5)),
        ("c", Decimal(1), Decimal(2), "other", date(2025, 1, 5)),
        ("b", Decimal(7), Decimal(14), "acme", date(2025, 1, 6)),
    ]
    assert site.complete_states() == 1


def test_the_numbers_are_the_digits_sent(site: Site) -> None:
    meter = site.meter()
    texts = ["0.1", "12345678901234567890123456.123456789012", "1e-12", "-2.5E+3", "0.0000000000005", "0.0000000000015", "-0"]
    body = ",".join(
        f'{{"account":"a","meter":"calls","uid":"u{n}","ts":"2025-01-05T10:00:0{n}Z","where":{{"region":"x"}},"measure":{{"qty":{text}}}}}'
        for n, text in enumerate(texts)
    )
    site.landing.append_all(site.org_id, [f'{{"measurements":[{body}]}}'.encode()], NOW)
    site.drain()
    expected = ["0.1", "12345678901234567890123456.123456789012", "0.000000000001", "-2500", "0", "0.000000000002", "0"]
    assert site.accepted(meter)["qty"].to_list() == [Decimal(t) for t in expected]


def test_every_reason_of_rejection_is_kept_with_the_measurement(site: Site) -> None:
    site.meter()
    site.land(item("ok"))
    bad = {
        "UndefinedMeter": item("1", meter="nothing"),
        "MissingField": item("2", where={}),
        "DuplicateField": item("3", what={"region": "us"}),
        "InvalidAccountCode": item("4", account="ACME"),
        "OutOfRange": item("5", qty=10**26),
        "DuplicateUid": item("ok", 100, day=9),
    }
    wrong_map = item("6", where={}, what={"region": "eu"})
    site.land(*bad.values(), wrong_map, at=NOW + timedelta(seconds=1))
    site.drain()
    rejected = site.rejected()
    by_uid = {row["uid"]: row for row in rejected.to_dicts()}
    assert {by_uid[m["uid"]]["reason"]: json.loads(by_uid[m["uid"]]["body"]) for m in bad.values()} == bad
    assert by_uid["6"]["reason"] == "MissingField"
    assert "given in what, but the meter has it in where" in by_uid["6"]["message"]
    assert site.counts() == {"landed": 8, "accepted": 1, "duplicates": 1, "rejected": 6, "dropped_fields": 0, "calculation_errors": 0}
    with site.database.transaction() as connection:
        rows = connection.execute(
            sa.select(INGEST_FAILURES.c.reason, INGEST_FAILURES.c.measurements).where(INGEST_FAILURES.c.org_id == site.org_id)
        ).all()
    assert sorted(rows) == [
        ("DuplicateField", 1),
        ("DuplicateUid", 1),
        ("InvalidAccountCode", 1),
        ("MissingField", 2),
        ("OutOfRange", 1),
        ("UndefinedMeter", 1),
    ]


def test_fields_that_the_meter_does_not_define_are_dropped_and_counted(site: Site) -> None:
    meter = site.meter()
    site.land(item("a", who={"user": "u"}, cost={"x": 1, "y": 2}), item("b"))
    site.drain()
    assert site.counts()["dropped_fields"] == 3
    assert site.accepted(meter)["uid"].to_list() == ["a", "b"]
    assert "user" not in site.accepted(meter).columns


def test_the_first_uid_stands_for_35_days_in_the_whole_organization(site: Site) -> None:
    meter = site.meter()
    site.meter("other")
    site.land(item("a", 5), item("a", 9), item("b", 7))
    site.drain()
    site.land(item("a", 100, day=7), item("b", 50, account="someone"), {**item("a", 1), "meter": "other"}, at=NOW + timedelta(days=34))
    site.drain()
    assert site.accepted(meter)["qty"].to_list() == [5, 7]
    site.land(item("a", 3, day=8), at=NOW + timedelta(days=35))
    site.drain()
    assert site.accepted(meter)["qty"].to_list() == [5, 7, 3]
    assert site.counts()["duplicates"] == 4


def test_measurements_without_uid_are_all_kept(site: Site) -> None:
    meter = site.meter()
    site.land(item(), item(), item(""))
    site.land(item())
    site.drain()
    frame = site.accepted(meter)
    assert frame.height == 4
    assert frame["uid"].n_unique() == 4
    assert site.lake.scan(UID_INDEX, site.org_id).collect().is_empty()


def test_unknown_accounts_are_made_once_by_accepted_usage_only(site: Site) -> None:
    meter = site.meter()
    site.land(item("a", account="newco"), item("b", account="NewCo"), item("c", account="newco"), item("d", account="bad", where={}))
    site.drain()
    assert [r["account_code"] for r in site.rejected().to_dicts()] == ["NewCo", "bad"]
    assert site.accepted(meter)["uid"].to_list() == ["a", "c"]
    with site.database.transaction() as connection:
        frame = configuration(connection, site.org_id).accounts
    assert frame["account_code"].to_list() == ["newco"]


def test_a_formula_that_fails_keeps_the_measurement(site: Site) -> None:
    meter = site.meter(derived=[("MEASURE", "per", "10 / qty"), ("MEASURE", "twice", "per * 2"), ("MEASURE", "none", "qty > 0 ? qty : null")])
    site.land(item("a", 0), item("b", 5), item("c", 0, day=6))
    site.drain()
    assert site.accepted(meter).select("uid", "per", "twice").rows() == [("a", None, None), ("b", Decimal(2), Decimal(4)), ("c", None, None)]
    assert site.counts()["calculation_errors"] == 4
    with site.database.transaction() as connection:
        rows = (
            connection.execute(sa.select(INGEST_FAILURES).where(INGEST_FAILURES.c.org_id == site.org_id).order_by(INGEST_FAILURES.c.id))
            .mappings()
            .all()
        )
    assert [(r["reason"], r["field_code"], r["measurements"], [s["uid"] for s in r["sample"]]) for r in rows] == [
        ("CalculationError", "per", 2, ["a", "c"]),
        ("CalculationError", "twice", 2, ["a", "c"]),
    ]


def test_a_planned_batch_that_was_not_applied_is_applied_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = site.meter()
    site.land(item("a", 5))
    site.drain()
    site.land(item("b", 7))
    with site.database.transaction() as connection:
        before = connection.execute(sa.select(LANDING_POSITIONS.c.position).where(LANDING_POSITIONS.c.writer == site.landing.writer)).scalar_one()
    site.drain()
    # As after a kill between planning and applying, with the lake already written: the manifest is committed again.
    with site.database.transaction() as connection:
        batch = connection.execute(sa.select(sa.func.max(INGEST_BATCHES.c.batch_id)).where(INGEST_BATCHES.c.org_id == site.org_id)).scalar_one()
        files = [f.path for f in site.lake.files(MEASUREMENTS, site.org_id, meter.id)]
        manifest = {"tables": [{"dataset": "measurements", "parts": [meter.id], "files": []}]}
        connection.execute(sa.update(INGEST_BATCHES).where(INGEST_BATCHES.c.batch_id == batch).values(status="PLANNED", manifest=manifest))
    site.drain()
    assert [f.path for f in site.lake.files(MEASUREMENTS, site.org_id, meter.id)] == files
    assert site.accepted(meter)["qty"].to_list() == [5, 7]
    with site.database.transaction() as connection:
        after = connection.execute(sa.select(LANDING_POSITIONS.c.position).where(LANDING_POSITIONS.c.writer == site.landing.writer)).scalar_one()
    assert after > before


def test_nothing_landed_is_no_batch(site: Site) -> None:
    assert ingested(site.database, site.lake, site.root) is None
    assert site.drain() == ()


def test_a_new_aggregation_gets_its_state_from_the_detail_and_then_from_batches(site: Site) -> None:
    meter = site.meter()
    site.land(item("a", 5), item("b", 7, region="us"))
    site.drain()
    by_region = Aggregation(
        name="r", code="r", meter_id=meter.id, target_field="qty", aggregation=Method.SUM, quantity_per_unit=Decimal(1), rounding=Rounding.NONE,
        segmented_fields=["region"], unit="1", segments=[{"region": "eu"}],
    )  # fmt: skip
    with site.database.transaction() as connection:
        config_store.created(connection, site.org_id, by_region, "test")
    # Until ingest has seen it, the new state is not there, and the others still are.
    assert site.complete_states() == 1
    site.drain()
    assert site.complete_states() == 2
    site.land(item("c", 1), item("d", 2, day=7, region="us"))
    site.drain()
    assert site.complete_states() == 2
    assert site.accepted(meter).height == 4


def test_another_time_zone_moves_the_event_days(site: Site) -> None:
    meter = site.meter()
    site.land({**item("a", 5), "ts": "2025-01-05T02:00:00Z"}, {**item("b", 1, where={}), "ts": "2025-01-05T03:00:00Z"})
    site.drain()
    assert site.accepted(meter)["date"].to_list() == [date(2025, 1, 5)]
    with site.database.transaction() as connection:
        config = config_store.singleton(connection, site.org_id, OrganizationConfig)
        moved = config.model_copy(update={"timezone": "America/New_York"})
        config_store.updated(connection, site.org_id, config.id, moved, "test")
    # Also before ingest has moved them, nobody sees the old days.
    assert site.accepted(meter)["date"].to_list() == [date(2025, 1, 4)]
    site.drain()
    assert site.lake.scan(MEASUREMENTS, site.org_id, meter.id).collect()["date"].to_list() == [date(2025, 1, 4)]
    assert site.rejected()["date"].to_list() == [date(2025, 1, 4)]
    with site.database.transaction() as connection:
        rows = connection.execute(
            sa.select(MEASUREMENT_COUNTS.c.date, MEASUREMENT_COUNTS.c.landed).where(MEASUREMENT_COUNTS.c.org_id == site.org_id)
        ).all()
    assert [tuple(r) for r in rows] == [(date(2025, 1, 4), 2)]
    assert site.complete_states() == 1


def test_a_month_moves_with_the_time_zone(site: Site) -> None:
    meter = site.meter()
    site.land({**item("a", 5), "ts": "2025-02-01T02:00:00Z"}, {**item("b", 1), "ts": "2025-02-01T08:00:00Z"})
    site.drain()
    by_month = StateSpec(meter.id).by_month
    assert site.usage(meter).merged[by_month] == {date(2025, 2, 1)}
    with site.database.transaction() as connection:
        config = config_store.singleton(connection, site.org_id, OrganizationConfig)
        config_store.updated(connection, site.org_id, config.id, config.model_copy(update={"timezone": "America/New_York"}), "test")
    assert site.usage(meter).states == {}
    site.drain()
    assert site.complete_states() == 1
    rows = site.usage(meter).states[by_month].sort("month").select("month", "date", "qty.sum").collect().rows()
    assert rows == [(date(2025, 1, 1), date(2025, 1, 31), 5), (date(2025, 2, 1), date(2025, 2, 1), 1)]


def test_a_month_is_merged_while_one_file_has_it(site: Site) -> None:
    meter = site.meter()
    regions = Aggregation(
        name="u", code="u", meter_id=meter.id, target_field="region", aggregation=Method.UNIQUE, quantity_per_unit=Decimal(1), rounding=Rounding.NONE,
        unit="1",
    )  # fmt: skip
    with site.database.transaction() as connection:
        unique = StateSpec(meter.id, StateKind.UNIQUE, "region").by_month
        aggregation = config_store.created(connection, site.org_id, regions, "test")
    january, february = date(2025, 1, 1), date(2025, 2, 1)

    def landed(*items: dict[str, Any], merged: set[date], count: int) -> None:
        site.land(*items)
        site.drain()
        usage = site.usage(meter)
        assert usage.merged[unique] == merged
        with site.database.transaction() as connection:
            config = configuration(connection, site.org_id)
        account = config.accounts["account_number"][0]
        bounds = {"window_start": datetime(2025, 1, 1, tzinfo=UTC), "window_end": datetime(2025, 2, 1, tzinfo=UTC)}
        windows = pl.DataFrame([{"aggregation_id": aggregation.id, "account_number": account, **bounds}], schema=WINDOW)
        assert quantities(windows, configuration=config, usage={meter.id: usage}).collect()["quantity"].to_list() == [count]
        assert site.complete_states() == 2

    landed(item("a"), item("b", region="us"), item("c", where={}), merged={january}, count=2)
    landed(item("d", day=7), {**item("e"), "ts": "2025-02-03T10:00:00Z"}, merged={february}, count=2)
    landed(item("f", day=8, region="ap"), merged={february}, count=3)
    # Until so many small files have come together that they are made one.
    for n in range(12):
        landed(item(f"more {n}", day=9 + n), merged={february}, count=3)
    landed(item("last", region="us"), merged={january, february}, count=3)
    landed(item("after", region="eu"), merged={february}, count=3)
    # A month that is over becomes one file even of a few.
    for n in range(14):
        landed(item(f"february {n}") | {"ts": f"2025-02-{5 + n:02}T10:00:00Z"}, merged=set(), count=3)
    landed(item("late", region="us"), merged={january, february}, count=3)


def test_many_small_batches_are_compacted_without_changing_what_is_read(site: Site) -> None:
    meter = site.meter()
    for n in range(17):
        site.land(item(f"u{n}", n))
        site.drain()
    assert len(site.lake.files(MEASUREMENTS, site.org_id, meter.id)) < 4
    assert sorted(site.accepted(meter)["qty"].to_list()) == list(range(17))
    site.land(item("u3", 100))
    site.drain()
    assert site.counts()["duplicates"] == 1
    assert site.complete_states() == 1


def test_a_field_that_becomes_another_type_keeps_the_values_that_fit(site: Site) -> None:
    meter = site.meter()
    site.land(item("a", 5, region="7"), item("b", 6, region="eu"))
    site.drain()
    fields = [
        meter.data_fields[0].model_copy(update={"category": Category.OTHER}),
        meter.data_fields[1].model_copy(update={"category": Category.COST, "unit": "1"}),
    ]
    changed = Meter.model_validate(meter.model_copy(update={"data_fields": fields}).model_dump())
    with site.database.transaction() as connection:
        meter = config_store.updated(connection, site.org_id, meter.id, changed, "test")
    expected = [("a", "5.000000000000", Decimal(7)), ("b", "6.000000000000", None)]
    assert site.accepted(meter).select("uid", "qty", "region").rows() == expected
    site.land({"account": "acme", "meter": "calls", "ts": "2025-01-09T10:00:00Z", "uid": "c", "other": {"qty": "many"}, "cost": {"region": 0.5}})
    site.drain()
    assert site.accepted(meter).select("uid", "qty", "region").rows() == [*expected, ("c", "many", Decimal("0.5"))]


def test_a_field_named_like_a_column_of_ours_is_kept_apart(site: Site) -> None:
    fields = [{"category": "MEASURE", "code": "ts", "name": "ts", "unit": "1"}, {"category": "WHAT", "code": "account_code", "name": "x"}]
    made = Meter.model_validate(
        {
            "name": "m",
            "code": "calls",
            "dataFields": fields,
            "derivedFields": [{"category": "MEASURE", "code": "uid", "name": "d", "unit": "1", "calculation": "ts + 1"}],
        }
    )
    with site.database.transaction() as connection:
        meter = config_store.created(connection, site.org_id, made, "test")
    site.land({"account": "acme", "meter": "calls", "ts": "2025-01-05T10:00:00Z", "uid": "a", "measure": {"ts": 4}, "what": {"account_code": "z"}})
    site.drain()
    assert site.accepted(meter).select("ts.value", "uid.value", "account_code.value", "uid").rows() == [(Decimal(4), Decimal(5), "z", "a")]
