"""The bench's workload: one month of seeded usage and a configuration that exercises every price shape.

Put here what both competitors start from: the lake's own Parquet files, the configuration and the price list. Keep out
measuring (``__main__.py``) and the hand-written SQL (``duckdb_bill.sql``).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from transforms.datasets import INSTANT
from transforms.money import DECIMAL

SEED = 20_260_101
MONTH = date(2026, 1, 1)
NEXT_MONTH = date(2026, 2, 1)
REGIONS = [f"region-{i:02d}" for i in range(20)]
MODELS = [f"model-{i:02d}" for i in range(50)]
TIERS = ["free", "basic", "pro", "enterprise"]
#: 216 segments: 6 regions x 9 models x 4 tiers; the rest matches none and is not charged.
SEGMENTS = [{"region": r, "model": m, "tier": t} for r in REGIONS[:6] for m in MODELS[:9] for t in TIERS]
EURO_SHARE = 5  # every fifth account is billed in euros


def measurements(rows: int, accounts: int) -> Iterator[pl.DataFrame]:
    """One frame per day of the month, columns of dataset ``measurements`` with the meter's fields, sorted as ingest does.

    Accounts follow a power law; token counts are whole, latencies have three decimals.
    """
    random = np.random.default_rng(SEED)
    days = (NEXT_MONTH - MONTH).days
    uid = 0
    for number in range(days):
        day = MONTH + timedelta(days=number)
        count = rows // days + (1 if number < rows % days else 0)
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
        ts = midnight + random.integers(0, 86_400_000_000, count)
        tokens_in = random.integers(1, 5_000, count)
        tokens_out = random.integers(1, 1_000, count)
        latency = random.integers(1, 30_000_000, count)
        columns: dict[str, Any] = {
            "account_number": (accounts * random.random(count) ** 2.5).astype(np.int32),
            "ts": ts,
            "uid": np.arange(uid, uid + count),
            "received_at": ts + random.integers(0, 5_000_000, count),
            "region": random.integers(0, len(REGIONS), count, dtype=np.uint32),
            "model": random.integers(0, len(MODELS), count, dtype=np.uint32),
            "tier": random.integers(0, len(TIERS), count, dtype=np.uint32),
            "end_user": random.integers(0, 200, count),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "latency": latency,
            "level": random.integers(0, 100, count),
        }
        uid += count
        yield (
            pl.DataFrame(columns)
            .select(
                date=pl.lit(day),
                account_number=pl.col("account_number"),
                ts=pl.col("ts").cast(INSTANT),
                ets=pl.lit(None, dtype=INSTANT),
                uid=pl.format("m-{}", "uid"),
                received_at=pl.col("received_at").cast(INSTANT),
                region=pl.Series(REGIONS).gather(columns["region"]),
                model=pl.Series(MODELS).gather(columns["model"]),
                tier=pl.Series(TIERS).gather(columns["tier"]),
                end_user=pl.format("user-{}", "end_user"),
                tokens_in=pl.col("tokens_in").cast(DECIMAL),
                tokens_out=pl.col("tokens_out").cast(DECIMAL),
                latency=pl.col("latency").cast(DECIMAL) / pl.lit(Decimal(1000)).cast(DECIMAL),
                level=pl.col("level").cast(DECIMAL),
                tokens=(pl.col("tokens_in") + pl.col("tokens_out")).cast(DECIMAL),
            )
            .sort("account_number", "ts")
        )


def _bands(*bands: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [{"lowerLimit": Decimal(low), "fixedPrice": Decimal(fixed), "unitPrice": Decimal(unit)} for low, fixed, unit in bands]


METER: dict[str, Any] = {
    "name": "Requests",
    "code": "requests",
    "dataFields": [
        *({"category": "WHAT", "code": c, "name": c} for c in ("region", "model", "tier")),
        {"category": "METADATA", "code": "end_user", "name": "End user"},
        *({"category": "MEASURE", "code": c, "name": c, "unit": "1"} for c in ("tokens_in", "tokens_out", "latency", "level")),
    ],
    "derivedFields": [{"category": "MEASURE", "code": "tokens", "name": "Tokens", "unit": "1", "calculation": "tokens_in + tokens_out"}],
}
#: code -> (method, field, cumulative, bands): tiered, volume, stairstep and per-unit prices.
PRICES: dict[str, tuple[str, str, bool, list[dict[str, Any]]]] = {
    "tokens_sum": ("SUM", "tokens", True, _bands(("0", "0", "0.0002"), ("100000", "0", "0.00015"), ("1000000", "0", "0.0001"))),
    "latency_max": ("MAX", "latency", False, _bands(("0", "1", "0"), ("20000", "2", "0"), ("29000", "5", "0"))),
    "requests_count": ("COUNT", "tokens", False, _bands(("0", "0", "0.01"), ("1000", "0", "0.008"), ("10000", "0", "0.005"))),
    "latency_mean": ("MEAN", "latency", True, _bands(("0", "0", "0.0001"))),
    "level_latest": ("LATEST", "level", True, _bands(("0", "0.5", "0.02"), ("50", "1", "0.01"))),
    "users_unique": ("UNIQUE", "end_user", True, _bands(("0", "0", "0.1"), ("20", "0", "0.05"))),
}
SEGMENT_PRICE = "0.0003"
COMPOUND = "Math.max(0, aggregation.tokens_sum - 1000 * aggregation.users_unique)"


def document() -> dict[str, Any]:
    """The organization as configuration as code: one product, meter and plan, seven priced aggregations and a compound."""
    common = {"quantityPerUnit": 1, "rounding": "NONE", "unit": "1"}
    start = {"startDate": "2025-01-01", "plan": "plan"}
    by_segment = {"targetField": "tokens_in", "segmentedFields": ["region", "model", "tier"], "segments": SEGMENTS}
    return {
        "picklists/currency": [{"name": "Euro", "code": "EUR", "maxDecimalPlaces": 2, "roundingMode": "HALF_UP"}],
        "organizationconfig": {"currencyConversions": [{"from": "USD", "to": "EUR", "multiplier": Decimal("0.9137")}]},
        "products": [{"name": "Inference", "code": "inference"}],
        "meters": [{"product": "inference", **METER}],
        "aggregations": [
            *(
                {"name": code, "code": code, "meter": "requests", "aggregation": method, "targetField": field, **common}
                for code, (method, field, _, _) in PRICES.items()
            ),
            {"name": "by_segment", "code": "by_segment", "meter": "requests", "aggregation": "SUM", **by_segment, **common},
        ],
        "compoundaggregations": [{"name": "compound", "code": "compound", "product": "inference", "calculation": COMPOUND, **common}],
        "plantemplates": [
            {"product": "inference", "name": "Monthly", "code": "monthly", "currency": "USD", "billFrequency": "MONTHLY"}
            | {"standingCharge": 1, "minimumSpend": 5}
        ],
        "plans": [{"name": "Plan", "code": "plan", "planTemplate": "monthly"}],
        "pricings": [
            *({"aggregation": code, "cumulative": cumulative, "pricingBands": bands, **start} for code, (_, _, cumulative, bands) in PRICES.items()),
            *(
                {"aggregation": "by_segment", "cumulative": True, "segment": s, "pricingBands": _bands(("0", "0", SEGMENT_PRICE)), **start}
                for s in SEGMENTS
            ),
            {"compoundAggregation": "compound", "cumulative": True, "pricingBands": _bands(("0", "0", "0.00001")), **start},
        ],
    }
