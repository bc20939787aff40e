"""Changing the plan of an account in one step: the old account plan ends where the new one starts. Source: billing.md 2.5."""

from sqlalchemy import Connection

from pipelines.storage import config_store
from transforms.entities.accounts import AccountPlan
from transforms.errors import EntityInvalid


def replaced(connection: Connection, org_id: str, account_plan_id: str, new: AccountPlan, actor: str) -> tuple[AccountPlan, AccountPlan]:
    """The old account plan, ended at the new one's start under its next version, and the new one.

    Args:
        connection: An open transaction; the caller rolls it back when this raises.
        org_id: The organization.
        account_plan_id: The account plan to end.
        new: The one that takes its place: the same account, starting while the old one is active.
        actor: Who stands in the audit fields.

    Raises:
        NotFound: There is no such account plan.
        EntityInvalid: The new one can't follow the old one, or can't be.
    """
    config_store.locked(connection, org_id)
    old = config_store.entity(connection, org_id, AccountPlan, account_plan_id)
    if new.account_id != old.account_id:
        raise EntityInvalid.of(
            "accountId", f"accountId is {new.account_id}; an account plan is replaced by one of the same account, {old.account_id}"
        )
    if new.start_date <= old.start_date:
        raise EntityInvalid.of("startDate", f"startDate must be after {old.start_date:%Y-%m-%dT%H:%M:%SZ}, when account plan {old.id} starts")
    if old.end_date is not None and old.end_date < new.start_date:
        message = f"account plan {old.id} has ended on {old.end_date:%Y-%m-%dT%H:%M:%SZ}, before the new one starts; create that one by itself"
        raise EntityInvalid.of("startDate", message)
    if old.end_date != new.start_date:
        old = config_store.updated(connection, org_id, old.id, old.model_copy(update={"end_date": new.start_date}), actor)
    return old, config_store.created(connection, org_id, new, actor)
