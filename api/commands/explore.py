"""``meterhouse explore``: a usage query to a table or CSV, answered by the code that answers the API's."""

import csv
import json
import sys
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from api.commands.context import HomeOption, OrgOption, console, opened, organization_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transforms.entities.usage import Meter

_SHOWN_ROWS = 50
_INSTANTS = ("startTime", "endTime", "ts", "ets")
_WIDEST = 2000


def explore(
    meter: Annotated[str, typer.Argument(help="Code of the meter.")],
    since: Annotated[str, typer.Option("--from", help="First day, or an instant with its offset.")],
    until: Annotated[str, typer.Option("--to", help="The day after the last one, or an instant with its offset.")],
    values: Annotated[list[str] | None, typer.Argument(help="Values as FIELD.FUNCTION, for example calls.SUM; none for single measurements.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Rows by account (the word) or by a string field; may be repeated.")] = None,
    every: Annotated[str | None, typer.Option(help="Rows by time: HOUR, DAY, WEEK, MONTH or QUARTER.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only measurements with FIELD=VALUE[,VALUE...]; may be repeated.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="Only the account with this code; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="Most rows.")] = 20_000,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV.")] = False,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Ask for usage, as a table or CSV.

    For example: meterhouse explore flights departures.SUM --from 2013-01-01 --to 2014-01-01 --by account --every MONTH
    """
    from api.encoding import encoded
    from pipelines.storage import config_store
    from pipelines.storage.lake import Lake
    from pipelines.storage.usage_answers import answered
    from transforms.aggregations.usage_query import UsageQuery
    from transforms.entities.accounts import Account
    from transforms.entities.documents import validated
    from transforms.entities.organization import OrganizationConfig
    from transforms.entities.usage import Meter
    from transforms.errors import EntityInvalid

    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        with database.transaction() as connection:
            meters = config_store.entities(connection, org_id, Meter, code=meter)
            zone = ZoneInfo(config_store.singleton(connection, org_id, OrganizationConfig).timezone)
            accounts = {code: config_store.entities(connection, org_id, Account, code=code) for code in account or []}
        missing = [f"account with the code {code!r}" for code, found in accounts.items() if not found]
        if not meters or missing:
            raise EntityInvalid(f"there is no {', '.join(missing) if meters else f'meter with the code {meter!r}'}")
        body = {
            **_groups_and_values(meters[0], values or [], by or [], every),
            "startDate": _instant(since, "--from", zone),
            "endDate": _instant(until, "--to", zone),
            "meterIds": [meters[0].id],
            "accountIds": [found[0].id for found in accounts.values()],
            "dimensionFilters": [_dimension_filter(meters[0], text) for text in where or []],
            "limit": limit,
        }
        answer = answered(database, Lake(settings.lake_root, settings.lake_options), org_id, validated(UsageQuery, body))
    # Values as the API writes them.
    rows = json.loads(encoded(answer.rows), parse_float=Decimal)
    _shown(rows, zone=zone, as_csv=as_csv, has_more=answer.has_more)


def _instant(text: str, option: str, zone: ZoneInfo) -> str:
    """The instant, ISO with its offset; a day is its midnight in the organization's time zone."""
    from transforms.errors import EntityInvalid

    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            instant = datetime.fromisoformat(text)
        except ValueError as error:
            raise EntityInvalid(f"{option} {text}: must be a day such as 2013-01-31 or an instant such as 2013-01-31T12:00:00Z") from error
        return (instant if instant.tzinfo is not None else instant.replace(tzinfo=zone)).isoformat()
    return datetime.combine(day, time(), tzinfo=zone).isoformat()


def _groups_and_values(meter: "Meter", values: Sequence[str], by: Sequence[str], every: str | None) -> "Mapping[str, Any]":
    from transforms.errors import EntityInvalid

    aggregations = []
    for value in values:
        field, _, function = value.rpartition(".")
        if not field:
            raise EntityInvalid(f"{value}: must be FIELD.FUNCTION, for example {_example(meter)}")
        if field not in (*meter.numeric_fields, *meter.string_fields):
            raise EntityInvalid(
                f"{value}: meter {meter.code} has no field {field!r}; it has {', '.join((*meter.numeric_fields, *meter.string_fields))}"
            )
        kind = "MEASURE" if field in meter.numeric_fields else "DIMENSION"
        aggregations.append({"meterId": meter.id, "fieldCode": field, "fieldType": kind, "function": function.upper()})
    groups: list[dict[str, str]] = [
        {"groupType": "ACCOUNT"} if name.lower() == "account" else {"groupType": "DIMENSION", "meterId": meter.id, "fieldCode": name} for name in by
    ]
    if every is not None:
        groups.append({"groupType": "TIME", "frequency": every.upper()})
    return {"aggregations": aggregations, "groups": groups}


def _example(meter: "Meter") -> str:
    return f"{meter.numeric_fields[0]}.SUM" if meter.numeric_fields else f"{meter.string_fields[0]}.UNIQUE"


def _dimension_filter(meter: "Meter", text: str) -> dict[str, Any]:
    from transforms.errors import EntityInvalid

    field, sign, values = text.partition("=")
    if not sign:
        raise EntityInvalid(f"--where {text}: must be FIELD=VALUE[,VALUE...]")
    return {"meterId": meter.id, "fieldCode": field, "values": values.split(",")}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _local(value: Any, zone: ZoneInfo) -> str:
    """For people: an instant in the organization's time zone, a midnight as its day."""
    if value is None:
        return ""
    instant = datetime.fromisoformat(value).astimezone(zone)
    return f"{instant:%Y-%m-%d}" if instant.time() == time() else f"{instant:%Y-%m-%d %H:%M:%S}"


def _shown(rows: Sequence["Mapping[str, Any]"], *, zone: ZoneInfo, as_csv: bool, has_more: bool) -> None:
    from rich.table import Table

    columns = list(dict.fromkeys(column for row in rows for column in row if column not in ("accountId", "meterId")))
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows([_text(row.get(column)) for column in columns] for row in rows)
        return
    columns = [column for column in columns if column not in ("meterCode", "receivedAt")]
    table = Table(header_style="bold")
    for column in columns:
        is_number = all(isinstance(row.get(column), int | Decimal | None) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    for row in rows[:_SHOWN_ROWS]:
        table.add_row(*(_local(row.get(c), zone) if c in _INSTANTS else _text(row.get(c)) for c in columns))
    terminal = console()
    terminal.width = max(terminal.width, terminal.measure(table, options=terminal.options.update(width=_WIDEST)).maximum)
    terminal.print(table)
    rest = f" of {len(rows)}" if len(rows) > _SHOWN_ROWS else ""
    terminal.print(f"{min(len(rows), _SHOWN_ROWS)}{rest} rows, times in {zone.key}{'; more with --limit and --csv' if has_more or rest else ''}")
