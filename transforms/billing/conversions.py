"""From an exact amount to money on a bill: rounded in the pricing currency, converted, rounded in the bill currency.

An *exchange* is a pair of currencies with its rate and how both round; lines carry its number. Put here rates and when
money is rounded; keep out what the amounts are for. Source: billing.md 4.4, 4.5, DECISIONS 23 and 34.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from transforms.configuration import Configuration
from transforms.entities.organization import CurrencyConversion
from transforms.money import DECIMAL, RoundingMode, exact, is_inexact, rounded_column
from transforms.rating.amounts import by_part, product, quotient

TOO_LARGE = "an amount has more than 26 digits before the point"


@dataclass(frozen=True)
class CurrencyRounding:
    """How amounts of a currency are rounded; 2 decimals and HALF_UP where the picklist has none."""

    code: str
    places: int = 2
    mode: RoundingMode = RoundingMode.HALF_UP

    def rounded(self, column: str) -> pl.Expr:
        """The column in whole units of the last decimal place."""
        return rounded_column(pl.col(column), places=self.places, mode=self.mode)

    def failure(self, amounts: pl.Series) -> pl.Expr:
        """Why the amounts (a column of the frame) are none of this currency; null where they are."""
        column = amounts.name
        if self.mode is not RoundingMode.UNNECESSARY and not amounts.null_count():
            return pl.lit(None, dtype=pl.String)
        inexact = (
            pl.when(is_inexact(pl.col(column), places=self.places)).then(
                pl.lit(
                    f"an amount in {self.code} has more than {self.places} decimals, and the currency's roundingMode UNNECESSARY forbids rounding it"
                )
            )
            if self.mode is RoundingMode.UNNECESSARY
            else pl.lit(None, dtype=pl.String)
        )
        return pl.when(pl.col(column).is_null()).then(pl.lit(TOO_LARGE)).otherwise(inexact)


@dataclass(frozen=True)
class Exchange:
    """From the currency that a line is priced in to the currency of its bill; ``rate`` is None where nobody gave one."""

    pricing: CurrencyRounding
    bill: CurrencyRounding
    rate: Decimal | None

    @property
    def missing(self) -> str:
        """Why an amount can't be converted when there is no rate."""
        return (
            f"no currency conversion from {self.pricing.code} to {self.bill.code}: add {{from: {self.pricing.code}, to: {self.bill.code}, "
            "multiplier: ...} to currencyConversions (codes are compared exactly, no inverse or chained rates)"
        )


def _rounding(code: str, configuration: Configuration) -> CurrencyRounding:
    currency = configuration.currency(code)
    if currency is None:
        return CurrencyRounding(code)
    places = 2 if currency.max_decimal_places is None else currency.max_decimal_places
    return CurrencyRounding(code, places, currency.rounding_mode or RoundingMode.HALF_UP)


def exchanges(pairs: Iterable[tuple[str, str]], configuration: Configuration, job_conversions: Sequence[CurrencyConversion]) -> tuple[Exchange, ...]:
    """One exchange per (pricing currency, bill currency), in the given order; the job's conversions come before the organization's."""
    rates: dict[tuple[str, str], Decimal] = {}
    for conversion in (*job_conversions, *configuration.organization.currency_conversions):
        rates.setdefault((conversion.from_, conversion.to), exact(conversion.multiplier))
    return tuple(Exchange(_rounding(a, configuration), _rounding(b, configuration), Decimal(1) if a == b else rates.get((a, b))) for a, b in pairs)


def _converted(lines: pl.DataFrame, exchange: Exchange) -> pl.DataFrame:
    if exchange.rate is None:
        return lines.with_columns(converted_subtotal=pl.lit(None, dtype=DECIMAL), failure=pl.coalesce("failure", pl.lit(exchange.missing)))
    if exchange.pricing == exchange.bill:
        return lines.with_columns(converted_subtotal="subtotal")
    rates = pl.repeat(exchange.rate, lines.height, dtype=DECIMAL, eager=True)
    lines = lines.with_columns(converted_subtotal=product(lines["subtotal"], rates))
    failure = pl.coalesce("failure", exchange.bill.failure(lines["converted_subtotal"]))
    return lines.with_columns(converted_subtotal=exchange.bill.rounded("converted_subtotal"), failure=failure)


def finished(lines: pl.DataFrame, rates: tuple[Exchange, ...]) -> pl.DataFrame:
    """The lines with ``subtotal``, ``converted_subtotal`` and ``failure`` (why the line can't stand on a bill) for ``amount``.

    Args:
        lines: ``exchange`` (position in ``rates``), ``amount`` (exact, in the pricing currency, null where it does not fit)
            and any more columns.
        rates: The exchanges of the run.

    Returns:
        The lines without ``amount``, grouped by exchange.
    """

    def rounded(part: pl.DataFrame, number: int) -> pl.DataFrame:
        if part.is_empty():
            return part.with_columns(subtotal="amount", converted_subtotal="amount", failure=pl.lit(None, dtype=pl.String)).drop("amount")
        pricing = rates[number].pricing
        done = part.with_columns(subtotal=pricing.rounded("amount"), failure=pricing.failure(part["amount"])).drop("amount")
        return _converted(done, rates[number])

    return by_part(lines, "exchange", rounded)


def restated(frame: pl.DataFrame, column: str, rates: Sequence[Exchange], *, rounds: bool) -> pl.DataFrame:
    """The frame with ``column``, amounts in the bill currency, in the pricing currency; as they are where there is no rate.

    Args:
        frame: ``exchange`` (position in ``rates``), the column (Decimal) and any more columns.
        column: What is taken back (billing.md 4.5).
        rates: The exchanges of the run.
        rounds: Round what was converted as the pricing currency rounds, else leave it exact.

    Returns:
        The rows grouped by exchange; null where an amount does not fit.
    """

    def back(part: pl.DataFrame, number: int) -> pl.DataFrame:
        exchange = rates[number] if not part.is_empty() else None
        # In one currency the amount is the very same, also one that is too large to be rounded once more.
        if exchange is None or exchange.rate is None or exchange.pricing.code == exchange.bill.code:
            return part
        part = part.with_columns(quotient(part[column], pl.repeat(exchange.rate, part.height, dtype=DECIMAL, eager=True)).alias(column))
        return part.with_columns(exchange.pricing.rounded(column)) if rounds else part

    return by_part(frame, "exchange", back)


def rounded_amounts(frame: pl.DataFrame, column: str, rates: Sequence[Exchange], *, in_bill_currency: bool = False) -> pl.DataFrame:
    """The frame with ``column`` rounded as its pricing currency (or bill currency) rounds; rows grouped by ``exchange`` (DECISIONS 23)."""

    def rounded(part: pl.DataFrame, number: int) -> pl.DataFrame:
        if part.is_empty():
            return part
        return part.with_columns((rates[number].bill if in_bill_currency else rates[number].pricing).rounded(column))

    return by_part(frame, "exchange", rounded)
