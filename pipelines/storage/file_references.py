"""References of configuration as code: from the codes that a file writes to the ids that entities hold.

Put here how a file refers to entities. What it does with them is apply.py.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from pipelines.storage import config_store
from transforms.entities.documents import nested_part
from transforms.entities.fields import FieldSpec, fields
from transforms.entities.registry import BY_KIND
from transforms.entities.resource import Entity, ValueObject
from transforms.errors import FieldProblem


def with_ids(
    connection: Connection, org_id: str, kind: type[ValueObject], body: Mapping[str, Any], *, problems: list[FieldProblem], path: str = ""
) -> dict[str, Any]:
    """The body with every reference by code replaced by the id; what can't be replaced is added to the problems."""
    wire = dict(body)
    for field in fields(kind).values():
        part = nested_part(kind, field.name)
        if part is not None and isinstance(wire.get(field.wire), list):
            wire[field.wire] = [
                with_ids(connection, org_id, part, one, problems=problems, path=f"{path}{field.wire}[{at}].") if isinstance(one, dict) else one
                for at, one in enumerate(wire[field.wire])
            ]
        by_code, referred = code_field(field), field.reference or field.references
        if referred is None or field.is_read_only or by_code == field.wire or by_code not in wire:
            continue
        if field.wire in wire:
            problems.append(FieldProblem(f"{path}{by_code}", f"give {by_code} (by code) or {field.wire} (by id), not both"))
            continue
        codes = wire.pop(by_code)
        if field.references is None:
            wire[field.wire] = _id_of(connection, org_id, referred, codes, at=f"{path}{by_code}", field=field, problems=problems)
        elif isinstance(codes, list):
            places = [f"{path}{by_code}[{number}]" for number in range(len(codes))]
            wire[field.wire] = [
                _id_of(connection, org_id, referred, code, at=place, field=field, problems=problems)
                for place, code in zip(places, codes, strict=True)
            ]
        else:
            problems.append(FieldProblem(f"{path}{by_code}", f"{by_code} must be a list of codes; it is {codes!r}"))
    return wire


def code_field(field: FieldSpec) -> str:
    """How a file names the field when it refers by code: ``plan`` for ``planId``, ``products`` for ``productIds``."""
    return f"{field.wire.removesuffix('Ids')}s" if field.references is not None else field.wire.removesuffix("Id")


def _id_of(connection: Connection, org_id: str, kind: str, code: Any, *, at: str, field: FieldSpec, problems: list[FieldProblem]) -> str | None:
    """The id of the entity with that code; None where there is none, or no code, or several, which is a problem at that place of the file."""
    if code is None:
        return None
    target = BY_KIND[kind].entity
    handle = _handle(target)
    found = config_store.entities(connection, org_id, target, **{handle: str(code)})
    if len(found) == 1:
        return found[0].id
    if found:
        problems.append(FieldProblem(at, f"{len(found)} entities of kind {kind} have the {handle} {code!r}; write {field.wire}"))
    else:
        problems.append(FieldProblem(at, f"there is no {kind} with {handle} {code!r}, neither in the organization nor in the file"))
    return None


def _handle(kind: type[Entity]) -> str:
    """What a file names an entity by: its code, or its name when the kind has no codes."""
    return "code" if "code" in fields(kind) else "name"
