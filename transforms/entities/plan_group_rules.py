"""Rules of plan groups and of the plans in them: one plan per product, one currency, custom plans among themselves. Source: billing.md 6.1."""

from collections.abc import Iterable, Iterator

from transforms.entities.accounts import AccountPlan
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plan_groups import PlanGroup, PlanGroupLink
from transforms.entities.plans import Plan, PlanTemplate
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, overlaps, refuse

Problems = Iterator[tuple[bool, str, str]]


def plans_of_group(plan_group_id: str, neighbours: Neighbours) -> list[Plan]:
    """The plans in a plan group, in the order in which they were added."""
    linked = (neighbours.entity(Plan, link.plan_id) for link in neighbours.entities(PlanGroupLink, plan_group_id=plan_group_id))
    return [plan for plan in linked if plan is not None]


def groups_of_plan(plan_id: str, neighbours: Neighbours) -> list[PlanGroup]:
    """The plan groups that a plan is in."""
    linked = (neighbours.entity(PlanGroup, link.plan_group_id) for link in neighbours.entities(PlanGroupLink, plan_id=plan_id))
    return [group for group in linked if group is not None]


def named(group: PlanGroup) -> str:
    """What messages call a plan group."""
    return f"plan group {group.code or group.name}"


def _checked_group(group: PlanGroup | None, neighbours: Neighbours, previous: PlanGroup | None) -> PlanGroup | None:
    if group is not None and previous is not None:
        refuse((*_owner_problems(group, previous, neighbours), *_currency_problems(group, previous, neighbours)))
    return group


def _owner_problems(group: PlanGroup, previous: PlanGroup, neighbours: Neighbours) -> Problems:
    if group.account_id == previous.account_id:
        return
    yield (
        previous.account_id is not None,
        "accountId",
        f"{named(previous)} is a custom plan group of account {previous.account_id} and stays so: send that accountId",
    )
    others = sorted({attached.account_id for attached in neighbours.entities(AccountPlan, plan_group_id=group.id)} - {group.account_id})
    yield (
        bool(others),
        "accountId",
        f"the plan group can't become a custom one of account {group.account_id}: it is attached to {', '.join(others[:3])}",
    )


def _currency_problems(group: PlanGroup, previous: PlanGroup, neighbours: Neighbours) -> Problems:
    plans = plans_of_group(group.id, neighbours) if group.currency != previous.currency else []
    codes = ", ".join(plan.code for plan in plans[:3])
    yield bool(plans), "currency", f"currency can't change from {previous.currency}: the plans in the group ({codes}) are priced in it"


def _checked_link(link: PlanGroupLink | None, neighbours: Neighbours, _previous: PlanGroupLink | None) -> PlanGroupLink | None:
    if link is None:
        return None
    group, plan = neighbours.entity(PlanGroup, link.plan_group_id), neighbours.entity(Plan, link.plan_id)
    assert group is not None, "references are looked up before the check"
    assert plan is not None, "references are looked up before the check"
    refuse(
        (
            *_membership_problems(group, plan, neighbours),
            *_same_product_problems(link, group, plan, neighbours),
            *_attached_problems(link, plan, neighbours),
        )
    )
    return link


def _membership_problems(group: PlanGroup, plan: Plan, neighbours: Neighbours) -> Problems:
    yield (
        plan.account_id is not None and plan.account_id != group.account_id,
        "planId",
        f"plan {plan.code} is a custom plan of account {plan.account_id} and can be only in custom plan groups of that account",
    )
    template = neighbours.entity(PlanTemplate, plan.plan_template_id)
    assert template is not None, "a plan has its template"
    yield (
        template.currency != group.currency,
        "planId",
        f"plan {plan.code} is priced in {template.currency}, {named(group)} in {group.currency}: the plans of a group have its currency",
    )


def _same_product_problems(link: PlanGroupLink, group: PlanGroup, plan: Plan, neighbours: Neighbours) -> Problems:
    for other in neighbours.entities(PlanGroupLink, plan_group_id=link.plan_group_id):
        member = neighbours.entity(Plan, other.plan_id)
        yield (
            other.id != link.id and member is not None and member.product_id == plan.product_id,
            "planId",
            f"{named(group)} already has a plan of this product ({member.code if member else ''}); a group has at most one plan per product",
        )


def _attached_problems(link: PlanGroupLink, plan: Plan, neighbours: Neighbours) -> Problems:
    """An account that has the group may have the product from elsewhere already."""
    if any(config.allow_overlapping_plans for config in neighbours.entities(OrganizationConfig)):
        return
    mine = neighbours.entities(AccountPlan, plan_group_id=link.plan_group_id)
    theirs = _by_account(_attached_with_product(plan.product_id, neighbours, but=link.plan_group_id)) if mine else {}
    for attached in mine:
        for other in theirs.get(attached.account_id, ()):
            yield (
                overlaps(attached.start_date, attached.end_date, other.start_date, other.end_date),
                "planId",
                (
                    f"account {attached.account_id} has this plan group and, at the same time, another plan of the product of plan {plan.code} "
                    f"(account plan {other.id}); end one of them or set allowOverlappingPlans"
                ),
            )


def _attached_with_product(product_id: str | None, neighbours: Neighbours, *, but: str) -> Iterator[AccountPlan]:
    yield from neighbours.entities(AccountPlan, product_id=product_id)
    groups = {group.id for plan in neighbours.entities(Plan, product_id=product_id) for group in groups_of_plan(plan.id, neighbours)}
    for group_id in sorted(groups - {but}):
        yield from neighbours.entities(AccountPlan, plan_group_id=group_id)


def _by_account(attached: Iterable[AccountPlan]) -> dict[str, list[AccountPlan]]:
    found: dict[str, list[AccountPlan]] = {}
    for one in attached:
        found.setdefault(one.account_id, []).append(one)
    return found


RESOURCES = (
    Resource(
        PlanGroup,
        "plangroups",
        unique=(("code",),),
        filters=IDS | {"accountId": Filter("account_id")},
        check=_checked_group,
        page_size_max=200,
    ),
    Resource(
        PlanGroupLink,
        "plangrouplinks",
        unique=(("plan_group_id", "plan_id"),),
        filters=IDS | {"planGroup": Filter("plan_group_id", "equal"), "plan": Filter("plan_id", "equal")},
        check=_checked_link,
    ),
)
