"""Runs of the assets on real storage: what they do, what they show, what their checks refuse."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from pipelines.definitions import defs
from pipelines.defs.warehouse import ACCOUNTS_TAG, ORGANIZATION_TAG
from pipelines.storage.bill_tables import BILL_JOBS, BILLS
from pipelines.storage.database import Database
from pipelines.storage.ingest_tables import MEASUREMENT_COUNTS
from pipelines.storage.lake import Lake
from pipelines.storage.ledger_tables import LEDGER_TOTALS
from transforms.datasets import PUBLISHED_LINE_ITEMS

USAGE = ("landed_batches", "measurements", "rejected_measurements", "daily_aggregates")
BILLING = ("bill_calculations", "bill_line_items", "bills", "published_line_items")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def small(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_organization_of: Any) -> str:
    """A small organization whose home is ``tmp_path``, with its usage landed."""
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("METERHOUSE_DATABASE_URL", database.url)
    return str(small_organization_of(database, tmp_path / "landing"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def executed(instance: dg.DagsterInstance, assets: tuple[str, ...], first: str, last: str, org_id: str, **tags: str) -> dg.ExecuteInProcessResult:
    """One run over a range of partitions, as a single-run backfill launches it."""
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(name) for name in assets})
    span = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last, ORGANIZATION_TAG: org_id}
    return job.execute_in_process(instance=instance, run_config=QUIET, tags={**span, **tags}, raise_on_error=False)


def why(result: dg.ExecuteInProcessResult) -> str:
    """What failed, for the message of an assertion."""
    failures = [e.message or "" for e in result.all_events if e.is_failure]
    return "\n".join([*failures, *(str(e) for e in result.get_asset_check_evaluations() if not e.passed)])


def metadata(result: dg.ExecuteInProcessResult, asset: str, partition: str) -> dict[str, Any]:
    (found,) = [m for m in result.asset_materializations_for_node(asset) if m.partition == partition]
    return {name: value.value for name, value in found.metadata.items()}


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {f"{e.asset_key.to_user_string()}.{e.check_name}": e.passed for e in result.get_asset_check_evaluations()}


def test_three_months_from_the_landing_to_what_is_published(small: str, instance: dg.DagsterInstance, database: Database, tmp_path: Path) -> None:
    usage = executed(instance, USAGE, "2013-01-01", "2013-01-31", small)
    assert usage.success, why(usage)
    assert set(verdicts(usage).values()) == {True}
    assert metadata(usage, "landed_batches", "2013-01-01") | {"seconds": 0} == {
        "landed": 4,
        "accepted": 2,
        "duplicates": 1,
        "rejected": 1,
        "landed in run": 64,
        "accepted in run": 62,
        "duplicates in run": 1,
        "rejected in run": 1,
        "seconds": 0,
    }
    assert metadata(usage, "measurements", "2013-01-02")["dagster/partition_row_count"] == 2
    assert metadata(usage, "rejected_measurements", "2013-01-01")["dagster/partition_row_count"] == 2
    assert metadata(usage, "daily_aggregates", "2013-01-02")["dagster/partition_row_count"] == 2

    billing = executed(instance, BILLING, "2013-01", "2013-03", small)
    assert billing.success, why(billing)
    assert set(verdicts(billing).values()) == {True}
    assert {m.partition for m in billing.asset_materializations_for_node("bills")} == {"2013-01", "2013-02", "2013-03"}
    assert metadata(billing, "bill_calculations", "2013-02") | {"seconds": 0, "seconds of run": 0} == {
        "jobs": 1,
        "bills": 2,
        "line_items": 2,
        "failures": 0,
        "seconds": 0,
        "seconds of run": 0,
    }
    assert metadata(billing, "bills", "2013-02") == {"dagster/partition_row_count": 2, "total USD": "280"}
    with database.transaction() as connection:
        found = connection.execute(
            sa.select(BILLS.c.end_date, sa.func.sum(BILLS.c.bill_total)).where(BILLS.c.org_id == small).group_by(BILLS.c.end_date)
        )
        assert dict(found.all()) == {date(2013, 1, 31): Decimal(310), date(2013, 2, 28): Decimal(280), date(2013, 3, 31): Decimal(310)}
        jobs = connection.execute(sa.select(BILL_JOBS.c.status, BILL_JOBS.c.created_by).where(BILL_JOBS.c.org_id == small))
        assert set(jobs.all()) == {("COMPLETE", "DAGSTER")}

    lines = Lake(str(tmp_path / "lake")).scan(PUBLISHED_LINE_ITEMS, small).sort("month", "account_code").collect()
    assert lines.select("month", "account_code", "converted_subtotal").rows()[:2] == [
        ("2013-01", "alpha", Decimal(155)),
        ("2013-01", "beta", Decimal(155)),
    ]
    again = executed(instance, BILLING, "2013-01", "2013-03", small)
    assert again.success, why(again)
    repeated = Lake(str(tmp_path / "lake")).scan(PUBLISHED_LINE_ITEMS, small).sort("month", "account_code").collect()
    assert repeated.drop("calculation_id").equals(lines.drop("calculation_id"))


def test_a_run_can_be_restricted_to_accounts(small: str, instance: dg.DagsterInstance, database: Database) -> None:
    assert executed(instance, ("bill_calculations",), "2013-01", "2013-01", small, **{ACCOUNTS_TAG: "beta"}).success
    with database.transaction() as connection:
        assert connection.scalars(sa.select(BILLS.c.account_code).where(BILLS.c.org_id == small)).all() == ["beta"]
    unknown = executed(instance, ("bill_calculations",), "2013-01", "2013-01", small, **{ACCOUNTS_TAG: "beta, nobody"})
    assert not unknown.success


def test_a_lost_measurement_stops_the_aggregates(small: str, instance: dg.DagsterInstance, database: Database) -> None:
    before = executed(instance, USAGE, "2013-01-01", "2013-01-03", small)
    assert before.success, why(before)
    with database.transaction() as connection:
        counts = MEASUREMENT_COUNTS.c
        more = {"landed": counts.landed + 1, "accepted": counts.accepted + 1}
        connection.execute(sa.update(MEASUREMENT_COUNTS).where(counts.org_id == small, counts.date == date(2013, 1, 2)).values(more))
    result = executed(instance, USAGE, "2013-01-01", "2013-01-03", small)
    assert not result.success
    assert verdicts(result)["measurements.landed_is_accepted_duplicates_and_rejected"] is False
    (refused,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert "2013-01-02" in (refused.description or "")
    assert not result.asset_materializations_for_node("daily_aggregates")


def test_a_bill_that_is_not_the_sum_of_its_lines_is_not_published(small: str, instance: dg.DagsterInstance, database: Database) -> None:
    assert executed(instance, BILLING, "2013-01", "2013-01", small).success
    with database.transaction() as connection:
        connection.execute(sa.update(BILLS).where(BILLS.c.org_id == small, BILLS.c.account_code == "beta").values(bill_total=Decimal(154)))
    result = executed(instance, ("bills", "published_line_items"), "2013-01", "2013-01", small)
    assert verdicts(result)["bills.lines_sum_to_bills"] is False
    (refused,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert "1 lines sum to 155" in (refused.description or "")
    assert not result.asset_materializations_for_node("published_line_items")


def test_a_ledger_that_does_not_add_up_stops_the_publication(small: str, instance: dg.DagsterInstance, database: Database) -> None:
    assert executed(instance, BILLING, "2013-01", "2013-01", small).success
    with database.transaction() as connection:
        connection.execute(sa.insert(LEDGER_TOTALS).values(org_id=small, fund_id="a fund", amount=1, entries=1))
    result = executed(instance, ("bills", "published_line_items"), "2013-01", "2013-01", small)
    assert verdicts(result)["bills.ledger_adds_up"] is False
    (refused,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert "a fund" in (refused.description or "")
    assert not result.asset_materializations_for_node("published_line_items")


def test_a_table_with_a_column_of_another_type_is_named(small: str, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    uri = Lake(str(tmp_path / "lake")).table(PUBLISHED_LINE_ITEMS, small)
    pl.DataFrame({"month": ["2013-01"], "account_code": [1]}).write_delta(uri, delta_write_options={"partition_by": ["month"]})
    check = dg.AssetCheckKey(dg.AssetKey("published_line_items"), "schema")
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={check})
    result = job.execute_in_process(instance=instance, run_config=QUIET, tags={ORGANIZATION_TAG: small}, raise_on_error=False)
    (refused,) = result.get_asset_check_evaluations()
    assert not refused.passed
    assert "account_code is Int64, should be String" in (refused.description or "")
