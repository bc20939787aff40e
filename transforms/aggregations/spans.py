"""Which rows of usage lie in which windows.

Put here the matching of measurements and states with the windows of accounts: whole local months, other whole days and
the edges that cut a day. Keep out what is done with the rows. A window is half-open in time; its whole days are those that
lie in it entirely, on a day with 23 or 25 hours too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import polars as pl

WINDOW_NUMBER = "window_number"
_ACCOUNT = "account_number"
_BOUNDS = ("window_start", "window_end", "first_day", "end_day", "first_month", "end_month")
#: Windows that at least this part of all shares are read without a join.
_SHARE = 0.2
#: Up to this many accounts are named in the scan, so that files and row groups can be left out.
_FEW = 50


@dataclass(frozen=True)
class Span:
    """Windows that are read together.

    Attributes:
        windows: One row per window: account_number, window_number, window_start, window_end, first_day, end_day (whole
            days, end exclusive), first_month, end_month (first days of the whole months, end exclusive; none when they cross),
            is_cut (an end lies inside a day), first_date, last_date (days touched, inclusive).
        key: The column that tells the windows of a row apart: ``account_number`` when all windows have the same start
            and end, else ``window_number``.
        names_accounts: False when nearly every account has a window, so that choosing accounts would gain nothing.
    """

    windows: pl.DataFrame
    key: str
    names_accounts: bool

    @property
    def has_whole_days(self) -> bool:
        """True when some window contains a whole day."""
        return bool((self.windows["first_day"] < self.windows["end_day"]).any())

    @cached_property
    def single_months(self) -> frozenset[date] | None:
        """The months, when every window is exactly one calendar month; else None."""
        is_month = (pl.col("first_month") == pl.col("first_day")) & (pl.col("end_month") == pl.col("end_day")) & ~pl.col("is_cut")
        is_single = pl.col("first_month").dt.offset_by("1mo") == pl.col("end_month")
        found = self.windows.select((is_month & is_single).all())
        return frozenset(self.windows["first_month"].unique().to_list()) if found.item() else None

    def states(self, days: pl.LazyFrame, months: pl.LazyFrame | None) -> list[pl.LazyFrame]:
        """States of the windows' whole days, with ``key``: of whole months by month where there are such, of other days by day."""
        if months is None:
            return [self.whole_days(days)]
        windows = self.windows.filter(pl.col("first_month") < pl.col("end_month"))
        is_aligned = (pl.col("first_month") == pl.col("first_day")) & (pl.col("end_month") == pl.col("end_day"))
        others = self.windows.filter((pl.col("first_day") < pl.col("end_day")) & ~is_aligned)
        found = []
        if not windows.is_empty():
            month = pl.col("month")
            rows = months.filter((month >= windows["first_month"].min()) & (month < windows["end_month"].max()))
            found.append(self._in_windows(rows, windows, (month >= pl.col("first_month")) & (month < pl.col("end_month"))))
        if not others.is_empty():
            # Days beside whole months lie in the first and in the last month that a window touches.
            ends = others.select(pl.concat([pl.col("first_day"), pl.col("end_day").dt.offset_by("-1d")]).dt.month_start().unique().sort())
            rows = days.filter(pl.col("month").is_in(ends.to_series().to_list()))
            found.append(
                self._in_windows(rows, others, _in_days() & ~((pl.col("date") >= pl.col("first_month")) & (pl.col("date") < pl.col("end_month"))))
            )
        return found

    def whole_days(self, states: pl.LazyFrame) -> pl.LazyFrame:
        """Day states of the windows' whole days, with ``key``."""
        windows = self.windows.filter(pl.col("first_day") < pl.col("end_day"))
        days = windows.select(pl.col("first_day").min(), pl.col("end_day").max(), pl.col("first_day").min().dt.month_start().alias("first_month"))
        first, end, first_month = days.row(0)
        # States are stored by month: naming the months leaves files unread.
        in_months = (pl.col("month") >= first_month) & (pl.col("month") < end)
        rows = states.filter(in_months & (pl.col("date") >= first) & (pl.col("date") < end))
        return self._in_windows(rows, windows, _in_days())

    def rows(self, measurements: pl.LazyFrame) -> pl.LazyFrame:
        """All measurements of the windows, with ``key``."""
        first, last = self.windows["first_date"].min(), self.windows["last_date"].max()
        rows = measurements.filter((pl.col("date") >= first) & (pl.col("date") <= last))
        if self.key == _ACCOUNT and not self.windows["is_cut"].any():
            return self._in_windows(rows, self.windows, None)
        return self._in_windows(rows, self.windows, _in_time())

    def edges(self, measurements: pl.LazyFrame) -> pl.LazyFrame | None:
        """Measurements of the windows outside their whole days, with ``key``; None when no window cuts a day."""
        windows = self.windows.filter("is_cut")
        if windows.is_empty():
            return None
        cut = pl.concat((windows["first_date"], windows["last_date"])).unique().sort()
        rows = measurements.filter(pl.col("date").is_in(cut.to_list()))
        return self._in_windows(rows, windows, _in_time() & ~_in_days())

    def _in_windows(self, rows: pl.LazyFrame, windows: pl.DataFrame, condition: pl.Expr | None) -> pl.LazyFrame:
        if self.names_accounts:
            accounts = windows[_ACCOUNT].unique()
            if accounts.len() <= _FEW:
                rows = rows.filter(pl.col(_ACCOUNT).is_between(accounts.min(), accounts.max()) & pl.col(_ACCOUNT).is_in(accounts.to_list()))
            elif self.key == _ACCOUNT:
                rows = rows.join(accounts.to_frame().lazy(), on=_ACCOUNT, how="semi")
        if self.key != _ACCOUNT:
            bounds = windows.lazy().select(_ACCOUNT, WINDOW_NUMBER, *_BOUNDS)
            joined = rows.join(bounds, on=_ACCOUNT)
            return (joined if condition is None else joined.filter(condition)).drop(*_BOUNDS)
        if condition is None:
            return rows
        literals = {name: pl.lit(windows[name][0], dtype=windows.schema[name]) for name in _BOUNDS}
        return rows.with_columns(**literals).filter(condition).drop(*_BOUNDS)


