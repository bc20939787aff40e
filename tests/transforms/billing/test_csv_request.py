"""The bounds of one CSV file of bills."""

from datetime import date
from typing import Any

import pytest

from transforms.billing.bill_csv import ExternalSystem
from transforms.billing.csv_request import DownloadCsvRequest
from transforms.entities.documents import validated
from transforms.errors import EntityInvalid


def test_an_instant_stands_for_the_day_it_is_written_with() -> None:
    body = {"startDate": "2025-01-01T00:00:00+13:00", "endDate": "2025-02-01T00:00:00Z", "externalSystem": "XERO"}
    request = validated(DownloadCsvRequest, body)
    request.checked()
    assert (request.start_date, request.end_date, request.external_system) == (date(2025, 1, 1), date(2025, 2, 1), ExternalSystem.XERO)
    assert DownloadCsvRequest.model_validate_json(request.model_dump_json()) == request
    assert validated(DownloadCsvRequest, {"startDate": "2025-01-01"}).start_date == date(2025, 1, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "startDate"),
        ({"startDate": "2025-01-01"}, "endDate"),
        ({"externalInvoiceDateEnd": "2025-01-01"}, "externalInvoiceDateStart"),
        ({"startDate": "2025-01-01", "endDate": "2025-01-01"}, "endDate"),
        ({"startDate": "2025-01-01", "endDate": "2025-02-02"}, "endDate"),  # E11: 32 days
        ({"externalInvoiceDateStart": "2025-01-01", "externalInvoiceDateEnd": "2025-02-02"}, "externalInvoiceDateEnd"),
    ],
)
def test_open_empty_and_long_periods_are_refused(body: dict[str, Any], field: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        validated(DownloadCsvRequest, body).checked()
    assert refused.value.problems[0].field == field


@pytest.mark.parametrize("body", [{"startDate": "soon"}, {"startDate": "2025-01-01T99"}, {"startDate": 20250101}, {"externalSystem": "SAP"}])
def test_what_is_no_day_or_system_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(EntityInvalid, match=next(iter(body))):
        validated(DownloadCsvRequest, body)
