"""Entities as JSON documents: a request body to an entity, an entity to its wire form.

Put here what every entity shares on the way in and out. Cross-entity rules are the entities' own checks.
"""

import difflib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from transforms.entities.fields import by_wire_name
from transforms.entities.resource import ID_LENGTH, Entity, ValueObject
from transforms.errors import EntityInvalid, FieldProblem
from transforms.money import LIMIT, wire_number

E = TypeVar("E", bound=ValueObject)


def wire_path(location: tuple[str | int, ...]) -> str:
    """The location of a problem as clients write it: ``pricingBands[0].unitPrice``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path


def _unstorable(value: Any, location: tuple[str | int, ...] = ()) -> Iterator[FieldProblem]:
    """Strings that no database nor UTF-8 file can hold: with a NUL character or half a surrogate pair."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
            yield FieldProblem(wire_path(location), "may not hold NUL characters or unpaired surrogates")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unstorable(key, (*location, key))
            yield from _unstorable(item, (*location, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unstorable(item, (*location, index))


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "is required"
    reason = error.get("ctx", {}).get("error") if error["type"] == "value_error" else None
    text = (
        str(reason)
        if reason is not None
        else error["msg"]
        .replace("Input should be", "must be")
        .replace("String should", "must")
        .replace("List should", "must")
        .replace(" after validation", "")
    )
    given = error["input"]
    if error["type"] in ("string_too_short", "string_too_long") and error["ctx"].get("min_length", error["ctx"].get("max_length")) == ID_LENGTH:
        text = f"must be an id, {ID_LENGTH} characters such as 01234567-89ab-cdef-0123-456789abcdef, not a code or a name"
    # A number may be written in ten characters and have a billion digits.
    is_plain = isinstance(given, Decimal) and given.is_finite() and given.adjusted() < LIMIT.adjusted()
    shown = wire_number(given) if is_plain else str(given) if isinstance(given, Decimal) else repr(given)
    return f"{text}; it is {shown}"[:400] if isinstance(given, (str, int, Decimal)) else str(text)


def invalid(kind: str, problems: tuple[FieldProblem, ...]) -> EntityInvalid:
    """The error for a body with these problems."""
    return EntityInvalid(f"{kind} is not valid: " + "; ".join(f"{p.field}: {p.message}" for p in problems), problems)


def validated(kind: type[E], body: Any) -> E:
    """The entity that a request body describes; read-only and unknown fields are ignored (DECISIONS 36).

    Args:
        kind: The declaration.
        body: The parsed JSON, numbers with a point as Decimal. A null stands for a field that was not given.

    Raises:
        EntityInvalid: With one problem per wrong field, all of them.
    """
    if not isinstance(body, dict):
        raise EntityInvalid(f"the body must be a JSON object that describes one {kind.__name__}")
    known = by_wire_name(kind)
    writable = {wire: value for wire, value in body.items() if wire in known and not known[wire].is_read_only and value is not None}
    unstorable = tuple(_unstorable(writable))
    if unstorable:
        raise invalid(kind.__name__, unstorable)
    try:
        return kind.model_validate(writable)
    except ValidationError as error:
        problems = tuple(FieldProblem(wire_path(e["loc"]), _message(e)) for e in error.errors(include_url=False))
        raise invalid(kind.__name__, problems) from None


def unknown_fields(kind: type[BaseModel], body: Mapping[str, Any], path: str = "") -> Iterator[FieldProblem]:
    """The fields of a document that its declaration does not have, nested ones too, with the likely spelling.

    Requests ignore them (DECISIONS 36); where a person writes a file, they are mistakes.
    """
    known = {info.alias or name: info for name, info in kind.model_fields.items()}
    for wire, value in body.items():
        if wire not in known:
            close = difflib.get_close_matches(wire, known, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
            yield FieldProblem(f"{path}{wire}", f"there is no field {wire} in {kind.__name__}{hint}")
            continue
        nested = _nested_model(known[wire].annotation)
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if nested is not None and isinstance(item, dict):
                yield from unknown_fields(nested, item, f"{path}{wire}[{index}]." if isinstance(value, list) else f"{path}{wire}.")


def nested_part(kind: type[BaseModel], name: str) -> type[ValueObject] | None:
    """The value object that a field (snake_case) holds, alone or in a list; None where it holds none."""
    part = _nested_model(kind.model_fields[name].annotation)
    assert part is None or issubclass(part, ValueObject), "nested parts are value objects"
    return part


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    """The value object that an annotation holds, alone or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _nested_model(argument)) is not None), None)


def plain_numbers(value: Any) -> Any:
    """The JSON-like value with every Decimal as the wire has it: no exponent, no trailing zeros."""
    if isinstance(value, Decimal):
        return wire_number(value)
    if isinstance(value, dict):
        return {key: plain_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(item) for item in value]
    return value


def document(entity: Entity) -> dict[str, Any]:
    """The entity's wire form: camelCase, nulls left out, Decimals, dates and instants as they are."""
    return entity.model_dump(by_alias=True, exclude_none=True)
