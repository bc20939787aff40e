"""Rules of the plans and plan groups attached to an account: one plan per product at a time. Source: billing.md 2.5, 6.1, 6.2."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transforms.entities.accounts import AccountPlan
from transforms.entities.contract_rules import contract_problems
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plan_group_rules import named, plans_of_group
from transforms.entities.plan_groups import PlanGroup
from transforms.entities.plans import Plan
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, overlaps, refuse

Problems = Iterator[tuple[bool, str, str]]


@dataclass(frozen=True)
class _Offered:
    """What an account plan attaches: a plan, or a plan group with its plans."""

    plan: Plan | None
    group: PlanGroup | None
    plans: Sequence[Plan]


def _offered(attached: AccountPlan, neighbours: Neighbours) -> _Offered:
    plan = neighbours.entity(Plan, attached.plan_id) if attached.plan_id is not None else None
    group = neighbours.entity(PlanGroup, attached.plan_group_id) if attached.plan_group_id is not None else None
    return _Offered(plan, group, [plan] if plan is not None else plans_of_group(group.id, neighbours) if group is not None else [])


def _checked(attached: AccountPlan | None, neighbours: Neighbours, _previous: AccountPlan | None) -> AccountPlan | None:
    if attached is None:
        return None
    offered = _offered(attached, neighbours)
    attached = attached.model_copy(update={"product_id": offered.plan.product_id if offered.plan is not None else None})
    refuse(
        (
            *_choice_problems(attached),
            *_custom_problems(attached, offered),
            *contract_problems(attached.contract_id, attached.account_id, neighbours),
            *_overlap_problems(attached, offered, neighbours),
        )
    )
    return attached


def _choice_problems(attached: AccountPlan) -> Problems:
    given = (attached.plan_id is not None) + (attached.plan_group_id is not None)
    yield given != 1, "planId", f"planId and planGroupId: exactly one of them must be given, not {'both' if given else 'neither'}"
    yield (
        attached.end_date is not None and attached.end_date <= attached.start_date,
        "endDate",
        "endDate must be after startDate: the plan is active from startDate until just before endDate",
    )


def _custom_problems(attached: AccountPlan, offered: _Offered) -> Problems:
    plan, group = offered.plan, offered.group
    yield (
        plan is not None and plan.account_id is not None and plan.account_id != attached.account_id,
        "planId",
        f"plan {plan.code if plan else ''} is a custom plan of account {plan.account_id if plan else ''} and can be attached only to that account",
    )
    yield (
        group is not None and group.account_id is not None and group.account_id != attached.account_id,
        "planGroupId",
        f"{named(group) if group else ''} is a custom one of account {group.account_id if group else ''} and can be attached only to that account",
    )


def _overlap_problems(attached: AccountPlan, offered: _Offered, neighbours: Neighbours) -> Problems:
    if not offered.plans or any(config.allow_overlapping_plans for config in neighbours.entities(OrganizationConfig)):
        return
    products = {plan.product_id for plan in offered.plans}
    for other in neighbours.entities(AccountPlan, account_id=attached.account_id):
        if other.id == attached.id or not overlaps(attached.start_date, attached.end_date, other.start_date, other.end_date):
            continue
        theirs = _offered(other, neighbours)
        shared = [plan for plan in theirs.plans if plan.product_id in products]
        source = f" with {named(theirs.group)}" if theirs.group is not None else ""
        yield (
            bool(shared),
            "startDate",
            (
                f"the account already has a plan of this product ({', '.join(plan.code for plan in shared)}{source}) from "
                f"{other.start_date:%Y-%m-%d} to {f'{other.end_date:%Y-%m-%d}' if other.end_date else 'no end'} (account plan {other.id}); "
                "end it or set allowOverlappingPlans"
            ),
        )


RESOURCES = (
    Resource(
        AccountPlan,
        "accountplans",
        filters=IDS
        | {
            "account": Filter("account_id", "equal"),
            "plan": Filter("plan_id", "equal"),
            "product": Filter("product_id", "equal", beside=("account",)),
            "contract": Filter("contract_id", "equal"),
            "date": Filter("start_date", "active"),
            "includeall": Filter("start_date", "include_all", beside=("account", "plan", "contract")),
        },
        check=_checked,
    ),
)
