"""Bill jobs from usage to stored bills, in one process, on the real PostgreSQL and Delta."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.storage import bill_inputs, bill_jobs, bill_runs, bill_store, config_store
from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.bill_lines import lines_by_bill, scanned
from pipelines.storage.bill_runs import JobSummary, ran, ran_inline
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.offers import landed, offer, usage_body
from tests.together import together
from transforms.billing import shards
from transforms.billing.job_requests import BillJobRecalculateRequest, BillJobRequest
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plans import Pricing
from transforms.entities.usage import Aggregation, DataField, Meter
from transforms.errors import Refused

D = Decimal
JANUARY = BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=date(2025, 1, 31))


class Organization:
    """One organization with a landing of its own, and what its bills are at the moment."""

    def __init__(self, database: Database, lake: Lake, org_id: str, landing: Path) -> None:
        self.database, self.lake, self.org_id, self.landing = database, lake, org_id, landing

    def used(self, quantities: dict[str, str], **options: Any) -> None:
        landed(self.landing, self.org_id, usage_body(quantities, **options))

    def billed(self, request: BillJobRequest = JANUARY) -> JobSummary:
        return ran_inline(self.database, self.lake, self.landing, self.org_id, request=request, created_by="tester")

    def recalculated(self, *bill_ids: str) -> BillJob:
        session = bill_jobs.new_session()
        with self.database.transaction() as connection:
            bill_jobs.created(connection, self.org_id, BillJobRecalculateRequest(bill_ids=list(bill_ids)), created_by="tester")
        with self.database.session_lock(bill_jobs.session_key(session)):
            with self.database.transaction() as connection:
                claim = bill_jobs.claimed(connection, session)
                while claim is not None and claim.org_id != self.org_id:  # what other tests left waiting
                    bill_jobs.abandoned(connection, claim, "left by another test")
                    claim = bill_jobs.claimed(connection, session)
            assert claim is not None
            ran(self.database, self.lake, self.landing, claim)
        return self.job(claim.id)

    def job(self, job_id: str) -> BillJob:
        with self.database.transaction() as connection:
            return bill_jobs.job(connection, self.org_id, job_id)

    def bills(self) -> dict[str, dict[str, Any]]:
        """Account code -> header (of the newest bill)."""
        with self.database.transaction() as connection:
            found = bill_store.listed(connection, self.org_id, BillFilter(), before=None, limit=1000)
        return {header["account_code"]: header for header in reversed(found)}

    def totals(self) -> dict[str, Decimal]:
        return {code: header["bill_total"] for code, header in self.bills().items()}

    def content(self) -> list[Any]:
        """All that a recalculation without a change must repeat to the byte: headers' amounts and every line."""
        headers = sorted(self.bills().values(), key=lambda header: header["id"])
        lines = lines_by_bill(self.lake, self.org_id, headers)
        state = {"version", "calculation_id", "bill_job_id", "last_calculated_at", "dt_last_modified", "status", "approved_by", "dt_approved"}
        state |= {"approved_calculation_id"}
        provenance = {"configuration_as_of", "dataset_versions", "certificates"}
        kept = [{name: value for name, value in header.items() if name not in state | provenance} for header in headers]
        return [kept, {i: [{k: v for k, v in line.items() if k != "calculation_id"} for line in own] for i, own in lines.items()}]


@pytest.fixture
def org(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Organization:
    return Organization(database, lake, organization.org_id, tmp_path / "landing")


def test_a_job_bills_everything_acknowledged_before_it(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "beta"], standing_charge="10")
    org.used({"acme": "100", "beta": "0.000000000001"})
    summary = org.billed()
    assert org.totals() == {"acme": D("35.00"), "beta": D("10.00")}
    assert (summary.bills, summary.failures, summary.last_dates) == (2, 0, (date(2025, 1, 31),))
    job = org.job(summary.job_id)
    assert (job.status, len(job.bill_ids), job.total, job.pending, job.failures) == ("COMPLETE", 2, 2, 0, ())
    header = org.bills()["acme"]
    assert header["certificates"] == [
        {"startDate": "2025-01-01", "endDate": "2025-01-31", "landed": 2, "accepted": 2, "duplicates": 0, "rejected": 0}
    ]
    assert header["configuration_hash"]
    assert any(name.startswith("measurements/") for name in header["dataset_versions"])