def _in_days() -> pl.Expr:
    return (pl.col("date") >= pl.col("first_day")) & (pl.col("date") < pl.col("end_day"))


def _in_time() -> pl.Expr:
    return (pl.col("ts") >= pl.col("window_start")) & (pl.col("ts") < pl.col("window_end"))


def bounded(windows: pl.DataFrame, time_zone: str) -> pl.DataFrame:
    """Windows with their whole days and months, whether an end cuts a day, and the days they touch.

    Args:
        windows: window_start and window_end, instants, half-open.
        time_zone: The organization's, a tz database name.
    """
    instant = pl.duration(microseconds=1)

    def day(expr: pl.Expr) -> pl.Expr:
        return expr.dt.convert_time_zone(time_zone).dt.date()

    start, end = pl.col("window_start"), pl.col("window_end")
    return windows.with_columns(
        day(start - instant).dt.offset_by("1d").alias("first_day"),
        day(end).alias("end_day"),
        ((day(start - instant) == day(start)) | (day(end - instant) == day(end))).alias("is_cut"),
        day(start).alias("first_date"),
        day(end - instant).alias("last_date"),
    ).with_columns(
        pl.col("first_day").dt.offset_by("-1d").dt.month_start().dt.offset_by("1mo").alias("first_month"),
        pl.col("end_day").dt.month_start().alias("end_month"),
    )


def spans(windows: pl.DataFrame, *, time_zone: str, accounts: int) -> tuple[Span, ...]:
    """The windows, split into spans.

    Args:
        windows: account_number, window_number, window_start, window_end; distinct in the account and the two instants.
        time_zone: The organization's, a tz database name.
        accounts: How many accounts the organization has.
    """
    ends = ["window_start", "window_end"]
    complete = windows.join(bounded(windows.select(ends).unique(), time_zone), on=ends)
    shared = (
        complete.group_by("window_start", "window_end").len().filter(pl.col("len") >= _SHARE * complete.height).sort("window_start", "window_end")
    )
    same: Sequence[pl.DataFrame] = [
        complete.filter((pl.col("window_start") == start) & (pl.col("window_end") == end)) for start, end, _ in shared.iter_rows()
    ]
    rest = complete.join(shared, on=["window_start", "window_end"], how="anti")
    found = [Span(group, _ACCOUNT, group.height * 2 < accounts) for group in same]
    return tuple(found) if rest.is_empty() else (*found, Span(rest, WINDOW_NUMBER, True))
