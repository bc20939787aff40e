"""Credit and debit lines: put on a bill, changed, taken off; converted anew when the bill's currency changes.

Each change keeps ``memo_count``, ``memo_total``, ``line_count`` and ``bill_total`` of the bill in step, in one transaction,
under the bill's row lock. Put here the decisions; keep out how the lines are read with a bill (memo_lines.py) and what they
amount to (transforms/billing/memo_lines.py). Source: billing.md 6.6, DECISIONS 28 and 35.
"""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from pipelines.storage import bill_store, config_store
from pipelines.storage.bill_tables import BILLS, MEMO_LINES
from transforms.billing.conversions import Exchange, exchanges
from transforms.billing.job_requests import BillJobOverrides
from transforms.billing.memo_lines import CreditLineItem, MemoAmounts, MemoLine, memo_amounts
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.entities.documents import invalid
from transforms.entities.organization import Currency, CustomFields, OrganizationConfig
from transforms.entities.picklists import CreditReason, DebitReason
from transforms.entities.usage import Product
from transforms.errors import EntityInvalid, FieldProblem, NotFound, Refused, VersionConflict
from transforms.money import EXACT, LIMIT

M = TypeVar("M", bound=MemoLine)


def created(connection: Connection, org_id: str, bill_id: str, new: M, *, line_ids: frozenset[str] | None, actor: str) -> M:
    """The line as it stands on the bill now.

    Args:
        connection: An open transaction.
        org_id: The organization.
        bill_id: The bill.
        new: What was asked for.
        line_ids: The lines of the bill that it refers to; None when it refers to no line.
        actor: Who asks.

    Raises:
        NotFound: No such bill.
        Refused: The bill is locked.
        EntityInvalid: It refers to what does not exist, or can't be converted.
    """
    bill = bill_store.open_bill(connection, org_id, bill_id)
    values = _values(connection, org_id, bill, new, line_ids)
    row = connection.execute(
        sa.insert(MEMO_LINES)
        .values(org_id=org_id, id=str(uuid.uuid4()), bill_id=bill_id, side=new.side, created_by=actor, last_modified_by=actor, **values)
        .returning(MEMO_LINES)
    ).mappings()
    _carried(connection, bill, actor)
    return _memo(type(new), row.one())


def updated(connection: Connection, org_id: str, bill_id: str, memo_id: str, new: M, *, line_ids: frozenset[str] | None, actor: str) -> M:
    """The line, replaced under its next version; arguments and errors as of :func:`created`.

    Raises:
        VersionConflict: ``new.version`` is not the stored one.
    """
    bill = bill_store.open_bill(connection, org_id, bill_id)
    stored = _row(connection, org_id, bill_id, memo_id, type(new))
    if new.version is None:
        raise EntityInvalid.of("version", f"version is required to update a line; the stored version is {stored['version']}")
    if new.version != stored["version"]:
        raise VersionConflict(f"line {memo_id} has version {stored['version']}, not {new.version}: read it again and repeat the change")
    values = _values(connection, org_id, bill, new, line_ids)
    row = connection.execute(
        sa.update(MEMO_LINES)
        .where(MEMO_LINES.c.org_id == org_id, MEMO_LINES.c.id == memo_id)
        .values(version=stored["version"] + 1, dt_last_modified=sa.func.clock_timestamp(), last_modified_by=actor, **values)
        .returning(MEMO_LINES)
    ).mappings()
    _carried(connection, bill, actor)
    return _memo(type(new), row.one())


def deleted(connection: Connection, org_id: str, bill_id: str, memo_id: str, kind: type[M], *, actor: str) -> M:
    """The line as it was.

    Raises:
        NotFound: No such bill, or no such line of this kind on it.
        Refused: The bill is locked.
    """
    bill = bill_store.open_bill(connection, org_id, bill_id)
    stored = _row(connection, org_id, bill_id, memo_id, kind)
    connection.execute(sa.delete(MEMO_LINES).where(MEMO_LINES.c.org_id == org_id, MEMO_LINES.c.id == memo_id))
    _carried(connection, bill, actor)
    return _memo(kind, stored)


def memo(connection: Connection, org_id: str, bill_id: str, memo_id: str, kind: type[M]) -> M:
    """The line of an id; raises NotFound."""
    bill_store.bill(connection, org_id, bill_id)
    return _memo(kind, _row(connection, org_id, bill_id, memo_id, kind))


