"""The calculations behind bills, and what each was computed from, so that it can be computed again (DECISIONS 33).

Put here which calculations a bill has had and how one's inputs are brought back. Keep out the comparison of results.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.storage import ledger
from pipelines.storage.bill_inputs import Inputs
from pipelines.storage.bill_tables import BILL_CALCULATIONS, BILL_JOBS, BILLS
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.pinned_usage import pinned_usage
from pipelines.storage.snapshots import configuration as snapshot
from transforms.billing.job_requests import BillJobOverrides, BillJobRequest
from transforms.configuration import Configuration
from transforms.entities.bill_config import BillConfig
from transforms.errors import NotFound, Refused
from transforms.rating.replay import owners

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Calculation:
    """One calculation as stored; see ``bill_calculations``.

    Attributes:
        number: Its position among the calculations of the bill that was asked for, from 1; 0 where no bill was.
        job_type: CREATE or RECALCULATE.
        job_request: The body of its job as it was accepted.
        calculated_at: When its job began.
        ledger_sequence: The last entry of the ledger that it knew or wrote.
    """

    id: str
    number: int
    bill_job_id: str
    job_type: str
    job_request: Mapping[str, Any]
    calculated_at: datetime
    configuration_as_of: datetime
    configuration_hash: str
    software_version: str
    dataset_versions: Mapping[str, int]
    ledger_sequence: int

    @property
    def overrides(self) -> BillJobOverrides | None:
        """The departures from the organization's settings that its job asked for; None when a recalculation repeated those before."""
        return BillJobRequest.model_validate(self.job_request).overrides if self.job_type == "CREATE" else None

    def today(self, configuration: Configuration) -> date:
        """The day on which it was calculated, in the organization's time zone."""
        return self.calculated_at.astimezone(ZoneInfo(configuration.time_zone)).date()


def _query() -> sa.Select[Any]:
    c = BILL_CALCULATIONS.c
    return sa.select(
        c.id,
        c.bill_job_id,
        BILL_JOBS.c.type.label("job_type"),
        BILL_JOBS.c.request.label("job_request"),
        c.calculated_at,
        c.configuration_as_of,
        c.configuration_hash,
        c.software_version,
        c.dataset_versions,
        c.ledger_sequence,
    ).join_from(BILL_CALCULATIONS, BILL_JOBS, sa.and_(c.org_id == BILL_JOBS.c.org_id, c.bill_job_id == BILL_JOBS.c.id))


def calculations(connection: Connection, org_id: str, ids: Iterable[str]) -> dict[str, Calculation]:
    """Calculation id -> calculation, of those ids."""
    query = _query().where(BILL_CALCULATIONS.c.org_id == org_id, BILL_CALCULATIONS.c.id.in_(list(ids)))
    return {row["id"]: Calculation(**row, number=0) for row in connection.execute(query).mappings()}


def calculations_of(connection: Connection, bill: Row) -> list[Calculation]:
    """Every calculation that the bill has had, oldest first, numbered from 1.

    Args:
        connection: An open transaction.
        bill: A row of ``bills``.
    """
    c = BILL_CALCULATIONS.c
    # The period on the certificate first: the list of a job's bills may be long.
    period = sa.cast([{"endDate": bill["end_date"].isoformat()}], JSONB)
    candidates = _query().where(c.org_id == bill["org_id"], c.certificates.contains(period)).cte("candidates")
    is_of_bill = sa.exists().where(
        BILL_JOBS.c.org_id == bill["org_id"], BILL_JOBS.c.id == candidates.c.bill_job_id, bill["id"] == sa.any_(BILL_JOBS.c.bill_ids)
    )
    query = sa.select(candidates).where(sa.or_(candidates.c.id == bill["calculation_id"], is_of_bill))
    rows = connection.execute(query.order_by(candidates.c.calculated_at, candidates.c.id)).mappings()
    return [Calculation(**row, number=number) for number, row in enumerate(rows, 1)]


def chosen(found: list[Calculation], named: str) -> Calculation:
    """The calculation of that id or number.

    Raises:
        NotFound: There is none.
    """
    for one in found:
        if named in (one.id, str(one.number)):
            return one
    raise NotFound("Calculation", f"{named} (of this bill: 1 to {len(found)}, or an id)")


