"""Shards: every account in one, families whole, usage cut to match."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, strategies as st

from transforms.aggregations.usage import MeterUsage, StateSpec
from transforms.billing.shards import shards, usage_of
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.datasets import MEASUREMENTS
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.usage import DataField, Meter

NOW = datetime(2025, 2, 1, tzinfo=UTC)


def organization(parents: list[int | None]) -> Configuration:
    """Account n has number n and the parent that the list names; each has one plan."""
    accounts = [
        dict.fromkeys(ACCOUNTS_SCHEMA)
        | {"account_id": f"a{n}", "account_number": n, "account_code": f"code {n}", "parent_account_id": None if parent is None else f"a{parent}"}
        for n, parent in enumerate(parents)
    ]
    nothing = dict.fromkeys(ACCOUNT_PLANS_SCHEMA)
    plans = [nothing | {"account_plan_id": f"p{n}", "account_id": f"a{n}", "start_date": NOW} for n in range(len(parents))]
    return Configuration(
        organization_id="o",
        as_of=NOW,
        organization=OrganizationConfig(),
        custom_fields=CustomFields(),
        small={},
        accounts=pl.DataFrame(accounts, schema=ACCOUNTS_SCHEMA),
        account_plans=pl.DataFrame(plans, schema=ACCOUNT_PLANS_SCHEMA),
        hash="whole",
    )


def usage(count: int) -> dict[str, MeterUsage]:
    """One measurement and one state row per account."""
    numbers = pl.DataFrame({"account_number": range(count)}, schema={"account_number": pl.Int32})
    measurements = numbers.select(*(pl.col(n) if n == "account_number" else pl.lit(None, d).alias(n) for n, d in MEASUREMENTS.schema.items()))
    meter = Meter(id="m", name="m", code="m", data_fields=[DataField(category="MEASURE", code="qty", name="qty")], derived_fields=[])
    return {"m": MeterUsage(meter, measurements.lazy(), {StateSpec("m"): numbers.lazy()})}


#: A forest one level deep: each account is its own parent or the child of an earlier top-level one.
forests = st.lists(st.integers(0, 5), min_size=1, max_size=30).map(lambda picks: [0 if p == 3 and n > 0 else None for n, p in enumerate(picks)])


@given(forests, st.integers(1, 8))
def test_every_account_is_in_one_shard_with_its_family_its_plans_and_its_usage(parents: list[int | None], size: int) -> None:
    whole = organization(parents)
    everything = usage(len(parents))
    seen: list[str] = []
    for shard in shards(whole, size=size):
        ids = shard.accounts["account_id"].to_list()
        seen += ids
        assert shard.hash == "whole"
        assert {f"p{i[1:]}" for i in ids} == set(shard.account_plans["account_plan_id"])
        assert all(parent in ids for parent in shard.accounts["parent_account_id"].drop_nulls())
        cut = usage_of(shard, whole, everything)["m"]
        assert cut.measurements.collect()["account_number"].to_list() == shard.accounts["account_number"].to_list()
        assert cut.states[StateSpec("m")].collect()["account_number"].to_list() == shard.accounts["account_number"].to_list()
    assert sorted(seen) == sorted(whole.accounts["account_id"])


def test_named_accounts_bring_their_families_only() -> None:
    whole = organization([None, 0, None, None, 2])
    [shard] = shards(whole, account_ids=["a4"])
    assert shard.accounts["account_id"].to_list() == ["a2", "a4"]
    assert usage_of(shard, whole, usage(5))["m"].measurements.collect()["account_number"].to_list() == [2, 4]
    assert list(shards(whole, account_ids=["unknown"])) == []


@pytest.mark.parametrize(("size", "count"), [(1, 5), (2, 3), (5, 1), (50, 1)])
def test_shards_are_as_many_as_needed(size: int, count: int) -> None:
    assert len(list(shards(organization([None] * 5), size=size))) == count