def listed(connection: Connection, org_id: str, bill_id: str, kind: type[M], *, before: int | None, limit: int) -> list[tuple[int, M]]:
    """At most ``limit`` lines of the kind with their sequence numbers, newest first, below ``before``; raises NotFound for the bill."""
    bill_store.bill(connection, org_id, bill_id)
    query = sa.select(MEMO_LINES).where(*_of(org_id, bill_id, kind))
    if before is not None:
        query = query.where(MEMO_LINES.c.sequence < before)
    rows = connection.execute(query.order_by(MEMO_LINES.c.sequence.desc()).limit(limit)).mappings()
    return [(row["sequence"], _memo(kind, row)) for row in rows]


def _of(org_id: str, bill_id: str, kind: type[MemoLine]) -> tuple[sa.ColumnElement[bool], ...]:
    c = MEMO_LINES.c
    return c.org_id == org_id, c.bill_id == bill_id, c.side == kind.side


def _row(connection: Connection, org_id: str, bill_id: str, memo_id: str, kind: type[MemoLine]) -> RowMapping:
    found = connection.execute(sa.select(MEMO_LINES).where(*_of(org_id, bill_id, kind), MEMO_LINES.c.id == memo_id)).mappings().first()
    if found is None:
        raise NotFound(kind.__name__, memo_id)
    return found


def _memo(kind: type[M], row: RowMapping) -> M:
    values = {name: row[name] for name in kind.model_fields if name in row and row[name] is not None}
    reason = {name: row["reason_id"] for name in ("credit_reason_id", "debit_reason_id") if name in kind.model_fields}
    return kind.model_validate(values | reason)


def _values(connection: Connection, org_id: str, bill: RowMapping, new: MemoLine, line_ids: frozenset[str] | None) -> dict[str, Any]:
    """Columns of the table that follow from the request."""
    new.checked()
    _refuse_unknown(connection, org_id, new, line_ids)
    currency = new.currency or bill["currency"]
    overrides = BillJobOverrides.model_validate(bill["overrides"])
    [exchange] = exchanges([(currency, bill["currency"])], _money(connection, org_id), overrides.currency_conversions or ())
    return {
        "line_item_type": new.line_item_type or new.default_type,
        "description": new.description,
        "amount": new.amount,
        "amount_to_apply_on_bill": new.amount_to_apply_on_bill,
        "currency": currency,
        "product_id": new.product_id,
        "accounting_product_id": new.accounting_product_id or new.product_id,
        "reason_id": new.picked_reason_id,
        "referenced_bill_id": new.referenced_bill_id,
        "referenced_line_item_id": new.referenced_line_item_id,
        "service_period_start_date": new.service_period_start_date,
        "service_period_end_date": new.service_period_end_date,
        **_columns(memo_amounts(new.applied, exchange)),
    }


def _columns(amounts: MemoAmounts) -> dict[str, Decimal]:
    return {"subtotal": amounts.subtotal, "conversion_rate": amounts.conversion_rate, "converted_subtotal": amounts.converted_subtotal}


def _money(connection: Connection, org_id: str) -> Configuration:
    """Of the configuration what money needs: the organization's settings and its currencies."""
    organization = config_store.singleton(connection, org_id, OrganizationConfig)
    assert organization.dt_last_modified is not None, "a stored entity has its instants"
    return Configuration(
        organization_id=org_id,
        as_of=organization.dt_last_modified,
        organization=organization,
        custom_fields=CustomFields(),
        small={"Currency": {one.id: one for one in config_store.entities(connection, org_id, Currency)}},
        accounts=pl.DataFrame(schema=ACCOUNTS_SCHEMA),
        account_plans=pl.DataFrame(schema=ACCOUNT_PLANS_SCHEMA),
        hash="",
    )


def _refuse_unknown(connection: Connection, org_id: str, new: MemoLine, line_ids: frozenset[str] | None) -> None:
    problems = []
    for field, product_id in (("productId", new.product_id), ("accountingProductId", new.accounting_product_id)):
        if product_id is not None and config_store.found(connection, org_id, Product, product_id) is None:
            problems.append(FieldProblem(field, f"there is no Product {product_id} in this organization"))
    is_credit = isinstance(new, CreditLineItem)
    reason: type[CreditReason | DebitReason] = CreditReason if is_credit else DebitReason
    if new.picked_reason_id is not None and config_store.found(connection, org_id, reason, new.picked_reason_id) is None:
        field = "creditReasonId" if is_credit else "debitReasonId"
        problems.append(FieldProblem(field, f"there is no {reason.__name__} {new.picked_reason_id} in this organization"))
    if new.referenced_bill_id is not None and not bill_store.exists(connection, org_id, new.referenced_bill_id):
        problems.append(FieldProblem("referencedBillId", f"there is no bill {new.referenced_bill_id} in this organization"))
    elif new.referenced_line_item_id is not None and new.referenced_line_item_id not in (line_ids or ()):
        text = f"bill {new.referenced_bill_id} has no line item {new.referenced_line_item_id}"
        problems.append(FieldProblem("referencedLineItemId", text))
    if problems:
        raise invalid(type(new).__name__, tuple(problems))


