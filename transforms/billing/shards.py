"""An organization's accounts in shards, so that a bill run of any size fits in memory.

A shard is a configuration with fewer accounts: whole families (a top-level account and its children), in the order of the
top-level account's number, so that a shard of an organization without hierarchies is a range of account numbers and reads
only its range of the usage files. What a shard yields depends on its accounts alone, so the cut changes no bill.

Put here how accounts are cut. Keep out what is computed of a shard. Source: ARCHITECTURE, Scale.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from transforms.aggregations.usage import MeterUsage
from transforms.configuration import Configuration

#: Accounts of a shard (a family is never cut, so a shard may have a family more). One shard of this size with 20 line items
#: an account holds about 1 million lines, some 0.5 GB while they are computed.
SHARD_ACCOUNTS = 50_000


def shards(configuration: Configuration, *, account_ids: Sequence[str] | None = None, size: int = SHARD_ACCOUNTS) -> Iterator[Configuration]:
    """The configuration cut by families; its hash stays that of the whole.

    Args:
        configuration: The whole.
        account_ids: Only the families of these accounts; None is everybody.
        size: Number of accounts from which a shard is full.
    """
    accounts = configuration.accounts
    parents = accounts.select(parent_account_id="account_id", parent_number="account_number")
    families = accounts.join(parents, on="parent_account_id", how="left").with_columns(
        top_number=pl.coalesce("parent_number", "account_number"),
    )
    if account_ids is not None:
        wanted = families.filter(pl.col("account_id").is_in(list(account_ids)))["top_number"].unique()
        families = families.filter(pl.col("top_number").is_in(wanted.implode()))
    positions = families.sort("top_number", "account_number").with_row_index("position")
    numbered = positions.with_columns(shard=pl.col("position").min().over("top_number") // size)
    for part in numbered.partition_by("shard", maintain_order=True):
        own = part.sort("account_number").select(accounts.columns)
        ids = own.select("account_id")
        plans = configuration.account_plans.join(ids, on="account_id", how="semi", maintain_order="left")
        frames = {kind: frame.join(ids, on="account_id", how="semi", maintain_order="left") for kind, frame in configuration.frames.items()}
        yield replace(configuration, accounts=own, account_plans=plans, frames=frames)


def usage_of(shard: Configuration, whole: Configuration, usage: Mapping[str, MeterUsage]) -> dict[str, MeterUsage]:
    """The usage of the shard's accounts alone.

    Args:
        shard: One of :func:`shards`.
        whole: The configuration that was cut.
        usage: Usage by meter id.
    """
    if shard.accounts.height == whole.accounts.height:
        return dict(usage)
    numbers = shard.accounts["account_number"]
    column = pl.col("account_number")
    first, last = numbers.min(), numbers.max()
    belongs = column.is_between(pl.lit(first, pl.Int32), pl.lit(last, pl.Int32))
    if whole.accounts.filter(belongs).height != numbers.len():
        belongs = belongs & column.is_in(numbers.implode())
    return {
        meter_id: replace(one, measurements=one.measurements.filter(belongs), states={s: frame.filter(belongs) for s, frame in one.states.items()})
        for meter_id, one in usage.items()
    }
