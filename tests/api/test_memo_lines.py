"""Credit and debit lines as the official SDK puts them on bills, and as bills show them."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from m3ter import BadRequestError, ConflictError, M3ter, NotFoundError

from pipelines.storage import config_store
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, frames, put
from transforms.entities.organization import Currency, CurrencyConversion, OrganizationConfig
from transforms.entities.picklists import CreditReason, DebitReason
from transforms.entities.usage import Product

D = Decimal
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Site:
    """An organization with a bill of two lines, 3.255 USD, and what memo lines may refer to."""

    def __init__(self, database: Database, lake: Lake, org_id: str) -> None:
        self.database, self.lake, self.org_id = database, lake, org_id
        self.account = account_of(database, org_id, "acme")
        with database.transaction() as connection:
            self.product = config_store.created(connection, org_id, Product(name="Calls", code="calls"), "tester").id
            self.credit_reason = config_store.created(connection, org_id, CreditReason(name="Outage", code="outage"), "tester").id
            self.debit_reason = config_store.created(connection, org_id, DebitReason(name="Extra", code="extra"), "tester").id
        self.bill_id = self.calculated(["1.25", "2.005"])

    def calculated(self, amounts: list[str]) -> str:
        return put(self.database, self.lake, self.org_id, [frames(self.account, amounts, product_id=self.product)])[0]

    def memo(self, amount: float = 1.5, **fields: Any) -> dict[str, Any]:
        return {
            "bill_id": self.bill_id,
            "accounting_product_id": self.product,
            "product_id": self.product,
            "amount": amount,
            "description": "Goodwill",
            "referenced_bill_id": self.bill_id,
            "referenced_line_item_id": self.line_id,
            "service_period_start_date": "2025-01-10T00:00:00Z",
            "service_period_end_date": "2025-01-12T00:00:00Z",
            **fields,
        }

    @property
    def line_id(self) -> str:
        _, lines = frames(self.account, ["1"])
        return str(lines["line_item_id"][0])


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials) -> Site:
    return Site(database, lake, organization.org_id)


def get(api: Any, path: str, **parameters: Any) -> Any:
    answer = api.get(f"/organizations/{api.org_id}/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json(parse_float=Decimal)


def test_a_credit_stands_on_the_bill_after_what_was_computed(sdk: M3ter, api: Any, site: Site) -> None:
    made = sdk.bills.credit_line_items.create(**site.memo(1.5, credit_reason_id=site.credit_reason))
    assert (made.amount, made.version, made.credit_reason_id, made.referenced_bill_id) == (1.5, 1, site.credit_reason, site.bill_id)
    assert made.line_item_type in (None, "CREDIT_MEMO")
    bill = get(api, f"bills/{site.bill_id}")
    assert bill["billTotal"] == D("1.755")
    line = bill["lineItems"][-1]
    assert (line["id"], line["lineItemType"], line["subtotal"], line["convertedSubtotal"]) == (made.id, "CREDIT_MEMO", D("-1.5"), D("-1.5"))
    assert (line["sequenceNumber"], line["reasonId"], line["productCode"]) == (3, site.credit_reason, "calls")
    assert (line["referencedBillId"], line["referencedLineItemId"]) == (site.bill_id, site.line_id)
    assert (line["servicePeriodStartDate"], line["servicePeriodEndDate"]) == ("2025-01-10T00:00:00Z", "2025-01-12T00:00:00Z")
    one = sdk.bills.line_items.retrieve(made.id, bill_id=site.bill_id)
    assert (one.subtotal, one.line_item_type) == (-1.5, "CREDIT_MEMO")
    assert [line["id"] for line in get(api, "lineitems", lineItemType="CREDIT_MEMO")["data"]] == [made.id]
    assert [line["sequenceNumber"] for line in get(api, "lineitems", pageSize=2)["data"]] == [1, 2]
    assert [line["sequenceNumber"] for line in get(api, f"bills/{site.bill_id}/lineitems")["data"]] == [1, 2, 3]


def test_a_debit_may_carry_another_type_and_apply_in_part(sdk: M3ter, api: Any, site: Site) -> None:
    sdk.bills.debit_line_items.create(**site.memo(10, line_item_type="AD_HOC", amount_to_apply_on_bill=4, debit_reason_id=site.debit_reason))
    bill = get(api, f"bills/{site.bill_id}")
    assert (bill["lineItems"][-1]["lineItemType"], bill["lineItems"][-1]["subtotal"], bill["billTotal"]) == ("AD_HOC", 4, D("7.255"))


def test_lines_survive_recalculations_and_follow_the_new_ones(sdk: M3ter, api: Any, site: Site) -> None:
    sdk.bills.credit_line_items.create(**site.memo(1))
    sdk.bills.debit_line_items.create(**site.memo(5))
    assert site.calculated(["7", "8", "9"]) == site.bill_id
    bill = get(api, f"bills/{site.bill_id}")
    assert [line["subtotal"] for line in bill["lineItems"]] == [7, 8, 9, -1, 5]
    assert [line["sequenceNumber"] for line in bill["lineItems"]] == [1, 2, 3, 4, 5]
    assert bill["billTotal"] == 28
    site.calculated([])
    assert get(api, f"bills/{site.bill_id}")["billTotal"] == 4


def test_update_and_delete_keep_the_total_in_step(sdk: M3ter, api: Any, site: Site) -> None:
    first = sdk.bills.credit_line_items.create(**site.memo(1))
    second = sdk.bills.credit_line_items.create(**site.memo(2))
    assert [line.id for line in sdk.bills.credit_line_items.list(site.bill_id, page_size=1)] == [second.id, first.id]
    assert list(sdk.bills.debit_line_items.list(site.bill_id)) == []
    changed = sdk.bills.credit_line_items.update(first.id, **site.memo(3, version=1, description="More"))
    assert (changed.version, changed.amount, changed.description) == (2, 3, "More")
    assert get(api, f"bills/{site.bill_id}")["billTotal"] == D("-1.745")
    with pytest.raises(ConflictError):
        sdk.bills.credit_line_items.update(first.id, **site.memo(4, version=1))
    with pytest.raises(BadRequestError, match="version"):
        sdk.bills.credit_line_items.update(first.id, **site.memo(4))
    assert sdk.bills.credit_line_items.delete(second.id, bill_id=site.bill_id).id == second.id
    with pytest.raises(NotFoundError):
        sdk.bills.credit_line_items.retrieve(second.id, bill_id=site.bill_id)
    with pytest.raises(NotFoundError):  # a credit is no debit
        sdk.bills.debit_line_items.retrieve(first.id, bill_id=site.bill_id)
    bill = get(api, f"bills/{site.bill_id}")
    assert (bill["billTotal"], len(bill["lineItems"]), bill["version"]) == (D("0.255"), 3, 5)
    body = get(api, f"bills/{site.bill_id}/creditlineitems/{first.id}")
    assert api.put(f"/organizations/{api.org_id}/bills/{site.bill_id}/creditlineitems/{first.id}", json=body | {"amount": 1}).status_code == 200


def test_a_locked_bill_takes_no_lines(sdk: M3ter, site: Site) -> None:
    made = sdk.bills.credit_line_items.create(**site.memo(1))
    sdk.bills.approve(bill_ids=[site.bill_id])
    sdk.bills.debit_line_items.create(**site.memo(1))  # an approved one does, and stays approved
    assert sdk.bills.lock(site.bill_id).status == "APPROVED"
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.credit_line_items.create(**site.memo(1))
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.credit_line_items.update(made.id, **site.memo(2, version=1))
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.credit_line_items.delete(made.id, bill_id=site.bill_id)
    assert sdk.bills.retrieve(site.bill_id).bill_total == 3.255


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"product_id": UNKNOWN}, "productId"),
        ({"accounting_product_id": UNKNOWN}, "accountingProductId"),
        ({"credit_reason_id": UNKNOWN}, "creditReasonId"),
        ({"referenced_bill_id": UNKNOWN}, "referencedBillId"),
        ({"referenced_line_item_id": UNKNOWN}, "referencedLineItemId"),
        ({"service_period_end_date": "2024-01-01T00:00:00Z"}, "servicePeriodEndDate"),
        ({"amount": 10**27}, "amount"),
        ({"extra_body": {"currency": "EUR"}}, "currency"),
    ],
)
def test_a_wrong_reference_is_named_and_nothing_is_stored(sdk: M3ter, site: Site, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        sdk.bills.credit_line_items.create(**site.memo(1) | fields)
    assert list(sdk.bills.credit_line_items.list(site.bill_id)) == []
    assert sdk.bills.retrieve(site.bill_id).bill_total == 3.255
    with pytest.raises(NotFoundError):
        sdk.bills.credit_line_items.create(**site.memo(1, bill_id=UNKNOWN))


def test_a_line_in_another_currency_is_converted_at_the_organizations_rate(sdk: M3ter, api: Any, site: Site) -> None:
    with site.database.transaction() as connection:
        config_store.created(connection, site.org_id, Currency(name="Euro", code="EUR"), "tester")
        config = config_store.singleton(connection, site.org_id, OrganizationConfig)
        rates = [CurrencyConversion.model_validate({"from": "EUR", "to": "USD", "multiplier": "1.125"})]
        config_store.updated(connection, site.org_id, config.id, config.model_copy(update={"currency_conversions": rates}), "tester")
    sdk.bills.debit_line_items.create(**site.memo(1.5), extra_body={"currency": "EUR"})
    line = get(api, f"bills/{site.bill_id}")["lineItems"][-1]
    assert (line["currency"], line["conversionRate"], line["subtotal"], line["convertedSubtotal"]) == ("EUR", D("1.125"), D("1.5"), D("1.69"))


def test_a_deleted_bill_takes_its_lines_along(sdk: M3ter, api: Any, site: Site) -> None:
    sdk.bills.credit_line_items.create(**site.memo(1))
    assert len(sdk.bills.delete(site.bill_id).line_items or []) == 3
    site.calculated(["2"])
    assert get(api, f"bills/{site.bill_id}")["billTotal"] == 2


def test_a_product_in_use_stays(sdk: M3ter, database: Database, lake: Lake, site: Site) -> None:
    sdk.bills.credit_line_items.create(**site.memo(1))
    with pytest.raises(BadRequestError, match="used by"):
        sdk.products.delete(site.product)


def test_a_bill_date_of_its_own_page(sdk: M3ter, site: Site) -> None:
    """Bills with and without memo lines on one page of the list."""
    other = account_of(site.database, site.org_id, "beta")
    put(site.database, site.lake, site.org_id, [frames(other, ["4"], bill_date=date(2025, 3, 1))])
    sdk.bills.credit_line_items.create(**site.memo(1))
    assert [len(bill.line_items or []) for bill in sdk.bills.list().data] == [1, 3]
