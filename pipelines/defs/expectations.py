"""Great Expectations at the two published boundaries: accepted measurements and bill line items.

A suite is a table of rules: what a row must not be, as a Polars expression. Polars counts the rows that break each rule,
in one pass over any number of rows; Great Expectations validates the one-row summary and words the result. Put here the
rules; keep out when they are checked (checks.py). Great Expectations takes seconds to import, so it is imported when a
check runs.
"""

import os
import warnings
from collections.abc import Mapping

import dagster as dg
import polars as pl

#: Rule -> rows that break it. Source: usage.md 2, DECISIONS 12 and 18.
MEASUREMENT_RULES: Mapping[str, pl.Expr] = {
    "has no event day": pl.col("date").is_null(),
    "has no account": pl.col("account_number").is_null() | (pl.col("account_number") < 0),
    "has no event time": pl.col("ts").is_null(),
    "has no uid": pl.col("uid").is_null() | (pl.col("uid") == ""),
    "has no time of receipt": pl.col("received_at").is_null(),
    "ends before it starts": pl.col("ets") < pl.col("ts"),
    "lies more than 5 minutes ahead of its receipt": pl.col("ts") > pl.col("received_at") + pl.duration(minutes=5),
    "has an event day that is not that of its event time": (pl.col("date") - pl.col("ts").dt.date()).abs() > pl.duration(days=1),
}

#: Rule -> rows that break it. Source: billing.md 4.1-4.2, DECISIONS 23.
LINE_ITEM_RULES: Mapping[str, pl.Expr] = {
    "names no bill": pl.col("bill_id").is_null() | pl.col("calculation_id").is_null(),
    "has no position": pl.col("sequence_number").is_null() | (pl.col("sequence_number") < 1),
    "has no type": pl.col("line_item_type").is_null(),
    "has no description": pl.col("description").is_null(),
    "has no amount": pl.any_horizontal(pl.col("quantity", "units", "subtotal", "converted_subtotal").is_null()),
    "has no currency": pl.col("currency").is_null() | (pl.col("currency") == ""),
    "has no positive conversion rate": pl.col("conversion_rate").is_null() | (pl.col("conversion_rate") <= 0),
    "has bands that do not sum to its subtotal": (pl.col("line_item_type") == "USAGE")
    & (pl.col("bands").list.eval(pl.element().struct.field("band_subtotal")).list.sum() != pl.col("subtotal")),
    "ends its service period before it starts": pl.col("service_period_end") < pl.col("service_period_start"),
}


def violations(rows: pl.LazyFrame, rules: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """One row: ``rows`` and, per rule, how many rows break it.

    Args:
        rows: The rows to judge.
        rules: Rule -> rows that break it; an expression that is null for a row does not count it.
    """
    return rows.select(rows=pl.len(), **{rule: broken.fill_null(False).sum() for rule, broken in rules.items()}).collect(engine="streaming")


def validated(summary: pl.DataFrame, *, suite: str) -> dg.AssetCheckResult:
    """The verdict of Great Expectations on a summary of ``violations``: passed when no rule is broken.

    Args:
        summary: One row or several (several are judged together): ``rows`` and a count per rule.
        suite: The suite's name.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # It imports a module that Python deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx
        from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig
        from great_expectations.expectations.core.expect_column_max_to_be_between import ExpectColumnMaxToBeBetween

    rules = [name for name in summary.columns if name != "rows"]
    # Nothing on disk: by default each context leaves a folder for documentation behind.
    defaults = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    config = DataContextConfig(store_backend_defaults=defaults, progress_bars=ProgressBarsConfig(globally=False))
    context = gx.get_context(project_config=config, mode="ephemeral")
    batch = context.data_sources.add_pandas(suite).add_dataframe_asset(suite).add_batch_definition_whole_dataframe(suite)
    expected = [ExpectColumnMaxToBeBetween(column=rule, max_value=0) for rule in rules]
    suited = context.suites.add(gx.ExpectationSuite(name=suite, expectations=expected))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite, data=batch, suite=suited))
    verdict = definition.run(batch_parameters={"dataframe": summary.to_pandas()})
    failed = {rule: int(summary[rule].sum()) for rule, result in zip(rules, verdict.results, strict=True) if not result.success}
    total = int(summary["rows"].sum())
    return dg.AssetCheckResult(
        passed=bool(verdict.success),
        severity=dg.AssetCheckSeverity.ERROR,
        description="every row keeps every rule" if verdict.success else "; ".join(f"{n} of {total} rows: {rule}" for rule, n in failed.items()),
        metadata={"rows": total, "rules": len(rules), "suite": suite, **failed},
    )
