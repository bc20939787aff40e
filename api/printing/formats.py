"""Amounts, numbers, days and labels as a locale writes them (CLDR, by Babel).

Amounts come in as they were rounded on the bill: nothing here rounds money. Put here how a value is written. Keep out which
values there are (bill_pages.py). Labels are in ``labels.yaml``; a language that is not there reads English labels, with
its own numbers and days.
"""

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, cast
from zoneinfo import ZoneInfo

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal, get_currency_symbol

from transforms.errors import EntityInvalid
from transforms.money import EXACT, RoundingMode, rounded

#: Digits of prices and quantities are shown as far as they go, up to what is stored.
_DIGITS_MAX = 12
_AVERAGE_DIGITS = 6
_SEPARATED = "\u00a0"


@cache
def labels(language: str) -> Mapping[str, str]:
    """The labels of a language, English where it has none."""
    every = yaml.safe_load((files(__package__) / "labels.yaml").read_text(encoding="utf-8"))
    return cast(Mapping[str, str], every["en"] | every.get(language, {}))


def parsed_locale(name: str) -> Locale:
    """The locale that a name such as de-CH or pt_BR stands for.

    Raises:
        EntityInvalid: There is none of that name.
    """
    try:
        return Locale.parse(name.replace("_", "-"), sep="-")
    except (ValueError, UnknownLocaleError, TypeError):
        raise EntityInvalid.of("locale", f"locale is {name!r}; it must be a language tag such as en-US, de-CH or pt-BR") from None


def accepted_locale(header: str) -> Locale | None:
    """The first locale of an ``Accept-Language`` header that there is, by its weights; None when there is none."""
    weighted = []
    for position, part in enumerate(header.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        quality = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 1.0
        if quality > 0 and re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", tag):
            weighted.append((-quality, position, tag))
    for _, _, tag in sorted(weighted):
        try:
            return parsed_locale(tag)
        except EntityInvalid:
            continue
    return None


@dataclass(frozen=True)
class Formats:
    """How a reader sees values.

    Attributes:
        locale: Whose conventions.
        time_zone: Where days are, a tz database name.
        places: Currency code -> decimal places, of the organization's currencies that say so; two for others.
    """

    locale: Locale
    time_zone: str
    places: Mapping[str, int]

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The labels in the reader's language."""
        return labels(self.locale.language)

    def money(self, amount: Decimal, currency: str) -> str:
        """An amount with the decimal places of its currency."""
        places = self.places.get(currency, 2)
        return self._currency(amount, currency, (places, _DIGITS_MAX))

    def price(self, amount: Decimal, currency: str) -> str:
        """A price per unit, with all the digits that it has."""
        return self._currency(amount, currency, (min(2, self.places.get(currency, 2)), _DIGITS_MAX))

    def average(self, amount: Decimal, currency: str) -> str:
        """An average price per unit, a quotient with digits without end, to six of them."""
        places = max(2, _AVERAGE_DIGITS - 1 - amount.adjusted()) if amount else 2
        return self.price(rounded(amount, places=min(places, _DIGITS_MAX), mode=RoundingMode.HALF_EVEN), currency)

    def _currency(self, amount: Decimal, currency: str, digits: tuple[int, int]) -> str:
        pattern: Any = copy(self.locale.currency_formats["standard"])
        pattern.frac_prec = digits
        with localcontext(EXACT):  # Babel computes in the current context, whose 28 digits are too few
            text = str(pattern.apply(amount, self.locale, currency=currency, currency_digits=False))
        symbol = get_currency_symbol(currency, self.locale)
        if symbol[-1].isalpha():
            # CLDR: letters are kept apart from digits.
            text = re.sub(rf"({re.escape(symbol)})(?=[\d-])", rf"\1{_SEPARATED}", text)
        return text

    def number(self, value: Decimal) -> str:
        """A quantity, with all the digits that it has."""
        with localcontext(EXACT):
            return str(format_decimal(value, locale=self.locale, decimal_quantization=False))

    def unit(self, unit: str | None) -> str:
        """A unit of measure; the unit of pure numbers is written 1 and not shown."""
        return "" if unit in (None, "1") else str(unit)

    def with_unit(self, name: str, unit: str | None) -> str:
        """A heading that says in which unit the numbers below it are."""
        return self.text("usage_chart", name=name, unit=self.unit(unit)) if self.unit(unit) else name

    def segment(self, segment: Mapping[str, str]) -> str:
        """Which values of which fields a line is for."""
        return ", ".join(f"{name}: {self.labels['all_others'] if value == '*' else value}" for name, value in sorted(segment.items()))

    def day(self, day: date, style: str = "long") -> str:
        """A calendar day."""
        return str(format_date(day, format=cast(Any, style), locale=self.locale))

    def local_day(self, instant: datetime, style: str = "long") -> str:
        """The calendar day of an instant."""
        return self.day(instant.astimezone(ZoneInfo(self.time_zone)).date(), style)

    def days(self, start: datetime, end: datetime, style: str = "medium") -> str:
        """The days from an instant to another, which is exclusive, as one day or two with a dash."""
        last = end - timedelta(microseconds=1)
        first_day, last_day = self.local_day(start, style), self.local_day(last, style)
        return first_day if first_day == last_day else f"{first_day} – {last_day}"

    def text(self, label: str, **values: str) -> str:
        """A label with values in it."""
        return self.labels[label].format(**values)
