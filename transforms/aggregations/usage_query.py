"""A usage query as it comes in, and whether it can be answered.

Put here the request and its rules. Keep out the answer (explorer.py). Source: usage.md 7.1, DECISIONS 40.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from transforms.entities.resource import Instant, ValueObject
from transforms.entities.usage import Meter, Method
from transforms.errors import EntityInvalid, FieldProblem

LIMIT_MAX = 20_000
#: Keys of a row beside the fields; a field of that name is ``<code>.value``.
GROUP_KEYS = ("accountId", "accountCode", "startTime", "endTime")
ROW_KEYS = ("meterId", "meterCode", "accountId", "accountCode", "ts", "ets", "uid", "receivedAt")


class FieldType(StrEnum):
    """What a query takes a field to be: a string (DIMENSION) or a number (MEASURE)."""

    DIMENSION = "DIMENSION"
    MEASURE = "MEASURE"


FUNCTIONS: Mapping[FieldType, tuple[Method, ...]] = {
    FieldType.MEASURE: (Method.SUM, Method.MIN, Method.MAX, Method.COUNT, Method.LATEST, Method.MEAN),
    FieldType.DIMENSION: (Method.COUNT, Method.UNIQUE),
}


class GroupType(StrEnum):
    """What rows are told apart by."""

    ACCOUNT = "ACCOUNT"
    DIMENSION = "DIMENSION"
    TIME = "TIME"


class Frequency(StrEnum):
    """Length of a time group, cut in the organization's time zone; weeks begin on Monday."""

    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"


class QueryAggregation(ValueObject):
    """A function of one field of one meter."""

    meter_id: str
    field_code: str
    field_type: FieldType
    function: Method


class DimensionFilter(ValueObject):
    """Only measurements of the meter whose string field has one of the values."""

    meter_id: str
    field_code: str
    values: Annotated[list[str], Field(min_length=1)]


class Group(ValueObject):
    """One of ``groups``: by account, by a string field of a meter, or by time."""

    group_type: GroupType
    meter_id: str | None = None
    field_code: str | None = None
    frequency: Frequency | None = None


class UsageQuery(ValueObject):
    """The body of ``POST usage/query``. ``startDate`` is inclusive, ``endDate`` exclusive; both are about ``ts``."""

    start_date: Instant
    end_date: Instant
    account_ids: list[str] = Field(default_factory=list)
    meter_ids: list[str] = Field(default_factory=list)
    aggregations: list[QueryAggregation] = Field(default_factory=list)
    dimension_filters: list[DimensionFilter] = Field(default_factory=list)
    groups: list[Group] = Field(default_factory=list)
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT_MAX

    @property
    def named_meters(self) -> tuple[str, ...]:
        """Ids of the meters that the query reads, each once, in order; none when it reads every meter."""
        ids = [a.meter_id for a in self.aggregations] or self.meter_ids
        return tuple(dict.fromkeys(ids))

    @property
    def frequency(self) -> Frequency | None:
        """Of its time group, if it has one."""
        return next((g.frequency for g in self.groups if g.group_type is GroupType.TIME), None)

    @property
    def is_by_account(self) -> bool:
        """True when rows are told apart by account."""
        return any(g.group_type is GroupType.ACCOUNT for g in self.groups)

    def dimensions(self, meter_id: str) -> tuple[str, ...]:
        """Codes of the string fields of the meter that rows are told apart by."""
        return tuple(dict.fromkeys(g.field_code for g in self.groups if g.meter_id == meter_id and g.field_code is not None))

    def filters(self, meter_id: str) -> tuple[DimensionFilter, ...]:
        """The filters of the meter's measurements."""
        return tuple(f for f in self.dimension_filters if f.meter_id == meter_id)


def aggregation_keys(query: UsageQuery, meters: Mapping[str, Meter]) -> tuple[str, ...]:
    """The row key of each aggregation: ``<fieldCode>.<FUNCTION>``, with the meter's code before it where two would be equal."""
    short = [f"{a.field_code}.{a.function}" for a in query.aggregations]
    counts = Counter({(a.meter_id, key) for a, key in zip(query.aggregations, short, strict=True)})
    shared = Counter(key for _, key in counts)
    return tuple(key if shared[key] == 1 else f"{meters[a.meter_id].code}.{key}" for a, key in zip(query.aggregations, short, strict=True))


