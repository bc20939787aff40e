"""Statement jobs and statements as the official SDK and plain HTTP see them."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from m3ter import BadRequestError, M3ter, NotFoundError
from m3ter.types import StatementJobResponse

from pipelines.storage import statement_files
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.statements import Billed, billed

D = Decimal


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Billed:
    return billed(database, lake, organization.org_id, tmp_path / "landing")


def downloaded(api: Any, url: str, *, status: int = 200) -> Any:
    parts = urlsplit(url)
    answer = api.get(f"{parts.path}?{parts.query}", headers={"authorization": ""})
    assert answer.status_code == status, answer.text
    return answer


def put_organization(api: Any, **changes: Any) -> None:
    path = f"/organizations/{api.org_id}/organizationconfig"
    stored = api.get(path).json()
    answer = api.put(path, json={**stored, **changes})
    assert answer.status_code == 200, answer.text


def test_a_job_makes_a_statement_that_anybody_with_the_address_can_download(sdk: M3ter, api: Any, site: Billed) -> None:
    bill_id = site.bill()["acme"]
    job = sdk.statements.statement_jobs.create(bill_id=bill_id, include_csv_format=True)
    assert (job.statement_job_status, job.bill_id, job.presigned_json_statement_url) == ("PENDING", bill_id, None)
    with pytest.raises(NotFoundError):
        api_statement(sdk, bill_id)
    site.run(job.id)
    done = sdk.statements.statement_jobs.retrieve(job.id)
    assert (done.statement_job_status, done.json_statement_status, done.csv_statement_status) == ("COMPLETE", "LATEST", "LATEST")
    assert done.presigned_json_statement_url
    assert done.presigned_csv_statement_url
    answer = downloaded(api, done.presigned_json_statement_url)
    document = answer.json(parse_float=Decimal)
    assert document["totals"] == {"usage": D("75.38"), "other": 5, "bill": D("80.38")}
    (usage,) = document["usage"]
    assert (usage["quantity"], usage["reconciles"], len(usage["rows"])) == (D("301.5"), True, 31)
    assert [row["quantity"] for row in usage["rows"] if row["quantity"]] == [D("100.5")] * 3
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(downloaded(api, done.presigned_csv_statement_url).text)))
    assert sum(D(row["converted_subtotal"]) for row in rows if row["row"] == "LINE") == D("80.38")
    bill = sdk.bills.retrieve(bill_id)
    assert (bill.json_statement_generated, bill.csv_statement_generated, bill.statement_stale) == (True, True, False)
    assert downloaded(api, api_statement(sdk, bill_id)).json(parse_float=Decimal) == document


def api_statement(sdk: M3ter, bill_id: str) -> str:
    path = f"/organizations/{sdk.org_id}/bills/{bill_id}/statement/json"
    found = sdk.get(path, cast_to=object)
    assert isinstance(found, dict)
    return str(found["downloadUrl"])


def test_an_address_is_good_for_its_path_and_a_minute(sdk: M3ter, api: Any, site: Billed, monkeypatch: pytest.MonkeyPatch) -> None:
    bills = site.bill()
    jobs = sdk.statements.statement_jobs.create_batch(bill_ids=[bills["acme"], bills["beta"]])
    site.run(*(job.id for job in jobs))
    urls = [str(sdk.statements.statement_jobs.retrieve(job.id).presigned_json_statement_url) for job in jobs]
    assert downloaded(api, urls[0]).json()["bill"]["accountCode"] == "acme"
    other = urlsplit(urls[1]).path + "?" + urlsplit(urls[0]).query
    assert "not valid" in downloaded(api, other, status=403).json()["message"]
    later = urls[0].replace("expires=", "expires=9")
    assert "not valid" in downloaded(api, later, status=403).json()["message"]
    for query in ("", "?expires=x&signature=y", "?expires=99999999999&signature=ü"):
        downloaded(api, urlsplit(urls[0]).path + query, status=403)
    now = datetime.now(UTC).timestamp()
    monkeypatch.setattr("api.presigned.time.time", lambda: now + 61)
    assert "expired" in downloaded(api, urls[0], status=403).json()["message"]


def test_a_recalculated_bill_has_a_stale_statement_and_a_new_one_takes_its_place(sdk: M3ter, api: Any, site: Billed) -> None:
    bill_id = site.bill()["acme"]
    first = sdk.statements.statement_jobs.create(bill_id=bill_id, include_csv_format=True)
    site.run(first.id)
    site.used({"acme": "10"}, day=20)
    site.bill()
    assert sdk.bills.retrieve(bill_id).statement_stale is True
    stale = sdk.statements.statement_jobs.retrieve(first.id)
    assert (stale.json_statement_status, stale.csv_statement_status) == ("STALE", "STALE")
    second = sdk.statements.statement_jobs.create(bill_id=bill_id)
    site.run(second.id)
    assert sdk.bills.retrieve(bill_id).statement_stale is False
    jobs = {job.id: job for job in sdk.statements.statement_jobs.list(bill_id=bill_id)}
    assert jobs[second.id].json_statement_status == "LATEST"
    assert (jobs[first.id].json_statement_status, jobs[first.id].csv_statement_status) == ("INVALIDATED", "STALE")
    document = downloaded(api, str(jobs[second.id].presigned_json_statement_url)).json(parse_float=Decimal)
    assert document["usage"][0]["quantity"] == D("311.5")
    # What was told of the earlier calculation can still be read.
    assert downloaded(api, str(jobs[first.id].presigned_json_statement_url)).json(parse_float=Decimal)["usage"][0]["quantity"] == D("301.5")


def test_usage_that_came_after_the_bill_is_not_in_its_statement(sdk: M3ter, api: Any, site: Billed) -> None:
    bill_id = site.bill()["acme"]
    site.used({"acme": "10"}, day=20)
    drained(site.database, site.lake, site.landing)
    job = sdk.statements.statement_jobs.create(bill_id=bill_id)
    site.run(job.id)
    document = downloaded(api, str(sdk.statements.statement_jobs.retrieve(job.id).presigned_json_statement_url)).json(parse_float=Decimal)
    assert (document["usage"][0]["measuredQuantity"], document["usage"][0]["reconciles"]) == (D("301.5"), True)


def test_lists_ask_by_one_thing(sdk: M3ter, site: Billed) -> None:
    bills = site.bill()
    first, second = sdk.statements.statement_jobs.create_batch(bill_ids=[bills["acme"], bills["beta"]])
    site.run(first.id)

    def found(**filters: Any) -> list[str]:
        return [job.id for job in sdk.statements.statement_jobs.list(page_size=1, **filters)]

    assert found() == [second.id, first.id]
    assert found(active="true") == found(status="PENDING") == [second.id]
    assert found(bill_id=bills["acme"]) == found(status="COMPLETE") == [first.id]
    for pair in ({"active": "true", "bill_id": bills["acme"]}, {"active": "false", "status": "COMPLETE"}, {"status": "COMPLETE", "bill_id": "x"}):
        with pytest.raises(BadRequestError, match="can't be combined"):
            found(**pair)


def test_a_job_that_has_not_ended_can_be_cancelled(sdk: M3ter, site: Billed) -> None:
    jobs = sdk.statements.statement_jobs
    job = jobs.create(bill_id=site.bill()["acme"])
    assert jobs.cancel(job.id).statement_job_status == "CANCELLED"
    assert jobs.cancel(job.id).version == 2
    done = jobs.create(bill_id=str(job.bill_id))
    site.run(done.id)
    with pytest.raises(BadRequestError, match="is COMPLETE"):
        jobs.cancel(done.id)
    with pytest.raises(NotFoundError):
        jobs.retrieve("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("", {}, "billId"),
        ("", {"billId": "x"}, "billIds"),
        ("/batch", {"billIds": []}, "billIds"),
        ("/batch", {"billIds": ["x"] * 11}, "billIds"),
        ("", {"billId": "x", "includeCsvFormat": "yes"}, "includeCsvFormat"),
        ("", {"billId": "x", "filters": {"meterIds": ["m"] * 11}}, "filters.meterIds"),
    ],
)
def test_orders_that_can_not_be_carried_out_are_refused(api: Any, path: str, body: dict[str, Any], field: str) -> None:
    answer = api.post(f"/organizations/{api.org_id}/statementjobs{path}", json=body)
    assert answer.status_code == 400
    assert field in {problem["field"] for problem in answer.json()["errors"]}
    assert api.get(f"/organizations/{api.org_id}/statementjobs").json() == {"data": []}


def test_the_filter_of_a_job_leaves_other_meters_to_the_rest_of_the_bill(sdk: M3ter, api: Any, site: Billed) -> None:
    bill_id = site.bill()["acme"]
    (meter,) = sdk.meters.list().data
    unused = sdk.meters.create(name="o", code="o", data_fields=[{"category": "MEASURE", "code": "q", "name": "q", "unit": "1"}], derived_fields=[])
    documents = []
    for meter_id in (meter.id, unused.id):
        job = sdk.statements.statement_jobs.create(bill_id=bill_id, filters={"meter_ids": [meter_id]})
        site.run(job.id)
        url = str(sdk.statements.statement_jobs.retrieve(job.id).presigned_json_statement_url)
        documents.append(downloaded(api, url).json(parse_float=Decimal))
    assert [len(document["usage"]) for document in documents] == [1, 0]
    assert [document["totals"]["usage"] for document in documents] == [D("75.38"), 0]


def test_the_accounts_definition_counts_before_the_organizations(sdk: M3ter, api: Any, site: Billed) -> None:
    bills = site.bill()
    definitions = sdk.statements.statement_definitions
    weekly = definitions.create(aggregation_frequency="WEEK", name="Weekly", measures=[{"aggregations": ["SUM", "COUNT"]}])
    whole = definitions.create(aggregation_frequency="WHOLE_PERIOD", include_price_per_unit=True)
    put_organization(api, defaultStatementDefinitionId=weekly.id)
    account = sdk.accounts.retrieve(site.plans.account_ids["beta"])
    sdk.accounts.update(
        account.id, name="beta", code="beta", email_address="b@example.com", version=account.version or 1, statement_definition_id=whole.id
    )
    found = {}
    for code in ("acme", "beta"):
        job = sdk.statements.statement_jobs.create(bill_id=bills[code])
        site.run(job.id)
        found[code] = downloaded(api, str(sdk.statements.statement_jobs.retrieve(job.id).presigned_json_statement_url)).json(parse_float=Decimal)
    assert found["acme"]["definition"] == {
        "id": weekly.id,
        "name": "Weekly",
        "aggregationFrequency": "WEEK",
        "includePricePerUnit": False,
        "generateSlimStatements": False,
    }
    assert [(row["quantity"]) for row in found["acme"]["usage"][0]["rows"]] == [D("100.5"), D("100.5"), D("100.5"), 0, 0]
    assert [(row["qty.SUM"], row["qty.COUNT"]) for row in found["acme"]["breakdown"][0]["rows"]] == [(D("100.5"), 1)] * 3
    assert [(row["quantity"], row["pricePerUnit"]) for row in found["beta"]["usage"][0]["rows"]] == [(12, D("0.25"))]


def test_the_usage_of_one_line_can_be_downloaded(sdk: M3ter, api: Any, site: Billed) -> None:
    bill_id = site.bill()["acme"]
    lines = {line.line_item_type: line for line in sdk.bills.line_items.list(bill_id)}
    assert (lines["USAGE"].json_usage_generated, lines["STANDING_CHARGE"].json_usage_generated) == (True, False)
    path = f"/organizations/{api.org_id}/bills/{bill_id}/lineitems"
    answer = api.get(f"{path}/{lines['USAGE'].id}/usage/json")
    usage = downloaded(api, answer.json()["downloadUrl"]).json(parse_float=Decimal)
    assert (usage["quantity"], sum(row["quantity"] for row in usage["rows"]), usage["bill"]["id"]) == (D("301.5"), D("301.5"), bill_id)
    assert api.get(f"{path}/{lines['STANDING_CHARGE'].id}/usage/json").status_code == 404


def test_a_csv_statement_can_be_made_at_once(api: Any, site: Billed) -> None:
    bill_id = site.bill()["beta"]
    path = f"/organizations/{api.org_id}/bills/{bill_id}/statement/csv"
    missing = api.get(path)
    assert (missing.status_code, "a statement job with includeCsvFormat makes one" in missing.json()["message"]) == (404, True)
    made = api.post(path)
    assert made.status_code == 200, made.text
    assert downloaded(api, made.json()["downloadUrl"]).text == downloaded(api, api.get(path).json()["downloadUrl"]).text
    assert api.post(path.replace(bill_id, "nothing")).status_code == 404


def test_a_job_whose_document_is_gone_says_so(sdk: M3ter, api: Any, site: Billed) -> None:
    job = sdk.statements.statement_jobs.create(bill_id=site.bill()["acme"])
    site.run(job.id)
    file = statement_files.StatementFile(site.org_id, str(job.bill_id), job.id, "json")
    (Path(site.lake.root) / file.path).unlink()
    url = str(sdk.statements.statement_jobs.retrieve(job.id).presigned_json_statement_url)
    assert "does not exist" in json.loads(downloaded(api, url, status=404).text)["message"]


def test_a_deleted_bills_statement_is_invalidated(sdk: M3ter, site: Billed) -> None:
    job: StatementJobResponse = sdk.statements.statement_jobs.create(bill_id=site.bill()["acme"])
    site.run(job.id)
    sdk.bills.delete(str(job.bill_id))
    assert sdk.statements.statement_jobs.retrieve(job.id).json_statement_status == "INVALIDATED"


@pytest.mark.parametrize("asked", [("NONE", None, None), ("JSON", None, False), ("NONE", "JSON_AND_CSV", True), ("JSON", "NONE", None)])
def test_an_approval_orders_statements_as_the_account_or_else_the_organization_asks(
    sdk: M3ter, api: Any, site: Billed, asked: tuple[str, str | None, bool | None]
) -> None:
    mode, account_mode, formats = asked
    bill_id = site.bill()["acme"]
    put_organization(api, autoGenerateStatementMode=mode)
    if account_mode is not None:
        path = f"/organizations/{api.org_id}/accounts/{site.plans.account_ids['acme']}"
        assert api.put(path, json={**api.get(path).json(), "autoGenerateStatementMode": account_mode}).status_code == 200
    assert sdk.statements.statement_jobs.list(bill_id=bill_id).data == []
    sdk.bills.approve(bill_ids=[bill_id])
    jobs = sdk.statements.statement_jobs.list(bill_id=bill_id).data
    assert [job.include_csv_format for job in jobs] == ([] if formats is None else [formats])
    site.run(*(job.id for job in jobs))
    sdk.bills.lock(bill_id)
    # The statement of this calculation is there already.
    assert len(sdk.statements.statement_jobs.list(bill_id=bill_id).data) == len(jobs)
