"""What is wrong with a refused body of measurements: the item, the field and what would be right.

Runs only after the fast check of wire.py said no, and must find everything that it refuses. Put here messages.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from transforms.errors import EntityInvalid, FieldProblem

MOST_ITEMS = 1000
FUTURE_TOLERANCE = timedelta(minutes=5)
#: No usage is older; also keeps every instant representable in any time zone.
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
#: An account or meter code: no control or white space characters except single spaces inside (usage.md 1.2).
CODE = r"[^\s\x00-\x1f\x7f-\x9f](?:(?:[^\s\x00-\x1f\x7f-\x9f]| )*[^\s\x00-\x1f\x7f-\x9f])?"
STRING_MAPS = ("who", "what", "where", "other", "metadata")
NUMBER_MAPS = ("measure", "income", "cost")
MOST_PROBLEMS = 20
_INSTANT = msgspec.json.Decoder(datetime)


def located(body: bytes, now: datetime, fallback: str) -> EntityInvalid:
    """The error for a body that is not acceptable; it lists the first problems.

    Args:
        body: The body as received.
        now: The present instant.
        fallback: The decoder's own words, should nothing be found.
    """
    try:
        document = json.loads(body, parse_float=Decimal, parse_constant=_not_a_number)
    except json.JSONDecodeError as error:
        return EntityInvalid(f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except UnicodeDecodeError as error:
        return EntityInvalid(f"the body is not valid UTF-8 at byte {error.start}")
    except RecursionError:
        return EntityInvalid("the body is nested too deeply")
    except (ValueError, ArithmeticError) as error:
        return EntityInvalid(f"the body is not acceptable JSON: {error}")
    problems = []
    for problem in _document(document, now):
        problems.append(problem)
        if len(problems) == MOST_PROBLEMS:
            break
    if not problems:
        return EntityInvalid(f"the body is not acceptable: {fallback}")
    return EntityInvalid("; ".join(f"{p.field}: {p.message}" for p in problems[:3]), tuple(problems))


def _not_a_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _document(document: Any, now: datetime) -> Iterator[FieldProblem]:
    items = document.get("measurements") if isinstance(document, dict) else None
    if not isinstance(items, list):
        yield FieldProblem("measurements", 'the body must be an object with a list: {"measurements": [...]}')
        return
    if not 1 <= len(items) <= MOST_ITEMS:
        yield FieldProblem("measurements", f"has {len(items)} items; send 1 to {MOST_ITEMS} per call")
        return
    for index, item in enumerate(items):
        yield from measurement_problems(item, f"measurements[{index}]", now)


def measurement_problems(item: Any, path: str, now: datetime) -> Iterator[FieldProblem]:
    """Everything wrong with one measurement."""
    if not isinstance(item, dict):
        yield FieldProblem(path, f"is {_shown(item)}; a measurement is an object with account, meter and ts")
        return
    for key in ("account", "meter"):
        yield from _code(item.get(key), f"{path}.{key}", key)
    uid = item.get("uid")
    if uid is not None and not (isinstance(uid, str) and len(uid) <= 50):
        yield FieldProblem(f"{path}.uid", f"is {_shown(uid)}; it must be a string of at most 50 characters")
    ts = _instant(item.get("ts"))
    if ts is None:
        yield FieldProblem(f"{path}.ts", _time_message(item, "ts"))
    elif ts > now + FUTURE_TOLERANCE:
        yield FieldProblem(f"{path}.ts", f"is {_shown(item['ts'])}; it may be at most 5 minutes after now ({now:%Y-%m-%dT%H:%M:%SZ})")
    elif ts < EARLIEST:
        yield FieldProblem(f"{path}.ts", f"is {_shown(item['ts'])}; it must not be before {EARLIEST.year}")
    if item.get("ets") is not None:
        ets = _instant(item["ets"])
        if ets is None:
            yield FieldProblem(f"{path}.ets", _time_message(item, "ets"))
        elif ts is not None and ets < ts:
            yield FieldProblem(f"{path}.ets", f"is {_shown(item['ets'])}; it must not be before ts, which is {_shown(item['ts'])}")
    for key in STRING_MAPS:
        yield from _strings(item.get(key), f"{path}.{key}", 256 if key == "metadata" else None)
    for key in NUMBER_MAPS:
        yield from _numbers(item.get(key), f"{path}.{key}")


def _code(value: Any, path: str, key: str) -> Iterator[FieldProblem]:
    if value is None:
        yield FieldProblem(path, f"is missing; it must be the {key}'s code")
    elif not (isinstance(value, str) and 1 <= len(value) <= 80 and re.fullmatch(CODE, value)):
        yield FieldProblem(
            path, f"is {_shown(value)}; it must be a code of 1 to 80 characters without white space (but single spaces inside) and control characters"
        )


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        instant = _INSTANT.decode(msgspec.json.encode(value))
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError, UnicodeEncodeError):
        return None


def _time_message(item: dict[str, Any], key: str) -> str:
    expected = "an ISO 8601 date and time such as 2025-01-31T13:45:00.000Z"
    return f"is missing; it must be {expected}" if item.get(key) is None else f"is {_shown(item[key])}; it must be {expected}"


def _strings(values: Any, path: str, longest: int | None) -> Iterator[FieldProblem]:
    if values is None:
        return
    if not isinstance(values, dict):
        yield FieldProblem(path, f"is {_shown(values)}; it must be an object of field codes and strings")
        return
    for name, value in values.items():
        if not isinstance(value, str):
            yield FieldProblem(f"{path}.{name}", f"is {_shown(value)}; it must be a string")
        elif longest is not None and len(value) > longest:
            yield FieldProblem(f"{path}.{name}", f"has {len(value)} characters; it may have at most {longest}")


def _numbers(values: Any, path: str) -> Iterator[FieldProblem]:
    if values is None:
        return
    if not isinstance(values, dict):
        yield FieldProblem(path, f"is {_shown(values)}; it must be an object of field codes and numbers")
        return
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            yield FieldProblem(f"{path}.{name}", f"is {_shown(value)}; it must be a number, without quotes")
        elif abs(Decimal(value)) >= Decimal("1e308"):
            yield FieldProblem(f"{path}.{name}", f"is {_shown(value)}; it must be a number with at most 26 digits before the point")