def pair(found: list[Calculation], before: str | None, after: str | None) -> tuple[Calculation, Calculation]:
    """The two calculations to compare: those of these ids or numbers, or the last two.

    Raises:
        NotFound: There is no such calculation.
        Refused: None are named, and the bill was calculated once.
    """
    if before is not None and after is not None:
        return chosen(found, before), chosen(found, after)
    if len(found) < 2:
        raise Refused("the bill was calculated once, so there is nothing to compare it with")
    return found[-2], found[-1]


def overrides_of(found: list[Calculation], calculation: Calculation, bill: Row) -> BillJobOverrides:
    """The departures from the organization's settings that the calculation of the bill was made with.

    A recalculation repeats those of the calculation before it.
    """
    if calculation.id == bill["calculation_id"]:
        return BillJobOverrides.model_validate(bill["overrides"])
    earlier = [one.overrides for one in found[: calculation.number] if one.overrides is not None]
    return earlier[-1] if earlier else BillJobOverrides()


@dataclass(frozen=True, kw_only=True)
class Past:
    """An organization as a calculation saw it.

    Attributes:
        calculation: The calculation.
        configuration: The configuration as of its instant.
        ledger: See LEDGER; what stood after it of the commitments and balances that there were.
    """

    calculation: Calculation
    configuration: Configuration
    ledger: pl.DataFrame

    @property
    def is_same_configuration(self) -> bool:
        """True when the history gives the configuration whose hash the calculation names."""
        return self.configuration.hash == self.calculation.configuration_hash


def past(database: Database, org_id: str, calculation: Calculation, account_ids: Iterable[str]) -> Past:
    """The organization as the calculation saw it, with the ledger of those accounts."""
    with database.transaction() as connection:
        configuration = snapshot(connection, org_id, calculation.configuration_as_of)
        return Past(calculation=calculation, configuration=configuration, ledger=_ledger(connection, calculation, configuration, account_ids))


def _ledger(connection: Connection, calculation: Calculation, configuration: Configuration, account_ids: Iterable[str]) -> pl.DataFrame:
    """The entries that stood after the calculation, and which bills were locked when it began: their draws come first (DECISIONS 29)."""
    org_id = configuration.organization_id
    funds = owners(configuration).filter(pl.col("account_id").is_in(list(account_ids)))
    entries = ledger.standing_of(connection, org_id, funds, as_of_sequence=calculation.ledger_sequence)
    drawn = entries["bill_id"].drop_nulls().unique().to_list()
    lock_dates = [one.bill_lock_date for one in configuration.entities(BillConfig).values() if one.bill_lock_date is not None]
    is_locked = sa.and_(BILLS.c.locked, BILLS.c.dt_locked <= calculation.calculated_at)
    if lock_dates:
        is_locked = sa.or_(is_locked, BILLS.c.end_date <= lock_dates[0])
    query = sa.select(BILLS.c.id).where(BILLS.c.org_id == org_id, BILLS.c.id == sa.any_(sa.cast(drawn, sa.ARRAY(sa.Text))), is_locked)
    locked = list(connection.scalars(query))
    return entries.with_columns(is_locked=pl.col("bill_id").is_in(locked).fill_null(value=False))


def inputs_of(lake: Lake, data: Past, settings: Past | None = None) -> Inputs:
    """What bills are computed from: the data of one calculation under the configuration of one, by default the same.

    Args:
        lake: The lake.
        data: Whose measurements and states, whose ledger, and whose date.
        settings: Whose configuration.

    Raises:
        VersionGone: A version that the calculation names is no longer kept.
    """
    configuration = (settings or data).configuration
    versions = dict(data.calculation.dataset_versions)
    return Inputs(
        began_at=data.calculation.calculated_at,
        configuration=configuration,
        usage=pinned_usage(lake, configuration, versions, kept_for=data.configuration),
        versions=versions,
        ledger=data.ledger.join(owners(configuration), on="fund_id", how="semi", maintain_order="left"),
    )
