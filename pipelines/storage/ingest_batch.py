"""One batch of one organization, from landed frames to rows that are ready to be stored.

Put here the order of the steps. Each step is transforms/measurements; storing is ingest_plan.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from pipelines.storage.accounts_bulk import accounts_created
from pipelines.storage.database import Database
from pipelines.storage.decode import Decoded
from pipelines.storage.ingest_organization import IngestOrganization, field_types, known_accounts
from pipelines.storage.landing_frames import Frame
from pipelines.storage.uid_cache import UidCache
from transforms.aggregations.states import daily_states, state_order
from transforms.aggregations.usage import StateSpec
from transforms.datasets import MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX
from transforms.measurements.conform import conformed
from transforms.measurements.deduplicate import duplicates
from transforms.measurements.derive import calculation_errors, with_derived_fields
from transforms.measurements.landed import DROPPED, HASH, KEYED, LANDED, MESSAGE, REASON, SEQUENCE, VALUES, Reason
from transforms.measurements.validate import account_problems, with_account_problems

ACTOR = "SYSTEM_INGEST"
#: How many measurements a failure names.
SAMPLE = 10
COUNTS = ("landed", "accepted", "duplicates", "rejected", "dropped_fields", "calculation_errors")
_NO_ERRORS = pl.DataFrame(schema={"date": pl.Date})
_JUDGED = (SEQUENCE, KEYED, HASH, "uid", "received_at", "account_code")


@dataclass(frozen=True)
class Failure:
    """Some measurements of one meter with one thing wrong; see the table ingest_failures."""

    reason: str
    meter_code: str
    field_code: str | None
    measurements: int
    sample: list[dict[str, str]]


@dataclass
class Prepared:
    """A batch, computed.

    Attributes:
        org_id: The organization.
        accepted: Meter id -> dataset ``measurements`` with all fields of the meter, sorted.
        states: Spec -> dataset ``daily_aggregates`` of the accepted rows, for every complete spec.
        rejected: Dataset ``rejected_measurements``.
        uids: Dataset ``uid_index``.
        days: One row per event day: date and COUNTS; landed = accepted + duplicates + rejected.
        failures: What events are made of.
        received: Earliest and latest receipt.
    """

    org_id: str
    accepted: dict[str, pl.DataFrame] = field(default_factory=dict)
    states: dict[StateSpec, pl.DataFrame] = field(default_factory=dict)
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED_MEASUREMENTS.schema))
    uids: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UID_INDEX.schema))
    days: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"date": pl.Date, **dict.fromkeys(COUNTS, pl.Int64)}))
    failures: list[Failure] = field(default_factory=list)
    received: tuple[datetime, datetime] | None = None


def prepared(database: Database, uid_cache: UidCache, organization: IngestOrganization, frames: Sequence[Frame]) -> Prepared:
    """The batch of these frames; creates the accounts that accepted rows need, changes nothing else.

    Args:
        database: Where accounts are.
        uid_cache: Uids that stand.
        organization: The organization of the frames.
        frames: In the order of (received_at, arrival).
    """
    time_zone = organization.configuration.time_zone
    given = {code: {f.code for f in formulas.meter.data_fields} for code, formulas in organization.meters.items()}
    decoded = Decoded(frames, given)
    rows = {code: _conformed(organization, code, landed) for code, landed in decoded.by_meter.items()}
    accounts = _accounts(database, organization.org_id, rows)
    repeated = _duplicates(uid_cache, organization.org_id, rows)
    rows = {code: _with_duplicates(one, repeated).with_columns(_event_day(time_zone)) for code, one in rows.items()}
    numbered = _created(database, organization.org_id, rows, accounts)

    batch = Prepared(organization.org_id, received=(frames[0].received_at, frames[-1].received_at) if frames else None)
    days: list[pl.DataFrame] = []
    rejected: list[pl.DataFrame] = []
    uids: list[pl.DataFrame] = []
    for code, one in rows.items():
        good, bad = one.filter(pl.col(REASON).is_null()), one.filter(pl.col(REASON).is_not_null())
        errors = _take(batch, organization, code, good, numbered) if code in organization.meters and good.height else _NO_ERRORS
        days.append(_counts(one, errors))
        rejected.append(
            bad.select("date", SEQUENCE, REASON, MESSAGE, "account_code", "ts", "uid", KEYED, "received_at").with_columns(meter_code=pl.lit(code))
        )
        received = pl.col("received_at")
        uids.append(good.filter(KEYED).select(received.dt.date().alias("received_date"), received, pl.col(HASH).alias("uid_hash"), "uid"))
        batch.failures.extend(_failures(code, bad))
    if rows:
        batch.days = pl.concat(days).group_by("date").agg(pl.col(COUNTS).sum()).sort("date")
        batch.rejected = _rejected(pl.concat(rejected), decoded)
        batch.uids = pl.concat(uids).sort("received_date", "uid_hash")
    return batch


def _conformed(organization: IngestOrganization, code: str, landed: pl.DataFrame) -> pl.DataFrame:
    if code in organization.meters:
        return conformed(landed.lazy(), organization.meters[code].meter).collect()
    message = f"there is no meter with the code {code}; create it and send the measurement again"
    return landed.select(
        *(name for name in LANDED if name != VALUES),
        pl.lit(0, dtype=pl.Int32).alias(DROPPED),
        pl.lit(Reason.UNDEFINED_METER.value).alias(REASON),
        pl.lit(message).alias(MESSAGE),
    )


def _valid(rows: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    parts = [one.filter(pl.col(REASON).is_null()).select(_JUDGED) for one in rows.values()]
    return pl.concat(parts) if parts else pl.DataFrame(schema={name: LANDED[name] for name in _JUDGED})


def _accounts(database: Database, org_id: str, rows: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The accounts of the valid rows that exist; marks the rows whose account can't be made."""
    valid = _valid(rows)
    with database.transaction() as connection:
        accounts, near = known_accounts(connection, org_id, valid["account_code"].unique().to_list())
    problems = account_problems(valid, pl.concat([accounts.select("account_code"), near]))
    for code, one in rows.items():
        rows[code] = with_account_problems(one.lazy(), problems).collect()
    return accounts


