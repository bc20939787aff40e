"""How long a usage query takes over HTTP: five shapes, median of many, on the bench's month of usage."""

import json
import statistics
import time
import urllib.request
from typing import Any

from tests.bench.http_ingest import bearer_token

MONTH = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-02-01T00:00:00Z"}
DAY = {"startDate": "2026-01-10T00:00:00Z", "endDate": "2026-01-11T00:00:00Z"}


def shapes(meter_id: str, account_id: str) -> dict[str, dict[str, Any]]:
    """Name -> query."""

    def of(field: str, function: str, kind: str = "MEASURE") -> dict[str, str]:
        return {"meterId": meter_id, "fieldCode": field, "fieldType": kind, "function": function}

    day = {"groupType": "TIME", "frequency": "DAY"}
    return {
        "total of the month": {**MONTH, "aggregations": [of("tokens", "SUM"), of("tokens", "COUNT")]},
        "by day": {**MONTH, "aggregations": [of("tokens", "SUM"), of("latency", "MAX")], "groups": [day]},
        "one account by day": {**MONTH, "accountIds": [account_id], "aggregations": [of("tokens", "SUM")], "groups": [{"groupType": "ACCOUNT"}, day]},
        "top 100 by account": {**MONTH, "aggregations": [of("tokens", "SUM")], "groups": [{"groupType": "ACCOUNT"}], "limit": 100},
        "one day by hour, from detail": {**DAY, "aggregations": [of("tokens", "SUM")], "groups": [{"groupType": "TIME", "frequency": "HOUR"}]},
    }


def medians(credentials: dict[str, str], meter_id: str, account_id: str, *, times: int) -> dict[str, float]:
    """Shape -> median milliseconds of ``times`` answers, the first two left out."""
    token = bearer_token(credentials)
    url = f"{credentials['base_url']}/organizations/{credentials['org_id']}/usage/query"
    found = {}
    for name, query in shapes(meter_id, account_id).items():
        taken = []
        for _ in range(times + 2):
            request = urllib.request.Request(
                url, data=json.dumps(query).encode(), headers={"authorization": f"Bearer {token}", "content-type": "application/json"}
            )
            started = time.perf_counter()
            with urllib.request.urlopen(request, timeout=60) as answer:
                rows = json.load(answer)["data"]
            taken.append((time.perf_counter() - started) * 1000)
            assert rows, name
        found[name] = statistics.median(taken[2:])
    return found