def _known(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) if codes else "it has none"


def _field_problem(path: str, code: str | None, wanted: FieldType, meter: Meter) -> FieldProblem | None:
    strings, numbers = meter.string_fields, meter.numeric_fields
    of_type, others = (strings, numbers) if wanted is FieldType.DIMENSION else (numbers, strings)
    if code in of_type:
        return None
    kind = "string" if wanted is FieldType.DIMENSION else "numeric"
    if code in others:
        return FieldProblem(path, f"field {code} of meter {meter.code} is no {wanted}; its {kind} fields are {_known(of_type)}")
    return FieldProblem(path, f"meter {meter.code} has no field {code!r}; its {kind} fields are {_known(of_type)}")


def _meter_problem(path: str, meter_id: str | None, query: UsageQuery, meters: Mapping[str, Meter]) -> FieldProblem | None:
    if meter_id is None or meter_id not in meters:
        return FieldProblem(path, f"meter {meter_id} does not exist in this organization")
    if query.meter_ids and meter_id not in query.meter_ids:
        return FieldProblem(path, f"meter {meters[meter_id].code} is not among the query's meterIds; add it there or leave meterIds out")
    return None


def _aggregation_problems(query: UsageQuery, meters: Mapping[str, Meter]) -> Iterator[FieldProblem | None]:
    for index, one in enumerate(query.aggregations):
        path = f"aggregations[{index}]"
        problem = _meter_problem(f"{path}.meterId", one.meter_id, query, meters)
        yield problem
        if problem is None:
            yield _field_problem(f"{path}.fieldCode", one.field_code, one.field_type, meters[one.meter_id])
        if one.function not in FUNCTIONS[one.field_type]:
            allowed = ", ".join(FUNCTIONS[one.field_type])
            yield FieldProblem(f"{path}.function", f"{one.function} does not go with a {one.field_type}; its functions are {allowed}")


def _group_problems(query: UsageQuery, meters: Mapping[str, Meter]) -> Iterator[FieldProblem | None]:
    if query.groups and not query.aggregations:
        yield FieldProblem("groups", "groups need aggregations: say what to compute for each group, or leave groups out to get measurements")
    for index, group in enumerate(query.groups):
        path = f"groups[{index}]"
        if group.group_type is GroupType.TIME and group.frequency is None:
            yield FieldProblem(f"{path}.frequency", f"a TIME group needs a frequency: {', '.join(Frequency)}")
        if group.group_type is GroupType.DIMENSION:
            problem = _meter_problem(f"{path}.meterId", group.meter_id, query, meters)
            yield problem
            if problem is None:
                yield _field_problem(f"{path}.fieldCode", group.field_code, FieldType.DIMENSION, meters[str(group.meter_id)])
    if sum(g.group_type is GroupType.TIME for g in query.groups) > 1:
        yield FieldProblem("groups", "there can be only one TIME group")


def _filter_problems(query: UsageQuery, meters: Mapping[str, Meter]) -> Iterator[FieldProblem | None]:
    for index, one in enumerate(query.dimension_filters):
        path = f"dimensionFilters[{index}]"
        problem = _meter_problem(f"{path}.meterId", one.meter_id, query, meters)
        yield problem
        if problem is None:
            yield _field_problem(f"{path}.fieldCode", one.field_code, FieldType.DIMENSION, meters[one.meter_id])


def checked_query(query: UsageQuery, meters: Mapping[str, Meter]) -> UsageQuery:
    """The query, which can be answered.

    Args:
        query: As it came, every field by itself valid.
        meters: The organization's, by id.

    Raises:
        EntityInvalid: With everything that is wrong, and what there is instead.
    """
    found = [
        FieldProblem("endDate", f"endDate {query.end_date.isoformat()} must be after startDate {query.start_date.isoformat()}")
        if query.end_date <= query.start_date
        else None,
        *(_meter_problem(f"meterIds[{n}]", meter_id, query, meters) for n, meter_id in enumerate(query.meter_ids)),
        *_aggregation_problems(query, meters),
        *_group_problems(query, meters),
        *_filter_problems(query, meters),
    ]
    problems = tuple(problem for problem in found if problem is not None)
    if problems:
        raise EntityInvalid("; ".join(f"{p.field}: {p.message}" for p in problems), problems)
    return query
