"""Meters, measurements and a scalar reference of aggregation, for the tests of this folder."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from transforms.aggregations.usage import field_column
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.datasets import MEASUREMENTS
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.resource import Entity
from transforms.entities.usage import Aggregation, Meter, Method
from transforms.money import DECIMAL, EXACT

Row = Mapping[str, Any]


def meter(*, numeric: Sequence[str] = ("qty",), strings: Sequence[str] = ("region",), meter_id: str = "meter", code: str = "meter") -> Meter:
    fields = [{"category": "MEASURE", "code": c, "name": c, "unit": "1"} for c in numeric] + [
        {"category": "WHERE", "code": c, "name": c} for c in strings
    ]
    return Meter.model_validate({"id": meter_id, "name": code, "code": code, "dataFields": fields, "derivedFields": []})


def aggregation(aggregation_id: str, method: str, target: str, **more: Any) -> Aggregation:
    body = {"name": aggregation_id, "code": aggregation_id, "meterId": "meter".ljust(36), "quantityPerUnit": 1, "rounding": "NONE", "unit": "u"}
    found = Aggregation.model_validate({**body, "aggregation": method, "targetField": target, **more})
    return found.model_copy(update={"id": aggregation_id, "meter_id": more.get("meter_id", "meter")})


def configuration(*entities: Entity, time_zone: str = "UTC", accounts: pl.DataFrame | None = None, **more: Any) -> Configuration:
    small: dict[str, dict[str, Entity]] = defaultdict(dict)
    for entity in entities:
        small[type(entity).__name__][entity.id] = entity
    return Configuration(
        organization_id="org",
        as_of=datetime(2025, 6, 1, tzinfo=UTC),
        organization=OrganizationConfig(timezone=time_zone),
        custom_fields=more.get("custom_fields", CustomFields()),
        small=small,
        accounts=pl.DataFrame(schema=ACCOUNTS_SCHEMA) if accounts is None else accounts,
        account_plans=more.get("account_plans", pl.DataFrame(schema=ACCOUNT_PLANS_SCHEMA)),
        hash="",
    )


def measurements(rows: Iterable[Row], of: Meter, time_zone: str = "UTC") -> pl.DataFrame:
    """Rows with account, ts and field codes, as the dataset; uid and received_at are made up from the position when missing."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for number, row in enumerate(rows):
        columns["date"].append(row["ts"].astimezone(ZoneInfo(time_zone)).date())
        columns["account_number"].append(row["account"])
        columns["ts"].append(row["ts"])
        columns["ets"].append(None)
        columns["uid"].append(row.get("uid", f"uid-{number:06}"))
        columns["received_at"].append(row.get("received_at", row["ts"] + timedelta(seconds=1)))
        for field in of.fields:
            columns[field_column(field.code)].append(row.get(field.code))
    fields = {field_column(f.code): DECIMAL if f.category.is_numeric else pl.String for f in of.fields}
    return pl.DataFrame(dict(columns), schema={**MEASUREMENTS.schema, **fields})


def reduced(rows: Sequence[Row], method: Method, code: str) -> Decimal | None:
    """What the method gives for rows, in plain Python: usage.md 4.2 and DECISIONS 18. No rows is the caller's case."""
    present = [row for row in rows if row.get(code) is not None]
    values = [row[code] for row in present]
    match method:
        case Method.COUNT:
            return Decimal(len(values))
        case Method.UNIQUE:
            return Decimal(len(set(values)))
    if not values:
        return None
    match method:
        case Method.SUM:
            return _total(values)
        case Method.MIN:
            return min(values)
        case Method.MAX:
            return max(values)
        case Method.MEAN:
            return _mean(_total(values), len(values))
        case Method.LATEST:
            return max(present, key=lambda row: (row["ts"], row["received_at"], row["uid"].encode()))[code]
    raise AssertionError(method)


def _mean(total: Decimal, count: int) -> Decimal:
    """total / count at 12 digits, half to even, in whole numbers only."""
    numerator = int(total.scaleb(12, EXACT))
    whole, rest = divmod(numerator, count)
    whole += 1 if rest * 2 > count or (rest * 2 == count and whole % 2) else 0
    return Decimal(whole).scaleb(-12, EXACT)


def segment_of(row: Row, fields: Sequence[str], segments: Sequence[Mapping[str, str]]) -> int | None:
    """The one segment of a row, in plain Python: DECISIONS 19."""
    found = [
        (sum(segment[f] == "*" for f in fields), tuple(segment[f] == "*" for f in fields), number)
        for number, segment in enumerate(segments)
        if all(segment[f] in ("*", row.get(f)) for f in fields)
    ]
    return min(found)[2] if found else None


def _total(values: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = EXACT.add(total, value)
    return total