def test_calculating_again_without_a_change_repeats_every_byte(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "beta"], standing_charge="3.33")
    org.used({"acme": "7.125", "beta": "11"})
    org.billed()
    before = org.content()
    header = org.bills()["acme"]
    with org.database.transaction() as connection:
        bill_store.approved(connection, org.org_id, [header["id"]], actor="me")
    org.billed()
    assert org.content() == before
    assert org.bills()["acme"]["status"] == "PENDING"
    job = org.recalculated(header["id"])
    assert (job.status, job.bill_ids, job.failures) == ("COMPLETE", (header["id"],), ())
    assert org.content() == before
    assert org.bills()["acme"]["version"] == 4
    assert org.bills()["beta"]["version"] == 2


def test_usage_that_no_segment_matches_is_stated_on_the_bill_and_on_its_preview(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme", "beta"])
    aggregation_id = _priced_by_region(org, plans.plan_id)
    for region, day in (("eu", 10), ("us", 11), ("us", 12)):
        org.used({"acme": "4"}, day=day, region=region)
    org.used({"beta": "4"}, region="eu")
    left = [{"aggregationId": aggregation_id, "aggregationCode": "by_region", "measurements": 2}]
    request = BillJobRequest.model_validate(JANUARY.model_dump() | {"account_ids": [plans.account_ids["acme"]]})
    assert bill_runs.previewed(org.database, org.lake, org.landing, org.org_id, request=request)[0]["unmatched"] == left
    org.billed()
    assert {code: header["unmatched"] for code, header in org.bills().items()} == {"acme": left, "beta": []}
    org.used({"acme": "4"}, day=13, region="us")
    org.recalculated(org.bills()["acme"]["id"])
    assert [entry["measurements"] for entry in org.bills()["acme"]["unmatched"]] == [3]


def _priced_by_region(org: Organization, plan_id: str) -> str:
    """Give the meter of the offer a region, and the plan a price for the region eu; the id of the segmented aggregation."""
    with org.database.transaction() as connection:
        meter = config_store.entities(connection, org.org_id, Meter, code="calls")[0]
        fields = [*meter.data_fields, DataField(category="WHERE", code="region", name="region")]
        config_store.updated(connection, org.org_id, meter.id, meter.model_copy(update={"data_fields": fields}), "tester")
        segments = {"segmentedFields": ["region"], "segments": [{"region": "eu"}]}
        plain = {"targetField": "qty", "aggregation": "SUM", "quantityPerUnit": "1", "rounding": "NONE", "unit": "1"}
        aggregation = Aggregation.model_validate({"name": "by region", "code": "by_region", "meterId": meter.id, **plain, **segments})
        created = config_store.created(connection, org.org_id, aggregation, "tester")
        bands = [{"lowerLimit": "0", "fixedPrice": "0", "unitPrice": "1"}]
        price = {
            "planId": plan_id,
            "aggregationId": created.id,
            "segment": {"region": "eu"},
            "startDate": "2025-01-01T00:00:00Z",
            "pricingBands": bands,
        }
        config_store.created(connection, org.org_id, Pricing.model_validate(price), "tester")
    return created.id


def test_late_usage_changes_the_bill_and_keeps_its_id(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "100"})
    org.billed()
    bill_id = org.bills()["acme"]["id"]
    org.used({"acme": "50"}, day=11)
    org.recalculated(bill_id)
    assert (org.bills()["acme"]["id"], org.totals()) == (bill_id, {"acme": D("37.50")})
    org.used({"acme": "1"}, day=11)  # the same uid again
    org.recalculated(bill_id)
    assert org.totals() == {"acme": D("37.50")}
    assert org.bills()["acme"]["certificates"][0] == {
        "startDate": "2025-01-01",
        "endDate": "2025-01-31",
        "landed": 3,
        "accepted": 2,
        "duplicates": 1,
        "rejected": 0,
    }


