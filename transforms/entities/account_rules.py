"""Rules between accounts and their parents. Source: billing.md 7."""

from collections.abc import Iterator

from transforms.entities.accounts import Account
from transforms.entities.resource import CODES, IDS, Neighbours, Resource, refuse

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


RESOURCES = (Resource(Account, "accounts", unique=(("code",),), filters=IDS | CODES, check=_checked_account),)
