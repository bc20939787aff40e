"""The Bill Jobs API before any worker runs them: validation, limits, lists, cancelling."""

from typing import Any

import pytest
from m3ter import BadRequestError, M3ter, NotFoundError, RateLimitError

from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, frames, put

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_a_job_is_answered_as_it_was_asked(sdk: M3ter, database: Database, organization: Credentials) -> None:
    account = account_of(database, organization.org_id, "acme")
    sdk.currencies.create(name="Euro", code="EUR")
    job = sdk.bill_jobs.create(
        account_ids=[account.id],
        billing_frequency="MONTHLY",
        bill_frequency_interval=3,
        last_date_in_billing_period="2025-03-31",
        currency_conversions=[{"from_": "EUR", "to": "USD", "multiplier": 1.12}],
        timezone="Europe/Berlin",
        target_currency="EUR",
    )
    assert (job.status, job.type, job.version, job.account_ids) == ("PENDING", "CREATE", 1, [account.id])
    assert job.currency_conversions is not None
    assert (job.currency_conversions[0].from_, job.currency_conversions[0].multiplier) == ("EUR", 1.12)
    assert sdk.bill_jobs.retrieve(job.id) == job
    assert sdk.bill_jobs.cancel(job.id).status == "CANCELLED"
    assert sdk.bill_jobs.cancel(job.id).status == "CANCELLED"
    with pytest.raises(NotFoundError):
        sdk.bill_jobs.retrieve(UNKNOWN)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"billingFrequency": "MIXED"}, "billingFrequency"),
        ({"billFrequencyInterval": 0}, "billFrequencyInterval"),
        ({"billFrequencyInterval": 366}, "billFrequencyInterval"),
        ({"accountIds": []}, "accountIds"),
        ({"accountIds": [UNKNOWN] * 101}, "accountIds"),
        ({"accountIds": [UNKNOWN]}, "accountIds[0]"),
        ({"lastDateInBillingPeriod": "2025-02-30"}, "lastDateInBillingPeriod"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"targetCurrency": "EURO"}, "targetCurrency"),
        ({"targetCurrency": "EUR"}, "targetCurrency"),
        ({"currencyConversions": [{"from": "EUR", "to": "USD", "multiplier": 0}]}, "currencyConversions[0].multiplier"),
        ({"currencyConversions": [{"from": "EUR", "to": "USD"}] * 251}, "currencyConversions"),
    ],
)
def test_a_wrong_request_is_named_and_leaves_no_job(api: Any, body: dict[str, Any], field: str) -> None:
    answer = api.post(f"/organizations/{api.org_id}/billjobs", json=body)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert api.get(f"/organizations/{api.org_id}/billjobs").json() == {"data": []}


def test_a_target_currency_is_one_of_the_organizations(api: Any, database: Database) -> None:
    bills, account = f"/organizations/{api.org_id}/bills", account_of(database, api.org_id, "acme")
    body = {"targetCurrency": "EUR", "billingFrequency": "MONTHLY", "lastDateInBillingPeriod": "2025-01-31", "accountIds": [account.id]}
    answer = api.post(f"{bills}/preview", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "targetCurrency")
    assert answer.json()["message"] == "targetCurrency: there is no Currency with code 'EUR' in this organization (there are USD)"
    api.post(f"/organizations/{api.org_id}/picklists/currency", json={"name": "Euro", "code": "EUR"})
    assert api.post(f"/organizations/{api.org_id}/billjobs", json=body).json()["targetCurrency"] == "EUR"


def test_the_eleventh_unfinished_job_is_refused(sdk: M3ter) -> None:
    jobs = [sdk.bill_jobs.create() for _ in range(10)]
    with pytest.raises(RateLimitError, match="10"):
        sdk.bill_jobs.create()
    sdk.bill_jobs.cancel(jobs[3].id)
    assert sdk.bill_jobs.create().status == "PENDING"
    listed = list(sdk.bill_jobs.list(page_size=4))
    assert [job.id for job in listed[1:]] == [job.id for job in reversed(jobs)]
    assert [job.id for job in sdk.bill_jobs.list(status="CANCELLED")] == [jobs[3].id]
    assert len(list(sdk.bill_jobs.list(active="true"))) == 10
    assert len(list(sdk.bill_jobs.list(active="false"))) == 11
    with pytest.raises(BadRequestError, match="status"):
        sdk.bill_jobs.list(status="LATE")


def test_a_complete_job_names_its_bills_and_can_not_be_cancelled(sdk: M3ter, database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    failure = {"accountId": UNKNOWN, "accountCode": "poor", "reason": "no conversion from EUR to USD"}
    [bill_id] = put(database, lake, org_id, [frames(account_of(database, org_id, "acme"), ["1"])], failures=[failure])
    [job] = sdk.bill_jobs.list().data
    assert (job.status, job.bill_ids, job.total, job.pending) == ("COMPLETE", [bill_id], 2, 0)
    assert job.model_extra is not None
    assert job.model_extra["failures"] == [failure]
    with pytest.raises(BadRequestError, match="COMPLETE"):
        sdk.bill_jobs.cancel(job.id)
    again = sdk.bill_jobs.recalculate(bill_ids=[bill_id])
    assert (again.type, again.status, again.bill_ids) == ("RECALCULATE", "PENDING", [bill_id])
    with pytest.raises(BadRequestError, match="no such bill"):
        sdk.bill_jobs.recalculate(bill_ids=[UNKNOWN])
