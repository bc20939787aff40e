"""Rules between accounts, their parents, and the plans attached to them. Source: billing.md 2.5, 7."""

from collections.abc import Iterator

from transforms.entities.accounts import Account, AccountPlan
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plans import Plan
from transforms.entities.resource import CODES, IDS, Filter, Neighbours, Resource, overlaps, refuse

#: Largest number of child accounts of one account.
MOST_CHILDREN = 999


def _checked_account(account: Account | None, neighbours: Neighbours, previous: Account | None) -> Account | None:
    if account is not None:
        refuse(_parent_problems(account, neighbours, previous))
    return account


def _parent_problems(account: Account, neighbours: Neighbours, previous: Account | None) -> Iterator[tuple[bool, str, str]]:
    parent_id = account.parent_account_id
    if parent_id is None:
        return
    field = "parentAccountId"
    parent = neighbours.entity(Account, parent_id)
    yield parent_id == account.id, field, "parentAccountId is the account itself; an account can't be its own parent"
    yield (
        parent is not None and parent_id != account.id and parent.parent_account_id is not None,
        field,
        f"account {parent.code if parent else ''} is itself a child account; hierarchies have one level",
    )
    if previous is not None:
        children = neighbours.count(Account, parent_account_id=account.id)
        yield children > 0, field, f"the account has {children} child accounts, so it can't get a parent: hierarchies have one level"
    if previous is None or previous.parent_account_id != parent_id:
        siblings = neighbours.count(Account, parent_account_id=parent_id)
        yield (
            siblings >= MOST_CHILDREN,
            field,
            f"account {parent.code if parent else ''} has {siblings} child accounts, which is the most there can be",
        )


def _checked_account_plan(attached: AccountPlan | None, neighbours: Neighbours, _previous: AccountPlan | None) -> AccountPlan | None:
    if attached is None:
        return None
    plan = neighbours.entity(Plan, attached.plan_id) if attached.plan_id is not None else None
    attached = attached.model_copy(update={"product_id": plan.product_id if plan is not None else None})
    refuse((*_account_plan_problems(attached, plan), *_overlap_problems(attached, plan, neighbours)))
    return attached


def _account_plan_problems(attached: AccountPlan, plan: Plan | None) -> Iterator[tuple[bool, str, str]]:
    given = (attached.plan_id is not None) + (attached.plan_group_id is not None)
    yield given != 1, "planId", f"planId and planGroupId: exactly one of them must be given, not {'both' if given else 'neither'}"
    yield given == 1 and plan is None, "planGroupId", f"there is no PlanGroup {attached.plan_group_id} in this organization; give a planId"
    yield attached.contract_id is not None, "contractId", f"there is no Contract {attached.contract_id} in this organization; leave contractId out"
    yield (
        attached.end_date is not None and attached.end_date <= attached.start_date,
        "endDate",
        "endDate must be after startDate: the plan is active from startDate until just before endDate",
    )
    yield (
        plan is not None and plan.account_id is not None and plan.account_id != attached.account_id,
        "planId",
        f"plan {plan.code if plan else ''} is a custom plan of account {plan.account_id if plan else ''} and can be attached only to that account",
    )


def _overlap_problems(attached: AccountPlan, plan: Plan | None, neighbours: Neighbours) -> Iterator[tuple[bool, str, str]]:
    if plan is None or any(config.allow_overlapping_plans for config in neighbours.entities(OrganizationConfig)):
        return
    for other in neighbours.entities(AccountPlan, account_id=attached.account_id, product_id=plan.product_id):
        yield (
            other.id != attached.id and overlaps(attached.start_date, attached.end_date, other.start_date, other.end_date),
            "startDate",
            (
                f"the account already has a plan of this product from {other.start_date:%Y-%m-%d} to "
                f"{f'{other.end_date:%Y-%m-%d}' if other.end_date else 'no end'} (account plan {other.id}); end it or set allowOverlappingPlans"
            ),
        )


RESOURCES = (
    Resource(Account, "accounts", unique=(("code",),), filters=IDS | CODES, check=_checked_account),
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
        check=_checked_account_plan,
    ),
)
