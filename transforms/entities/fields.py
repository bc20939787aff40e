"""The fields of a declaration, read once: what tables, validation, lists and documents are derived from.

Put here what can be told about a field from its annotation. Keep out SQL and HTTP.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from transforms.entities.resource import CodeReference, Derived, ReadOnly, Reference, References, ValueObject

_SCALARS = (bool, int, Decimal, datetime, date, str)


@dataclass(frozen=True)
class FieldSpec:
    """One field of an entity.

    Attributes:
        name: snake_case name, also the column.
        wire: Name on the wire.
        type: str, bool, int, Decimal, date, datetime, or object for whatever is nested.
        is_wide: True for an integer of 64 bits.
        is_nullable: True where None is allowed.
        is_read_only: True where clients never set it.
        is_derived: True where it is not stored but worked out when read.
        reference: Kind of the entity whose id it holds.
        references: Kind of the entities whose ids it lists.
        code_reference: Kind of the entity whose code it holds.
    """

    name: str
    wire: str
    type: type
    is_wide: bool
    is_nullable: bool
    is_read_only: bool
    is_derived: bool
    reference: str | None
    references: str | None
    code_reference: str | None


def _unwrapped(annotation: Any, metadata: list[Any]) -> tuple[Any, bool]:
    """The annotation without None and Annotated (whose metadata is appended), and whether None was among it."""
    is_nullable = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            metadata.extend(more)
        elif get_origin(annotation) in (Union, types.UnionType):
            others = [a for a in get_args(annotation) if a is not type(None)]
            is_nullable = is_nullable or len(others) < len(get_args(annotation))
            if len(others) > 1:
                return object, is_nullable
            annotation = others[0]
        else:
            return annotation, is_nullable


def _scalar(annotation: Any) -> type:
    if isinstance(annotation, type):
        if issubclass(annotation, StrEnum):
            return str
        for scalar in _SCALARS:
            if issubclass(annotation, scalar):
                return scalar
    return object


def _spec(name: str, info: FieldInfo) -> FieldSpec:
    metadata: list[Any] = list(info.metadata)
    annotation, is_nullable = _unwrapped(info.annotation, metadata)
    for item in list(metadata):
        if isinstance(item, FieldInfo):
            metadata.extend(item.metadata)
    bounds = [getattr(m, "le", None) for m in metadata]
    return FieldSpec(
        name=name,
        wire=info.alias or name,
        type=_scalar(annotation),
        is_wide=not any(isinstance(b, int) and b < 2**31 for b in bounds),
        is_nullable=is_nullable,
        is_read_only=any(isinstance(m, ReadOnly) for m in metadata),
        is_derived=any(isinstance(m, Derived) for m in metadata),
        reference=next((m.kind for m in metadata if isinstance(m, Reference)), None),
        references=next((m.kind for m in metadata if isinstance(m, References)), None),
        code_reference=next((m.kind for m in metadata if isinstance(m, CodeReference)), None),
    )


@cache
def fields(kind: type[ValueObject]) -> Mapping[str, FieldSpec]:
    """snake_case name -> field, in declared order."""
    return {name: _spec(name, info) for name, info in kind.model_fields.items()}


@cache
def by_wire_name(kind: type[ValueObject]) -> Mapping[str, FieldSpec]:
    """Wire name -> field."""
    return {f.wire: f for f in fields(kind).values()}