def _duplicates(uid_cache: UidCache, org_id: str, rows: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    valid = _valid(rows)
    keyed = valid.filter(KEYED)
    if keyed.is_empty():
        return valid.select(SEQUENCE).clear()
    since = keyed["received_at"].min()
    assert isinstance(since, datetime), "there are rows"
    return duplicates(valid, uid_cache.standing(org_id, keyed[HASH], since))


def _with_duplicates(rows: pl.DataFrame, repeated: pl.DataFrame) -> pl.DataFrame:
    if repeated.is_empty():
        return rows
    is_repeat = pl.col(SEQUENCE).is_in(repeated[SEQUENCE].implode()) & pl.col(REASON).is_null()
    message = pl.format("uid {} was received before; the first measurement with it stands for 35 days", "uid")
    return rows.with_columns(
        pl.when(is_repeat).then(pl.lit(Reason.DUPLICATE_UID.value)).otherwise(REASON).alias(REASON),
        pl.when(is_repeat).then(message).otherwise(MESSAGE).alias(MESSAGE),
    )


def _event_day(time_zone: str) -> pl.Expr:
    return pl.col("ts").dt.convert_time_zone(time_zone).dt.date().alias("date")


def _created(database: Database, org_id: str, rows: Mapping[str, pl.DataFrame], accounts: pl.DataFrame) -> pl.DataFrame:
    """account_code, account_number, custom_fields of every account with an accepted row, new ones created in order of arrival."""
    new = _valid(rows).join(accounts, on="account_code", how="anti").group_by("account_code").agg(pl.col(SEQUENCE).min()).sort(SEQUENCE)
    if new.is_empty():
        return accounts
    with database.transaction() as connection:
        made = accounts_created(connection, org_id, new["account_code"].to_list(), ACTOR)
    return pl.concat([accounts, made.select("account_code", "account_number", pl.lit("{}").alias("custom_fields"))])


def _take(batch: Prepared, organization: IngestOrganization, code: str, good: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """Put the accepted rows of one meter into the batch; its calculation errors."""
    formulas = organization.meters[code]
    meter = formulas.meter
    derived = (
        with_derived_fields(good.lazy(), formulas, accounts.lazy(), {})
        .join(accounts.lazy().select("account_code", "account_number"), on="account_code")
        .collect()
    )
    errors = calculation_errors(derived, formulas)
    for (field_code, message), failed in errors.group_by("field_code", "message", maintain_order=True):
        sample = [{"uid": uid, "message": str(message)} for uid in failed["uid"].head(SAMPLE)]
        batch.failures.append(Failure(Reason.CALCULATION_ERROR.value, code, str(field_code), failed.height, sample))
    measurements = derived.select(*MEASUREMENTS.columns, *field_types(meter)).sort("date", "account_number", "ts", "uid")
    batch.accepted[meter.id] = measurements
    for spec in organization.specs:
        if spec.meter_id == meter.id and spec in organization.complete:
            states = daily_states(spec, meter, measurements.lazy()).collect(engine="streaming")
            batch.states[spec] = states.sort(*state_order(spec))
    return errors


def _counts(rows: pl.DataFrame, errors: pl.DataFrame) -> pl.DataFrame:
    """One row per event day of one meter's rows: date and COUNTS."""
    reason = pl.col(REASON)
    counted = rows.group_by("date").agg(
        pl.len().cast(pl.Int64).alias("landed"),
        reason.is_null().sum().cast(pl.Int64).alias("accepted"),
        (reason == Reason.DUPLICATE_UID.value).sum().cast(pl.Int64).alias("duplicates"),
        (reason.is_not_null() & (reason != Reason.DUPLICATE_UID.value)).sum().cast(pl.Int64).alias("rejected"),
        pl.col(DROPPED).filter(reason.is_null()).sum().cast(pl.Int64).alias("dropped_fields"),
    )
    failed = errors.group_by("date").agg(pl.len().cast(pl.Int64).alias("calculation_errors"))
    return counted.join(failed, on="date", how="left").with_columns(pl.col("calculation_errors").fill_null(0)).select("date", *COUNTS)


def _rejected(rows: pl.DataFrame, decoded: Decoded) -> pl.DataFrame:
    ordered = rows.sort("date", SEQUENCE)
    return ordered.select(
        "date",
        pl.col(REASON).alias("reason"),
        pl.col(MESSAGE).alias("message"),
        "meter_code",
        "account_code",
        "ts",
        pl.when(KEYED).then("uid").alias("uid"),
        "received_at",
        pl.Series("body", decoded.bodies(ordered[SEQUENCE].to_list()), dtype=pl.String),
    )


def _failures(code: str, bad: pl.DataFrame) -> list[Failure]:
    return [
        Failure(
            str(reason),
            code,
            None,
            failed.height,
            [
                {"uid": uid, "account": account, "message": message}
                for uid, account, message in failed.select("uid", "account_code", MESSAGE).head(SAMPLE).iter_rows()
            ],
        )
        for (reason,), failed in bad.sort(SEQUENCE).group_by(REASON, maintain_order=True)
    ]
