"""Rules between plan templates, plans and what hangs on them. Source: billing.md 1.9, 2."""

from transforms.entities.accounts import AccountPlan
from transforms.entities.plans import Plan, PlanTemplate, Pricing
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, refuse


def _checked_template(template: PlanTemplate | None, neighbours: Neighbours, previous: PlanTemplate | None) -> PlanTemplate | None:
    if template is not None and previous is not None and template.product_id != previous.product_id:
        in_use = neighbours.count(Plan, plan_template_id=template.id) + neighbours.count(Pricing, plan_template_id=template.id)
        refuse([(in_use > 0, "productId", f"productId can't change: {in_use} plans and pricings of this template are for the other product")])
    return template


def _checked_plan(plan: Plan | None, neighbours: Neighbours, previous: Plan | None) -> Plan | None:
    if plan is None:
        return None
    template = neighbours.entity(PlanTemplate, plan.plan_template_id)
    assert template is not None, "references are looked up before the check"
    plan = plan.model_copy(update={"product_id": template.product_id})
    if previous is not None:
        attached = neighbours.entities(AccountPlan, plan_id=plan.id)
        in_use = len(attached) + neighbours.count(Pricing, plan_id=plan.id)
        others = sorted({a.account_id for a in attached} - {plan.account_id})
        refuse(
            (
                (
                    plan.product_id != previous.product_id and in_use > 0,
                    "planTemplateId",
                    f"the template is of another product, but {in_use} pricings and account plans use this plan for its present one",
                ),
                (
                    plan.account_id is not None and bool(others),
                    "accountId",
                    f"the plan can't become a custom plan of one account: it is attached to {', '.join(others[:3])}",
                ),
            )
        )
    return plan


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
