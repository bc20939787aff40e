"""Usage filters of contracts: what of an account's usage a contract's plans charge for (billing.md 6.2).

Several INCLUDE of one dimension are alternatives, different dimensions must all hold, EXCLUDE always removes. Filters read
measurements, as states do not know the dimension. Put here which usage counts; keep out quantities.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl

from transforms.aggregations.usage import MeterUsage, field_column
from transforms.configuration import Configuration
from transforms.entities.contracts import UsageFilterMode


def filtered_usage(
    windows: pl.DataFrame, *, configuration: Configuration, usage: Mapping[str, MeterUsage]
) -> Iterator[tuple[pl.DataFrame, Mapping[str, MeterUsage]]]:
    """The windows (``contract_id``) by the usage that they are measured from: all of it, or what the filters of their contract leave."""
    contracts = configuration.frame("Contract").filter(pl.col("usage_filters").fill_null("[]") != "[]")
    if contracts.is_empty() or windows["contract_id"].null_count() == windows.height:
        yield windows, usage
        return
    filters = contracts.select("contract_id", "usage_filters")
    marked = windows.join(filters, on="contract_id", how="left", maintain_order="left")
    for text in marked["usage_filters"].unique().sort().to_list():
        mine = marked.filter(pl.col("usage_filters").eq_missing(pl.lit(text, dtype=pl.String))).drop("usage_filters")
        yield mine, usage if text is None else {key: _filtered(one, text) for key, one in usage.items()}


def _filtered(usage: MeterUsage, text: str) -> MeterUsage:
    """The usage of a meter that the filters leave; dimensions that the meter does not have filter nothing."""
    codes = {field.code for field in usage.meter.fields}
    kept: list[pl.Expr] = []
    included: dict[str, list[str]] = {}
    for one in json.loads(text):
        code, value = one["dimensionCode"], one["value"]
        if code not in codes:
            continue
        if one["mode"] == UsageFilterMode.EXCLUDE.value:
            kept.append(pl.col(field_column(code)).ne_missing(pl.lit(value)))
        else:
            included.setdefault(code, []).append(value)
    kept += [pl.col(field_column(code)).is_in(values) for code, values in included.items()]
    if not kept:
        return usage
    return replace(usage, measurements=usage.measurements.filter(pl.all_horizontal(kept)), states={}, merged={})