def _carried(connection: Connection, bill: RowMapping, actor: str) -> None:
    """Bring the bill's counts and totals up to its memo lines; its documents are no longer what it says."""
    c = MEMO_LINES.c
    own = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(c.converted_subtotal), 0)).where(
        c.org_id == bill["org_id"], c.bill_id == bill["id"]
    )
    count, total = connection.execute(own).one()
    whole = EXACT.add(EXACT.subtract(bill["bill_total"], bill["memo_total"]), total)
    if max(abs(whole), abs(total)) >= LIMIT:
        raise Refused(f"the total of bill {bill['id']} would have more than 26 digits before the point")
    values = {
        "memo_count": count,
        "memo_total": total,
        "line_count": bill["line_count"] - bill["memo_count"] + count,
        "bill_total": whole,
        "statement_stale": BILLS.c.json_statement_generated | BILLS.c.csv_statement_generated,
        "memo_changed_at": sa.func.clock_timestamp(),
        "version": BILLS.c.version + 1,
        "dt_last_modified": sa.func.clock_timestamp(),
        "last_modified_by": actor,
    }
    connection.execute(sa.update(BILLS).where(BILLS.c.org_id == bill["org_id"], BILLS.c.id == bill["id"]).values(values))


_OTHER_CURRENCY = sa.text(
    """
    SELECT m.id, m.bill_id, m.side, m.amount, m.amount_to_apply_on_bill, m.currency,
           c.currency AS bill_currency, c.overrides, c.account_id, c.account_code
    FROM computed_bills c
    JOIN bills b ON b.org_id = :org_id AND b.id = c.id AND b.memo_count > 0 AND b.currency <> c.currency
        AND NOT (b.locked OR coalesce(b.end_date <= CAST(:lock_date AS date), false))
    JOIN memo_lines m ON m.org_id = b.org_id AND m.bill_id = b.id
    WHERE b.last_calculated_at <= :began_at
    ORDER BY m.bill_id, m.sequence
    FOR UPDATE OF b
    """
)


def converted_anew(
    connection: Connection, org_id: str, configuration: Configuration, *, began_at: Any, lock_date: date | None
) -> list[dict[str, str | None]]:
    """Convert the memo lines of bills that were calculated in another currency than before, ahead of their headers.

    Args:
        connection: The transaction that writes headers, with ``computed_bills``.
        org_id: The organization.
        configuration: What the bills were calculated from.
        began_at: When the calculation began; bills of later ones are not looked at.
        lock_date: The bill lock date; what it locks is not looked at either.

    Returns:
        A failure per bill whose lines can't be converted; it is taken out of ``computed_bills`` and stays as it was.
    """
    amounts: dict[str, dict[str, MemoAmounts]] = {}
    failures: dict[str, dict[str, str | None]] = {}
    for row in connection.execute(_OTHER_CURRENCY, {"org_id": org_id, "began_at": began_at, "lock_date": lock_date}).mappings().all():
        overrides = BillJobOverrides.model_validate(row["overrides"])
        [exchange] = exchanges([(row["currency"], row["bill_currency"])], configuration, overrides.currency_conversions or ())
        try:
            amounts.setdefault(row["bill_id"], {})[row["id"]] = _signed(row, exchange)
        except EntityInvalid as error:
            reason = f"bill {row['bill_id']}: its credit and debit lines can't be converted: {error}; the bill was left as it was"
            account = {"accountId": row["account_id"], "accountCode": row["account_code"]}
            failures[row["bill_id"]] = {**account, "billId": row["bill_id"], "reason": reason}
    if failures:
        connection.execute(sa.text("DELETE FROM computed_bills WHERE id = ANY(:ids)"), {"ids": list(failures)})
    for bill_id in amounts.keys() - failures.keys():
        for memo_id, one in amounts[bill_id].items():
            connection.execute(sa.update(MEMO_LINES).where(MEMO_LINES.c.org_id == org_id, MEMO_LINES.c.id == memo_id).values(_columns(one)))
        # bill_total follows when the header is written, in this transaction.
        total = sum((one.converted_subtotal for one in amounts[bill_id].values()), Decimal(0))
        connection.execute(sa.update(BILLS).where(BILLS.c.org_id == org_id, BILLS.c.id == bill_id).values(memo_total=total))
    return list(failures.values())


def _signed(row: RowMapping, exchange: Exchange) -> MemoAmounts:
    applied = row["amount"] if row["amount_to_apply_on_bill"] is None else row["amount_to_apply_on_bill"]
    return memo_amounts(-applied if row["side"] == CreditLineItem.side else applied, exchange)
