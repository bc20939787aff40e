"""Whether a row's account may be charged: it exists, or it can be made.

Put here what compares rows with the organization's accounts. Source: usage.md 2.4, 2.6; DECISIONS 14.
"""

import polars as pl

from transforms.measurements.landed import MESSAGE, REASON, SEQUENCE, Reason


def account_problems(rows: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """Account codes that are refused because another spelling, differing in letter case only, is or becomes an account.

    Args:
        rows: Valid rows of one batch and organization: SEQUENCE, account_code.
        accounts: The organization's accounts: account_code.

    Returns:
        account_code, existing_code: one row per refused code. Among new codes of one batch the first to arrive is made.
    """
    lower = pl.col("account_code").str.to_lowercase().alias("lower_code")
    known = accounts.select("account_code", lower)
    new = (
        rows.group_by("account_code")
        .agg(pl.col(SEQUENCE).min())
        .join(known, on="account_code", how="anti")
        .sort(SEQUENCE)
        .select("account_code", lower)
    )
    spelled = pl.concat([known, new]).unique("lower_code", keep="first", maintain_order=True).rename({"account_code": "existing_code"})
    return new.join(spelled, on="lower_code").filter(pl.col("account_code") != pl.col("existing_code")).select("account_code", "existing_code")


def with_account_problems(rows: pl.LazyFrame, problems: pl.DataFrame) -> pl.LazyFrame:
    """The rows, those of refused account codes with reason and message."""
    if problems.is_empty():
        return rows
    is_refused = pl.col("existing_code").is_not_null() & pl.col(REASON).is_null()
    message = pl.format(
        "account code {} differs from the existing account {} in letter case only; use exactly that code", "account_code", "existing_code"
    )
    return (
        rows.join(problems.lazy(), on="account_code", how="left", maintain_order="left")
        .with_columns(
            pl.when(is_refused).then(pl.lit(Reason.INVALID_ACCOUNT_CODE.value)).otherwise(REASON).alias(REASON),
            pl.when(is_refused).then(message).otherwise(MESSAGE).alias(MESSAGE),
        )
        .drop("existing_code")
    )
