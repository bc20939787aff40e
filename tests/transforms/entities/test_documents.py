"""Declarations against the wire: every field, bound and enum; bodies round-trip."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from transforms.entities.accounts import Account, AccountPlan
from transforms.entities.balances import Balance, BalanceChargeSchedule, BalanceTransaction, BalanceTransactionSchedule
from transforms.entities.bill_config import BillConfig
from transforms.entities.charges import Charge
from transforms.entities.commitments import Commitment
from transforms.entities.contracts import Contract
from transforms.entities.counter_adjustments import CounterAdjustment
from transforms.entities.counters import Counter, CounterPricing
from transforms.entities.documents import document, plain_numbers, unknown_fields, validated, wire_path
from transforms.entities.fields import by_wire_name, fields
from transforms.entities.organization import CustomFields, OrganizationConfig, time_zone
from transforms.entities.picklists import BillGroupingKey, CreditReason, DebitReason, TransactionType
from transforms.entities.plan_groups import PlanGroup, PlanGroupLink
from transforms.entities.plans import Plan, PlanTemplate, Pricing
from transforms.entities.registry import RESOURCES
from transforms.entities.statements import StatementDefinition
from transforms.entities.usage import Aggregation, CompoundAggregation, Meter, Product
from transforms.errors import EntityInvalid
from transforms.money import exact

#: Wire name -> what a type of the public SDK's request parameters has beyond the audit fields, written down from it.
WIRE_FIELDS = {
    Product: "customFields name code",
    Meter: "customFields productId groupId name code dataFields derivedFields",
    Aggregation: "customFields name code meterId targetField aggregation quantityPerUnit rounding unit defaultValue segmentedFields segments "
    "customSql accountingProductId",
    CompoundAggregation: "customFields name code productId calculation quantityPerUnit rounding unit evaluateNullAggregations "
    "accountingProductId segments",
    Account: "customFields name code emailAddress address parentAccountId billEpoch purchaseOrderNumber currency statementDefinitionId "
    "autoGenerateStatementMode creditApplicationOrder daysBeforeBillDue",
    AccountPlan: "customFields accountId planId planGroupId productId startDate endDate code billEpoch contractId childBillingMode",
    PlanTemplate: "customFields productId name code currency standingCharge standingChargeDescription standingChargeInterval standingChargeOffset "
    "billFrequency billFrequencyInterval ordinal minimumSpend minimumSpendDescription standingChargeBillInAdvance minimumSpendBillInAdvance",
    Plan: "customFields planTemplateId productId name code standingCharge standingChargeDescription ordinal bespoke minimumSpend "
    "minimumSpendDescription standingChargeBillInAdvance minimumSpendBillInAdvance minimumSpendAccountingProductId "
    "standingChargeAccountingProductId accountId",
    Commitment: "accountId billingPlanId productIds startDate endDate currency amount amountPrePaid amountFirstBill amountSpent "
    "overageSurchargePercent separateOverageUsage billingInterval billingOffset commitmentFeeDescription commitmentUsageDescription "
    "overageDescription commitmentFeeBillInAdvance billEpoch contractId accountingProductId feesAccountingProductId "
    "drawdownsAccountingProductId feeDates childBillingMode lineItemTypes",
    Balance: "customFields code name description accountId amount currency startDate endDate rolloverAmount rolloverEndDate "
    "balanceDrawDownDescription overageSurchargePercent overageDescription productIds lineItemTypes contractId "
    "consumptionsAccountingProductId feesAccountingProductId allowOverdraft",
    BalanceTransaction: "description amount paid currencyPaid entityType entityId transactionTypeId appliedDate transactionDate",
    BalanceTransactionSchedule: "customFields balanceId name code amount transactionDescription paid currencyPaid transactionTypeId startDate "
    "endDate frequency frequencyInterval nextRun previousRun",
    BalanceChargeSchedule: "customFields balanceId name code amount units unitPrice currency servicePeriodStartDate servicePeriodEndDate "
    "billEpoch billFrequency billFrequencyInterval billInAdvance chargeDescription nextRun previousRun",
    Charge: "name code accountId billDate amount units unitPrice currency description entityType entityId billId accountingProductId "
    "servicePeriodStartDate servicePeriodEndDate notes contractId lineItemType scheduleId",
    CounterAdjustment: "counterId accountId date value purchaseOrderNumber",
    Pricing: "planId planTemplateId aggregationId compoundAggregationId aggregationType code type cumulative tiersSpanPlan segment "
    "segmentString startDate endDate description "
    "minimumSpend minimumSpendDescription minimumSpendBillInAdvance pricingBands overagePricingBands accountingProductId",
    PlanGroup: "customFields name code currency minimumSpend minimumSpendDescription standingCharge standingChargeDescription "
    "standingChargeBillInAdvance minimumSpendBillInAdvance accountId minimumSpendAccountingProductId standingChargeAccountingProductId",
    PlanGroupLink: "planGroupId planId",
    Counter: "code productId name unit",
    CounterPricing: "planId planTemplateId counterId code cumulative startDate endDate description pricingBands accountingProductId "
    "runningTotalBillInAdvance proRateRunningTotal proRateAdjustmentDebit proRateAdjustmentCredit",
    Contract: "customFields accountId name code description purchaseOrderNumber applyContractPeriodLimits usageFilters billGroupingKeyId "
    "startDate endDate",
    CreditReason: "name code archived",
    DebitReason: "name code archived",
    TransactionType: "name code archived",
    BillGroupingKey: "name code archived exclusive",
    StatementDefinition: "name aggregationFrequency includePricePerUnit dimensions measures generateSlimStatements",
    BillConfig: "billLockDate",
}
AUDIT = {"id", "version", "dtCreated", "dtLastModified", "createdBy", "lastModifiedBy"}
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200)
CODES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cf", "Cn", "Co")), min_size=1, max_size=80)
NUMBERS = st.decimals(min_value=-(10**25), max_value=10**25, places=12, allow_nan=False)


@pytest.mark.parametrize("kind", WIRE_FIELDS, ids=lambda kind: kind.__name__)
def test_an_entity_has_the_public_fields(kind: Any) -> None:
    assert set(by_wire_name(kind)) == AUDIT | set(WIRE_FIELDS[kind].split())


def test_every_code_and_reference_is_declared() -> None:
    for resource in RESOURCES:
        for name, field in fields(resource.entity).items():
            if name.endswith("_id") and name not in ("group_id", "bill_id", "schedule_id"):
                assert field.reference is not None, f"{resource.kind}.{name}"


@given(NAMES, CODES, st.dictionaries(NAMES, st.one_of(NAMES, NUMBERS), max_size=5))
def test_a_product_round_trips_through_json(name: str, code: str, custom: dict[str, Any]) -> None:
    body = {"name": name, "code": code, "customFields": custom}
    written = json.dumps(body, default=str) if not custom else None
    product = validated(Product, body)
    assert document(product) == {"id": "", **body}
    assert validated(Product, document(product)) == product
    assert written is None or validated(Product, json.loads(written)) == product


@given(NUMBERS)
def test_numbers_keep_twelve_digits(number: Decimal) -> None:
    custom = validated(CustomFields, {"account": {"rate": number}})
    assert custom.account["rate"] == exact(number)
    assert Decimal(str(plain_numbers(document(custom))["account"]["rate"])) == number


@pytest.mark.parametrize(
    ("given_value", "wanted"),
    [
        ("2025-01-01", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T00:00:00", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T01:30:00.123456+01:30", datetime(2025, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_instants_are_utc(given_value: str, wanted: datetime) -> None:
    body = {"accountId": "a" * 36, "planId": "b" * 36, "startDate": given_value}
    assert validated(AccountPlan, body).start_date == wanted


@pytest.mark.parametrize("value", [1735689600, "yesterday", "", True, "2025-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_instant_is_refused(value: Any) -> None:
    with pytest.raises(EntityInvalid) as caught:
        validated(AccountPlan, {"accountId": "a" * 36, "startDate": value})
    assert [p.field for p in caught.value.problems] == ["startDate"]


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (PlanTemplate, {"standingChargeInterval": 0}, "standingChargeInterval"),
        (PlanTemplate, {"standingChargeInterval": 366}, "standingChargeInterval"),
        (PlanTemplate, {"standingChargeOffset": 365}, "standingChargeOffset"),
        (PlanTemplate, {"billFrequencyInterval": 366}, "billFrequencyInterval"),
        (PlanTemplate, {"currency": "EURO"}, "currency"),
        (PlanTemplate, {"billFrequency": "monthly"}, "billFrequency"),
        (PlanTemplate, {"ordinal": 2**63}, "ordinal"),
        (PlanTemplate, {"minimumSpend": -1}, "minimumSpend"),
        (Aggregation, {"quantityPerUnit": 0}, "quantityPerUnit"),
        (Aggregation, {"defaultValue": -1}, "defaultValue"),
        (Aggregation, {"segmentedFields": ["f"] * 6}, "segmentedFields"),
        (Aggregation, {"segments": [{"f": "x"}] * 1001}, "segments"),
        (Aggregation, {"customSql": "x" * 2049}, "customSql"),
        (Aggregation, {"unit": "x" * 51}, "unit"),
        (Aggregation, {"code": "no spaces"}, "code"),
        (Aggregation, {"code": "1st"}, "code"),
        (Meter, {"dataFields": []}, "dataFields"),
        (CompoundAggregation, {"calculation": "1" * 5001}, "calculation"),
        (Account, {"emailAddress": "nobody"}, "emailAddress"),
        (Account, {"daysBeforeBillDue": 0}, "daysBeforeBillDue"),
        (Account, {"daysBeforeBillDue": 2**31}, "daysBeforeBillDue"),
        (Account, {"purchaseOrderNumber": "x" * 101}, "purchaseOrderNumber"),
        (Account, {"billEpoch": "2025-02-30"}, "billEpoch"),
        (Account, {"address": {"postCode": "x" * 21}}, "address.postCode"),
        (Plan, {"planTemplateId": "short"}, "planTemplateId"),
        (Pricing, {"description": "x" * 201}, "description"),
        (Pricing, {"pricingBands": [{"lowerLimit": 0, "fixedPrice": 0}]}, "pricingBands[0].unitPrice"),
        (OrganizationConfig, {"scheduledBillOffset": 24}, "scheduledBillOffset"),
        (OrganizationConfig, {"daysBeforeBillDue": 0}, "daysBeforeBillDue"),
        (OrganizationConfig, {"externalInvoiceDate": "TODAY"}, "externalInvoiceDate"),
        (OrganizationConfig, {"currencyConversions": [{"from": "EUR", "to": "USD", "multiplier": 0}]}, "currencyConversions[0].multiplier"),
        (CustomFields, {"meter": {f"f{n}": 1 for n in range(26)}}, "meter"),
    ],
)
def test_bounds(kind: Any, body: dict[str, Any], field: str) -> None:
    with pytest.raises(EntityInvalid) as caught:
        validated(kind, body)
    assert field in [p.field for p in caught.value.problems]


@pytest.mark.parametrize("code", ["a", "ä", "_x", "$x9", "Größe_2"])
def test_codes_that_formulas_can_name(code: str) -> None:
    body = {"category": "WHAT", "code": code, "name": "n"}
    assert validated(Meter, {"name": "m", "code": "m", "dataFields": [body], "derivedFields": []}).data_fields[0].code == code


def test_defaults_of_the_organization_config() -> None:
    config = validated(OrganizationConfig, {})
    assert (config.timezone, config.currency, config.week_epoch, config.days_before_bill_due) == ("UTC", "USD", date(2022, 1, 3), 30)


@pytest.mark.parametrize(
    ("given_name", "wanted"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("GMT+1", "Etc/GMT-1"),
        ("UTC+1:00", "Etc/GMT-1"),
        ("+1", "Etc/GMT-1"),
        ("-03:00", "Etc/GMT+3"),
        ("UTC+0", "UTC"),
    ],
)
def test_time_zone_spellings(given_name: str, wanted: str) -> None:
    assert time_zone(given_name) == wanted


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "UTC+5:30", "+15", "/etc/passwd", "../UTC", "Europe"])
def test_time_zones_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        time_zone(name)


def test_unknown_fields_are_found_at_any_depth() -> None:
    body = {"planId": "x", "pricingBands": [{"lowerLimit": 0}, {"limit": 1}], "pricingbands": [], "segment": {"any": "thing"}}
    assert [p.field for p in unknown_fields(Pricing, body)] == ["pricingBands[1].limit", "pricingbands"]


def test_paths_are_spelled_as_clients_write_them() -> None:
    assert wire_path(("pricingBands", 0, "unitPrice")) == "pricingBands[0].unitPrice"
    assert wire_path(("customFields", "a b", "[key]")) == "customFields.a b"


@pytest.mark.parametrize("spelled", ["yes", "true", "1", 1, 0, Decimal(1)])
def test_a_flag_is_true_or_false(spelled: Any) -> None:
    with pytest.raises(EntityInvalid, match="suppressedEmptyBills"):
        validated(OrganizationConfig, {"suppressedEmptyBills": spelled})


@pytest.mark.parametrize("spelled", ["2025", "1735689600", "-1735689600", "1735689600.5", 1735689600, Decimal(1735689600), "20250101", "soon", ""])
def test_a_number_is_no_day_and_no_instant(spelled: Any) -> None:
    with pytest.raises(EntityInvalid, match=r"monthEpoch.*2025-01-31"):
        validated(OrganizationConfig, {"monthEpoch": spelled})
    with pytest.raises(EntityInvalid, match=r"startDate.*2025-01-31T00:00:00Z"):
        validated(AccountPlan, {"accountId": "a" * 36, "planId": "p" * 36, "startDate": spelled})


def test_a_day_may_be_written_as_its_midnight() -> None:
    for spelled in ("2025-01-31", "2025-01-31T00:00:00Z", date(2025, 1, 31)):
        assert validated(OrganizationConfig, {"monthEpoch": spelled}).month_epoch == date(2025, 1, 31)


def test_days_leave_room_to_count_periods_and_due_dates() -> None:
    for body in ({"billEpoch": "9000-01-01"}, {"billEpoch": "1899-12-31"}, {"daysBeforeBillDue": 36501}):
        with pytest.raises(EntityInvalid, match=next(iter(body))):
            validated(Account, {"name": "a", "code": "a", "emailAddress": "a@b.c", **body})


def test_a_list_that_is_too_short_says_how_many_it_needs() -> None:
    with pytest.raises(EntityInvalid, match="dataFields: must have at least 1 item, not 0"):
        validated(Meter, {"name": "m", "code": "m", "dataFields": [], "derivedFields": []})


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (Product, {"name": "", "code": "p"}, "must have at least 1 character"),
        (Plan, {"name": "p", "code": "p", "planTemplateId": "monthly"}, "planTemplateId: must be an id, 36 characters such as .*; it is 'monthly'"),
        (Plan, {"name": "p", "code": "p", "planTemplateId": "m" * 40}, "planTemplateId: must be an id"),
        (CounterAdjustment, {"counterId": "c" * 36, "accountId": "a" * 36, "date": "2025-01-01", "value": Decimal("1.50")}, "it is 1.5$"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_a_client(kind: Any, body: dict[str, Any], message: str) -> None:
    with pytest.raises(EntityInvalid, match=message):
        validated(kind, body)


def test_a_long_text_is_no_time_zone() -> None:
    with pytest.raises(EntityInvalid, match="timezone: unknown time zone"):
        validated(OrganizationConfig, {"timezone": "x" * 3000})
