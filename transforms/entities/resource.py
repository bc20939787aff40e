"""The declaration language of config entities.

An entity is one pydantic class (its fields, bounds and references) plus one registry row (``Resource``): path, unique
keys, list filters, cross-entity check, page size. From these two come its table, its five routes, validation, JSON,
versions, paging and history. Put here the vocabulary of declarations; keep out the entities themselves.

An option beyond the five is a sign that the entity wants a hand-written router.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic.alias_generators import to_camel

from transforms.errors import EntityInvalid, FieldProblem
from transforms.money import LIMIT, exact


@dataclass(frozen=True)
class Reference:
    """Marks a field as the id of another entity of the same organization; becomes a composite foreign key."""

    kind: str


@dataclass(frozen=True)
class References:
    """Marks a field as a list of ids of other entities of the same organization; none of them can be deleted while it is listed."""

    kind: str


@dataclass(frozen=True)
class CodeReference:
    """Marks a field as the code of another entity of the same organization, a currency for example.

    The code must exist when the field is written, and its entity can't be deleted nor lose the code while it is used.
    """

    kind: str


@dataclass(frozen=True)
class ReadOnly:
    """Marks a field that clients see but never set: ignored in a request body, filled by the resource's check."""


@dataclass(frozen=True)
class Derived(ReadOnly):
    """Marks a read-only field that is no part of the stored entity: worked out whenever it is read (an account's spending, say).

    It changes without a new version and stands in no history.
    """


_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _without_control_characters(value: str) -> str:
    if value != value.strip() or any(not c.isprintable() for c in value):
        raise ValueError("may not begin or end with a space nor hold control characters")
    return value


def _identifier(value: str) -> str:
    if value[:1].isdigit() or any(not (c.isalpha() or c in "_$0123456789") for c in value):
        raise ValueError("must be an identifier, since formulas name it: letters, digits, _ and $, not beginning with a digit, such as api_calls")
    return value


def _email_address(value: str) -> str:
    local, _, host = value.rpartition("@")
    if not local or not host or "@" in local or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must be an e-mail address such as billing@example.com")
    return value


def _not_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def _within_limit(value: Decimal) -> Decimal:
    if not value.is_finite() or abs(value) >= LIMIT:
        raise ValueError("must be a number with at most 26 digits before the point")
    return exact(value)


def _string_or_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal, float)):
        raise ValueError("must be a string or a number")  # noqa: TRY004
    return value if isinstance(value, str) else _within_limit(Decimal(str(value)))


def _moment(value: Any) -> Any:
    """A date alone stands for its midnight, as the public clients send it; numbers, also in quotes, are not taken for Unix time."""
    if isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and not _DAY.match(value)):
        raise ValueError("must be a date and time such as 2025-01-31T00:00:00Z")
    if isinstance(value, str) and len(value) == 10:
        return f"{value}T00:00:00Z"
    return value


def _calendar_day(value: Any) -> Any:
    """Numbers, also in quotes, are not taken for Unix time."""
    if isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and not _DAY.match(value)):
        raise ValueError("must be a date such as 2025-01-31")
    return value


def _countable(value: date) -> date:
    if not 1900 <= value.year < 9000:
        raise ValueError("must lie in the years 1900 to 8999")
    return value


def _utc(value: datetime) -> datetime:
    """The instant in UTC; one without an offset is meant so."""
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999") from None


ID_LENGTH = 36
Id = Annotated[str, StringConstraints(min_length=ID_LENGTH, max_length=ID_LENGTH)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_without_control_characters)]
#: A code that may stand in a formula: letters, _ and $, digits not first.
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_identifier)]
Text = Annotated[str, StringConstraints(max_length=200)]
EmailAddress = Annotated[str, StringConstraints(min_length=3, max_length=320), AfterValidator(_email_address)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=50)]
#: A 32-bit integer of the wire format.
Integer = Annotated[int, BeforeValidator(_not_boolean), Field(ge=-(2**31), le=2**31 - 1)]
#: A 64-bit integer of the wire format.
LongInteger = Annotated[int, BeforeValidator(_not_boolean), Field(ge=-(2**63), le=2**63 - 1)]
#: An exact number, kept at 12 fractional digits (DECISIONS 1).
Number = Annotated[Decimal, BeforeValidator(_not_boolean), Field(allow_inf_nan=False), AfterValidator(_within_limit)]
Amount = Annotated[Number, Field(ge=0)]
PositiveNumber = Annotated[Number, Field(gt=0)]
#: An instant, always in UTC.
Instant = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_utc)]
#: A calendar day without a time zone; its bounds leave room to count billing periods from it either way.
Day = Annotated[date, BeforeValidator(_calendar_day), AfterValidator(_countable)]
#: true or false, and no word for them.
Flag = Annotated[bool, Strict()]
CustomFieldValue = Annotated[str | Decimal, BeforeValidator(_string_or_number)]
CustomFieldValues = Annotated[dict[str, CustomFieldValue], Field(max_length=100)]


