"""How values are written for a reader."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from babel import Locale
from hypothesis import given, strategies as st

from api.printing.formats import Formats, accepted_locale, labels, parsed_locale
from transforms.errors import EntityInvalid

D = Decimal
SPACE = "\u00a0"


def formats(locale: str, **places: int) -> Formats:
    return Formats(parsed_locale(locale), "Europe/Berlin", places)


@pytest.mark.parametrize(
    ("locale", "amount", "currency", "written"),
    [
        ("en-US", "1234567.5", "USD", "$1,234,567.50"),
        ("en-US", "-3", "USD", "-$3.00"),
        ("de-DE", "1234567.5", "EUR", f"1.234.567,50{SPACE}€"),
        ("de-CH", "1234.5", "CHF", f"CHF{SPACE}1’234.50"),
        ("en-US", "1234", "JPY", "¥1,234"),
        ("en-US", "12.345", "TOKENS", f"TOKENS{SPACE}12.345"),
        ("fr-FR", "0.12345", "USD", f"0,12345{SPACE}$US"),
    ],
)
def test_amounts_have_the_places_of_their_currency_and_lose_no_digit(locale: str, amount: str, currency: str, written: str) -> None:
    assert formats(locale, JPY=0, TOKENS=3).money(D(amount), currency) == written


@given(st.decimals(min_value="-1e20", max_value="1e20", places=12))
def test_no_digit_is_lost(value: Decimal) -> None:
    english = formats("en-US")
    assert D(english.number(value).replace(",", "")) == value
    assert D(english.price(value, "USD").replace(",", "").replace("$", "")) == value


@pytest.mark.parametrize(
    ("average", "written"),
    [
        ("0.366489361702", "$0.366489"),
        ("0.0000125", "$0.0000125"),
        ("0.000000000012", "$0.000000000012"),
        ("3.5625", "$3.5625"),
        ("1234.56789", "$1,234.57"),
        ("-0.05", "-$0.05"),
        ("0", "$0.00"),
    ],
)
def test_an_average_has_six_digits(average: str, written: str) -> None:
    assert formats("en-US").average(D(average), "USD") == written


def test_a_pure_number_has_no_unit_and_a_wildcard_is_put_in_words() -> None:
    english = formats("en-US")
    assert (english.with_unit("Calls", "1"), english.with_unit("Traffic", "GB")) == ("Calls", "Traffic (GB)")
    assert english.segment({"region": "eu", "class": "*"}) == "class: all others, region: eu"


def test_days_are_local_and_one_day_is_one() -> None:
    german = formats("de-DE")
    start = datetime(2024, 12, 31, 23, tzinfo=UTC)
    assert german.days(start, datetime(2025, 1, 31, 23, tzinfo=UTC), "long") == "1. Januar 2025 – 31. Januar 2025"
    assert german.days(start, datetime(2025, 1, 1, 23, tzinfo=UTC)) == "01.01.2025"
    assert formats("en-GB").day(date(2025, 3, 2)) == "2 March 2025"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("de-CH, de;q=0.9, en;q=0.5", "de_CH"),
        ("en;q=0.1, fr;q=0.8", "fr"),
        ("*, xx-YY, pt-BR;q=0.3", "pt_BR"),
        ("fr;q=0, es", "es"),
        ("", None),
        ("'; DROP TABLE", None),
    ],
)
def test_the_browsers_first_known_language_counts(header: str, expected: str | None) -> None:
    found = accepted_locale(header)
    assert (None if found is None else str(found)) == expected


@given(st.text(max_size=60))
def test_any_header_is_survived(header: str) -> None:
    assert accepted_locale(header) is None or isinstance(accepted_locale(header), Locale)


@pytest.mark.parametrize("name", ["", "x", "english", "de-", "../../etc", "e" * 5000])
def test_what_is_no_locale_is_refused(name: str) -> None:
    with pytest.raises(EntityInvalid, match="language tag"):
        parsed_locale(name)


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_translated_labels_have_the_same_values_in_them(language: str) -> None:
    import re

    english, translated = labels("en"), labels(language)
    assert {key: set(re.findall(r"{\w+}", text)) for key, text in english.items()} == {
        key: set(re.findall(r"{\w+}", text)) for key, text in translated.items()
    }
    assert labels("ja") == english
