"""Ending contracts, account plans, commitments and custom prices of an account on one date. Source: billing.md 2.5.

Every entity is ended by an update of its own, with its next version and its row of history. What can't be ended is listed
with the reason and changes nothing else. Put here which entities belong to an account or contract.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pipelines.storage import config_store
from transforms.entities.accounts import Account, AccountPlan
from transforms.entities.commitments import Commitment
from transforms.entities.contracts import Contract
from transforms.entities.counters import CounterPricing
from transforms.entities.end_dating import BillingEntity, EndDateRequest, Ended, end_of, is_over, starts_later
from transforms.entities.organization import OrganizationConfig, time_zone
from transforms.entities.plan_group_rules import plans_of_group
from transforms.entities.plans import Plan, Pricing
from transforms.errors import EntityInvalid, Refused


@dataclass
class EndDating:
    """What was ended, and what was not.

    Attributes:
        updated: Kind -> ids; the kinds asked for.
        failed: Kind -> id -> reason.
    """

    updated: dict[BillingEntity, list[str]] = field(default_factory=dict)
    failed: dict[BillingEntity, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scope:
    """Whose entities are ended: those of the accounts, and of one contract of theirs where it is given.

    What is linked to no contract counts as the contract's; what is linked to another contract stays as it is.
    """

    connection: Connection
    org_id: str
    accounts: Sequence[Account]
    contract: Contract | None

    def covers(self, contract_id: str | None) -> bool:
        return self.contract is None or contract_id in (None, self.contract.id)


def ended_for_account(connection: Connection, org_id: str, account_id: str, request: EndDateRequest, actor: str) -> EndDating:
    """End entities of an account, and of its child accounts where that is asked for.

    Raises:
        NotFound: There is no such account.
    """
    config_store.locked(connection, org_id)
    account = config_store.entity(connection, org_id, Account, account_id)
    return _ended(_Scope(connection, org_id, _with_children(connection, org_id, account, request), None), request, actor)


def ended_for_contract(connection: Connection, org_id: str, contract_id: str, request: EndDateRequest, actor: str) -> EndDating:
    """End entities of a contract's account, and the contract itself where its kind is asked for.

    Raises:
        NotFound: There is no such contract.
    """
    config_store.locked(connection, org_id)
    contract = config_store.entity(connection, org_id, Contract, contract_id)
    account = config_store.entity(connection, org_id, Account, contract.account_id)
    return _ended(_Scope(connection, org_id, _with_children(connection, org_id, account, request), contract), request, actor)


def _with_children(connection: Connection, org_id: str, account: Account, request: EndDateRequest) -> list[Account]:
    children = config_store.entities(connection, org_id, Account, parent_account_id=account.id) if request.apply_to_children else []
    return [account, *children]


def _ended(scope: _Scope, request: EndDateRequest, actor: str) -> EndDating:
    config = config_store.singleton(scope.connection, scope.org_id, OrganizationConfig)
    zone = ZoneInfo(time_zone(config.timezone))
    result = EndDating()
    for kind in dict.fromkeys(request.billing_entities):
        updated, failed = result.updated.setdefault(kind, []), result.failed.setdefault(kind, {})
        for one, obstacle in _entities(scope, kind):
            end = end_of(one, request.end_date, zone)
            if is_over(one, end):
                continue
            reason = obstacle or _failure(scope, one, end, actor)
            if reason is None:
                updated.append(one.id)
            else:
                failed[one.id] = reason
    return result


def _failure(scope: _Scope, one: Ended, end: datetime | date, actor: str) -> str | None:
    """End the entity; the reason when that can't be."""
    if starts_later(one, end):
        return f"it starts on {one.start_date:%Y-%m-%d}, so it can't end on {end:%Y-%m-%d}"
    try:
        with scope.connection.begin_nested():
            config_store.updated(scope.connection, scope.org_id, one.id, one.model_copy(update={"end_date": end}), actor)
    except (EntityInvalid, Refused) as error:
        return str(error)
    return None


def _entities(scope: _Scope, kind: BillingEntity) -> Iterator[tuple[Ended, str | None]]:
    """The entities of a kind, each with the reason why it may not be ended, if there is one."""
    if kind is BillingEntity.CONTRACT:
        yield from ((one, None) for one in _contracts(scope))
    elif kind is BillingEntity.ACCOUNTPLAN:
        yield from ((one, None) for one in _account_plans(scope) if scope.covers(one.contract_id))
    elif kind is BillingEntity.PREPAYMENT:
        yield from ((one, None) for one in _commitments(scope) if scope.covers(one.contract_id))
    else:
        priced: type[Pricing | CounterPricing] = Pricing if kind is BillingEntity.PRICINGS else CounterPricing
        for plan in _plans(scope):
            is_custom = plan.account_id in {account.id for account in scope.accounts}
            obstacle = None if is_custom else f"plan {plan.code} is not a custom plan of the account: its prices hold for other accounts too"
            yield from ((one, obstacle) for one in config_store.entities(scope.connection, scope.org_id, priced, plan_id=plan.id))


def _contracts(scope: _Scope) -> list[Contract]:
    if scope.contract is not None:
        return [scope.contract]
    return [one for account in scope.accounts for one in config_store.entities(scope.connection, scope.org_id, Contract, account_id=account.id)]


def _account_plans(scope: _Scope) -> list[AccountPlan]:
    return [one for account in scope.accounts for one in config_store.entities(scope.connection, scope.org_id, AccountPlan, account_id=account.id)]


def _commitments(scope: _Scope) -> list[Commitment]:
    return [one for account in scope.accounts for one in config_store.entities(scope.connection, scope.org_id, Commitment, account_id=account.id)]


def _plans(scope: _Scope) -> list[Plan]:
    """The accounts' plans: those attached, alone or in a group, and custom ones; not those attached under another contract only."""
    neighbours = config_store.StoredNeighbours(scope.connection, scope.org_id)
    covered: dict[str, Plan] = {}
    elsewhere: set[str] = set()
    for attached in _account_plans(scope):
        plan = neighbours.entity(Plan, attached.plan_id) if attached.plan_id is not None else None
        plans = [plan] if plan is not None else plans_of_group(attached.plan_group_id or "", neighbours)
        if scope.covers(attached.contract_id):
            covered |= {one.id: one for one in plans}
        else:
            elsewhere |= {one.id for one in plans}
    custom = (one for account in scope.accounts for one in neighbours.entities(Plan, account_id=account.id))
    return list((covered | {one.id: one for one in custom if one.id not in elsewhere}).values())