def test_one_account_without_a_conversion_fails_alone(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    offer(org.database, org.org_id, ["euro"], currency="EUR")
    org.used({"acme": "4", "euro": "4"})
    summary = org.billed()
    assert org.totals() == {"acme": D(1)}
    [failure] = org.job(summary.job_id).failures
    assert failure["accountCode"] == "euro"
    assert "EUR" in str(failure["reason"])
    rate = {"from": "EUR", "to": "USD", "multiplier": "1.12"}
    org.billed(BillJobRequest.model_validate(JANUARY.model_dump() | {"currency_conversions": [rate]}))
    assert org.totals() == {"acme": D(1), "euro": D("1.12")}
    euro = org.bills()["euro"]
    assert euro["currency_conversions"] == [{"from": "EUR", "to": "USD", "multiplier": "1.120000000000"}]
    # A recalculation repeats the job's conversions, which the organization does not have.
    assert org.recalculated(euro["id"]).failures == ()
    assert org.totals()["euro"] == D("1.12")


def test_a_recalculation_leaves_what_is_locked_gone_or_not_due(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme", "beta", "gone"])
    org.used({"acme": "4", "beta": "8", "gone": "1"})
    org.billed()
    ids = {code: header["id"] for code, header in org.bills().items()}
    with org.database.transaction() as connection:
        bill_store.approved(connection, org.org_id, [ids["acme"]], actor="me")
        bill_store.locked(connection, org.org_id, ids["acme"], actor="me")
    from transforms.entities.accounts import AccountPlan

    with org.database.transaction() as connection:
        config_store.deleted(connection, org.org_id, AccountPlan, plans.account_plan_ids["beta"], "tester")
    org.used({"acme": "400", "beta": "800", "gone": "3"}, day=11)
    job = org.recalculated(*ids.values())
    assert org.totals() == {"acme": D(1), "beta": D(2), "gone": D(1)}
    assert {f["accountCode"]: f["billId"] for f in job.failures} == {"acme": ids["acme"], "beta": ids["beta"]}
    assert job.bill_ids == (ids["gone"],)


def test_shards_change_no_bill(org: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [f"account-{n}" for n in range(7)]
    offer(org.database, org.org_id, codes, standing_charge="1")
    org.used({code: str(n) for n, code in enumerate(codes)})
    org.billed()
    before = org.content()
    monkeypatch.setattr(bill_inputs, "shards", lambda configuration, account_ids=None: shards.shards(configuration, account_ids=account_ids, size=2))
    org.billed()
    assert org.content() == before


def test_two_jobs_at_once_over_the_same_accounts_neither_double_nor_tear(org: Organization) -> None:
    codes = [f"account-{n:02}" for n in range(20)]
    plans = offer(org.database, org.org_id, codes, standing_charge="1")
    org.used(dict.fromkeys(codes, "4"))
    org.billed()
    ids = {code: header["id"] for code, header in org.bills().items()}
    expected = {D("0.25"): D(2), D("0.5"): D(3), D("0.75"): D(4)}

    def price(value: str) -> None:
        with org.database.transaction() as connection:
            pricing = config_store.entity(connection, org.org_id, Pricing, plans.pricing_id)
            bands = [pricing.pricing_bands[0].model_copy(update={"unit_price": D(value)})]
            config_store.updated(connection, org.org_id, pricing.id, pricing.model_copy(update={"pricing_bands": bands}), "tester")

    for value in ("0.5", "0.75"):
        together(org.billed, lambda value=value: price(value), org.billed, org.billed)
        bills = org.bills()
        assert {code: header["id"] for code, header in bills.items()} == ids
        lines = lines_by_bill(org.lake, org.org_id, list(bills.values()))
        for header in bills.values():
            own = lines[header["id"]]
            assert len(own) == 2
            assert sum(line["converted_subtotal"] for line in own) == header["bill_total"]
            assert header["bill_total"] in expected.values()
        # One calculation wins whole: no bill of the last one that began is older than another's.
        assert len({header["calculation_id"] for header in bills.values()}) == 1
    org.billed()
    assert set(org.totals().values()) == {D(4)}
    current = scanned(org.lake, org.org_id, list(org.bills().values())).collect()
    assert current["line_item_id"].n_unique() == current.height == 40


def test_a_preview_shows_the_bill_and_stores_nothing(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme"], standing_charge="10")
    org.used({"acme": "100"})
    request = BillJobRequest.model_validate(JANUARY.model_dump() | {"account_ids": [plans.account_ids["acme"]]})
    header, lines = bill_runs.previewed(org.database, org.lake, org.landing, org.org_id, request=request)
    assert (header["bill_total"], len(lines)) == (D(35), 2)
    assert org.bills() == {}
    org.billed()
    assert org.bills()["acme"]["id"] == header["id"]
    early = request.model_copy(update={"last_date_in_billing_period": date(2024, 1, 31)})
    with pytest.raises(Refused, match="no MONTHLY bill"):
        bill_runs.previewed(org.database, org.lake, org.landing, org.org_id, request=early)


def test_empty_bills_are_suppressed_where_the_organization_says_so(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "idle"])
    with org.database.transaction() as connection:
        config = config_store.singleton(connection, org.org_id, OrganizationConfig)
        config_store.updated(connection, org.org_id, config.id, config.model_copy(update={"suppressed_empty_bills": True}), "tester")
    org.used({"acme": "1"})
    org.billed()
    assert org.totals() == {"acme": D("0.25")}
