"""Rules between plan templates, plans and what hangs on them. Source: billing.md 1.9, 2, 6.1."""

from collections.abc import Iterator

from transforms.entities.accounts import AccountPlan
from transforms.entities.counters import CounterPricing
from transforms.entities.plan_group_rules import groups_of_plan, named
from transforms.entities.plan_groups import PlanGroupLink
from transforms.entities.plans import Plan, PlanTemplate, Pricing
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, refuse

Problems = Iterator[tuple[bool, str, str]]


def _checked_template(template: PlanTemplate | None, neighbours: Neighbours, previous: PlanTemplate | None) -> PlanTemplate | None:
    if template is not None and previous is not None:
        refuse((*_template_product_problems(template, previous, neighbours), *_template_currency_problems(template, previous, neighbours)))
    return template


def _template_product_problems(template: PlanTemplate, previous: PlanTemplate, neighbours: Neighbours) -> Problems:
    if template.product_id != previous.product_id:
        in_use = sum(neighbours.count(kind, plan_template_id=template.id) for kind in (Plan, Pricing, CounterPricing))
        yield in_use > 0, "productId", f"productId can't change: {in_use} plans and pricings of this template are for the other product"


def _template_currency_problems(template: PlanTemplate, previous: PlanTemplate, neighbours: Neighbours) -> Problems:
    if template.currency != previous.currency:
        for plan in neighbours.entities(Plan, plan_template_id=template.id):
            groups = groups_of_plan(plan.id, neighbours)
            yield (
                bool(groups),
                "currency",
                f"currency can't change: plan {plan.code} is in {', '.join(map(named, groups))}, whose plans have its currency",
            )


def _checked_plan(plan: Plan | None, neighbours: Neighbours, previous: Plan | None) -> Plan | None:
    if plan is None:
        return None
    template = neighbours.entity(PlanTemplate, plan.plan_template_id)
    assert template is not None, "references are looked up before the check"
    plan = plan.model_copy(update={"product_id": template.product_id})
    if previous is not None:
        refuse((*_plan_template_problems(plan, template, previous, neighbours), *_owner_problems(plan, previous, neighbours)))
    return plan


def _plan_template_problems(plan: Plan, template: PlanTemplate, previous: Plan, neighbours: Neighbours) -> Problems:
    in_use = sum(neighbours.count(kind, plan_id=plan.id) for kind in (AccountPlan, Pricing, CounterPricing, PlanGroupLink))
    yield (
        plan.product_id != previous.product_id and in_use > 0,
        "planTemplateId",
        f"the template is of another product, but {in_use} pricings, account plans and plan groups use this plan for its present one",
    )
    groups = groups_of_plan(plan.id, neighbours) if plan.plan_template_id != previous.plan_template_id else []
    others = [group for group in groups if group.currency != template.currency]
    yield (
        bool(others),
        "planTemplateId",
        f"the template has currency {template.currency}, but the plan is in {', '.join(map(named, others))}, whose plans have its currency",
    )


def _owner_problems(plan: Plan, previous: Plan, neighbours: Neighbours) -> Problems:
    """A custom plan fits one account and stays with it."""
    if plan.account_id == previous.account_id:
        return
    yield (
        previous.account_id is not None,
        "accountId",
        f"plan {previous.code} is a custom plan of account {previous.account_id} and stays so: send that accountId",
    )
    others = sorted({attached.account_id for attached in neighbours.entities(AccountPlan, plan_id=plan.id)} - {plan.account_id})
    yield bool(others), "accountId", f"the plan can't become a custom plan of one account: it is attached to {', '.join(others[:3])}"
    groups = [group for group in groups_of_plan(plan.id, neighbours) if plan.account_id is not None and group.account_id != plan.account_id]
    yield (
        bool(groups),
        "accountId",
        f"the plan can't become a custom plan of account {plan.account_id}: it is in {', '.join(map(named, groups[:3]))}, not a custom one of it",
    )


RESOURCES = (
    Resource(PlanTemplate, "plantemplates", unique=(("code",),), filters=IDS | {"productId": Filter("product_id")}, check=_checked_template),
    Resource(
        Plan,
        "plans",
        unique=(("code",),),
        filters=IDS | {"productId": Filter("product_id"), "accountId": Filter("account_id")},
        check=_checked_plan,
    ),
)