class BillingFrequency(StrEnum):
    """How often a plan bills. MIXED only ever stands on a consolidated bill."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    ANNUALLY = "ANNUALLY"
    AD_HOC = "AD_HOC"
    MIXED = "MIXED"


class ValueObject(BaseModel):
    """A nested part of an entity: camelCase on the wire, snake_case in code, unknown fields ignored (DECISIONS 36)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Entity(ValueObject):
    """A config entity as stored: its declared fields with its id and version.

    ``id`` and the audit fields are read-only; ``version`` is compared with the stored one on update (DECISIONS 35).
    """

    id: Annotated[str, ReadOnly()] = ""
    version: LongInteger | None = None
    dt_created: Annotated[Instant | None, ReadOnly()] = None
    dt_last_modified: Annotated[Instant | None, ReadOnly()] = None
    created_by: Annotated[str | None, ReadOnly()] = None
    last_modified_by: Annotated[str | None, ReadOnly()] = None


class EntityWithCustomFields(Entity):
    """An entity that carries its own values of custom fields."""

    custom_fields: CustomFieldValues = Field(default_factory=dict)


E = TypeVar("E", bound=Entity)


class Neighbours(Protocol):
    """What a cross-entity check may look at: the other entities of the organization, within the same transaction."""

    def entity(self, kind: type[E], entity_id: str) -> E | None:
        """The entity of that kind, or None."""

    def entities(self, kind: type[E], **equal: Any) -> list[E]:
        """All entities of the kind whose fields (snake_case) equal the given values."""

    def count(self, kind: type[Entity], **equal: Any) -> int:
        """How many :meth:`entities` there are."""


#: Given the entity to be written, the neighbours and the stored entity it replaces (None on create): the entity to
#: store, read-only fields filled in. Raises EntityInvalid when it contradicts another entity. On delete the first
#: argument is None and the third is what is about to go; references by id and code are looked after without it.
Check = Callable[[Any, Neighbours, Any | None], Any]


def unchecked(entity: Any, _neighbours: Neighbours, _previous: Any | None) -> Any:
    """The entity as it came: nothing to compare it with."""
    return entity


@dataclass(frozen=True)
class Filter:
    """One query parameter of a list: which field it compares with, and how.

    Attributes:
        field: snake_case field of the entity; ``meter_id.product_id`` compares a field of the entity referred to.
        match: ``in`` (comma-joined list), ``equal`` (nothing after the ``=``: the field is not set), ``contains`` (the
            field is a list that has it), ``from`` (>=), ``until`` (<), ``active`` (the day lies in the entity's half-open
            startDate..endDate), ``flag`` (true includes, false excludes rows where it is set), ``include_all`` (unless
            true, and unless an ``active`` day is given, only what is active now) or ``order`` (ASC or DESC by creation).
        beside: The parameter needs one of these others: without any, ``include_all`` does nothing and every other
            filter is refused.
        otherwise: The field that is compared where ``field`` is not set.
        is_required: The list is refused without the parameter.
    """

    field: str
    match: Literal["in", "equal", "contains", "from", "until", "active", "flag", "include_all", "order"] = "in"
    beside: tuple[str, ...] = ()
    otherwise: str | None = None
    is_required: bool = False


IDS = {"ids": Filter("id")}
CODES = {"codes": Filter("code")}


@dataclass(frozen=True)
class Resource:
    """The registry row of an entity.

    Attributes:
        entity: The declaration.
        path: Collection below ``/organizations/{orgId}/``; a singleton has one row per organization and no id in its path.
        parent: Field with the id of the entity below which the collection lies: ``balance_id`` puts it at
            ``balances/{balance_id}/<path>``. The id in the path wins over one in the body.
        unique: Field combinations that no two rows of an organization share (nulls never collide).
        filters: Query parameter of the list -> Filter.
        check: Cross-entity check, see ``Check``.
        page_size_max: Largest (and default) page.
        singleton: True for the one-per-organization documents (organization config, custom fields).
    """

    entity: type[Entity]
    path: str
    unique: tuple[tuple[str, ...], ...] = ()
    filters: Mapping[str, Filter] = field(default_factory=dict)
    check: Check = unchecked
    page_size_max: int = 100
    singleton: bool = False
    parent: str | None = None

    @property
    def kind(self) -> str:
        """The entity's name in PascalCase, as errors, history rows and events carry it."""
        return self.entity.__name__


def overlaps(start: datetime | date, end: datetime | date | None, other_start: datetime | date, other_end: datetime | date | None) -> bool:
    """True when two half-open intervals share an instant; None is open-ended."""
    return (other_end is None or start < other_end) and (end is None or other_start < end)


def refuse(problems: Iterable[tuple[bool, str, str]]) -> None:
    """Raise one EntityInvalid that lists every (is_wrong, wire field, message) that is wrong, if there is any."""
    wrong = tuple(FieldProblem(wire_field, message) for is_wrong, wire_field, message in problems if is_wrong)
    if wrong:
        raise EntityInvalid("; ".join(dict.fromkeys(p.message for p in wrong)), wrong)
