"""Rules of the organization-wide documents. Source: billing.md 2, usage.md 3.4."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from transforms.entities.bill_config import BillConfig
from transforms.entities.formulas import compound_problem, derived_field_problems, formula_world
from transforms.entities.organization import SCHEDULED_BILL_INTERVALS, Currency, CustomFields, OrganizationConfig
from transforms.entities.picklists import BillGroupingKey, CreditReason, DebitReason, TransactionType
from transforms.entities.resource import CODES, IDS, Filter, Neighbours, Resource, refuse
from transforms.entities.usage import CompoundAggregation, Meter


def _checked_config(config: OrganizationConfig | None, _neighbours: Neighbours, _previous: OrganizationConfig | None) -> OrganizationConfig | None:
    if config is not None:
        refuse((*_schedule_problems(config), *_conversion_problems(config)))
    return config


def _schedule_problems(config: OrganizationConfig) -> Iterator[tuple[bool, str, str]]:
    interval = config.scheduled_bill_interval
    yield (
        interval is not None and interval not in SCHEDULED_BILL_INTERVALS,
        "scheduledBillInterval",
        f"scheduledBillInterval is {interval}; it must be one of 0, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12 or 24 hours",
    )
    yield (
        config.scheduled_bill_offset is not None and interval != 24,
        "scheduledBillOffset",
        "scheduledBillOffset is an hour of the day and goes only with a scheduledBillInterval of 24",
    )
    yield (
        (config.auto_approve_bills_grace_period is None) != (config.auto_approve_bills_grace_period_unit is None),
        "autoApproveBillsGracePeriodUnit",
        "autoApproveBillsGracePeriod and autoApproveBillsGracePeriodUnit go together: give both or neither",
    )
    order = config.credit_application_order
    yield len(order) != len(set(order)), "creditApplicationOrder", "creditApplicationOrder names each of PREPAYMENT and BALANCE at most once"


def _conversion_problems(config: OrganizationConfig) -> Iterator[tuple[bool, str, str]]:
    pairs = Counter((c.from_, c.to) for c in config.currency_conversions)
    for index, conversion in enumerate(config.currency_conversions):
        pair = (conversion.from_, conversion.to)
        yield (
            pairs[pair] > 1,
            f"currencyConversions[{index}]",
            f"the conversion from {pair[0]} to {pair[1]} is given {pairs[pair]} times; there is one rate per pair",
        )
        yield pair[0] == pair[1], f"currencyConversions[{index}].to", f"a conversion from {pair[0]} to itself is of no use; leave it out"


def _checked_currency(currency: Currency | None, _neighbours: Neighbours, previous: Currency | None) -> Currency | None:
    if currency is not None and currency.code is None:
        code: Any = previous.code if previous is not None else currency.name
        return Currency.model_validate({**currency.model_dump(), "code": code})
    return currency


def _checked_custom_fields(custom_fields: CustomFields | None, neighbours: Neighbours, previous: CustomFields | None) -> CustomFields | None:
    """Formulas name these fields, so one that a formula uses can't go or become another type."""
    if custom_fields is not None and previous is not None:
        world = formula_world(neighbours, custom_fields=custom_fields)
        meters = ((m.code, text) for m in neighbours.entities(Meter) for _, text in derived_field_problems(m, world))
        compounds = ((c.code or c.name, compound_problem(c, world)) for c in neighbours.entities(CompoundAggregation))
        refuse((text is not None, "customFields", f"a formula of {code} would no longer hold: {text}") for code, text in (*meters, *compounds))
    return custom_fields


_PICKLIST_FILTERS = IDS | CODES | {"archived": Filter("archived", "flag")}

RESOURCES = (
    Resource(OrganizationConfig, "organizationconfig", check=_checked_config, singleton=True),
    Resource(CustomFields, "customfields", check=_checked_custom_fields, singleton=True),
    Resource(BillConfig, "billconfig", singleton=True),
    Resource(Currency, "picklists/currency", unique=(("code",),), filters=_PICKLIST_FILTERS, check=_checked_currency),
    Resource(CreditReason, "picklists/creditreasons", unique=(("code",),), filters=_PICKLIST_FILTERS),
    Resource(DebitReason, "picklists/debitreasons", unique=(("code",),), filters=_PICKLIST_FILTERS),
    Resource(TransactionType, "picklists/transactiontypes", unique=(("code",),), filters=_PICKLIST_FILTERS),
    Resource(BillGroupingKey, "picklists/billgroupingkeys", unique=(("code",),), filters=_PICKLIST_FILTERS),
)
