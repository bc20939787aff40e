"""Rules between products, meters, aggregations and compound aggregations. Source: usage.md 1.5, 4, 5, 6; DECISIONS 10, 20."""

from collections import Counter
from collections.abc import Iterator

from transforms.entities.band_rules import priced_product_id
from transforms.entities.contract_rules import filter_problem
from transforms.entities.contracts import Contract
from transforms.entities.formulas import FormulaWorld, compound_problem, compound_segments, derived_field_problems, formula_world
from transforms.entities.plans import Pricing
from transforms.entities.resource import CODES, IDS, Filter, Neighbours, Resource, refuse
from transforms.entities.statement_rules import definition_problem
from transforms.entities.statements import StatementDefinition
from transforms.entities.usage import Aggregation, CompoundAggregation, Meter, Method, Product, segment_string
from transforms.errors import EntityInvalid, Refused

Problems = Iterator[tuple[bool, str, str]]


def _checked_meter(meter: Meter | None, neighbours: Neighbours, previous: Meter | None) -> Meter | None:
    if meter is None:
        _refuse_named_meter(previous, neighbours)
        return None
    aggregations = neighbours.entities(Aggregation, meter_id=meter.id) if previous is not None else []
    changes = (
        (
            *_field_change_problems(meter, previous, aggregations),
            *_lost_field_problems(meter, previous, neighbours),
            *_meter_product_problems(meter, previous, aggregations, neighbours),
        )
        if previous
        else ()
    )
    formulas = ((True, f"derivedFields[{at}].calculation", text) for at, text in derived_field_problems(meter, formula_world(neighbours)))
    refuse((*_field_problems(meter), *formulas, *changes))
    return meter


def _refuse_named_meter(meter: Meter | None, neighbours: Neighbours) -> None:
    """Statement definitions and usage filters of contracts name meters and fields inside, where no foreign key holds them."""
    assert meter is not None, "what is deleted was stored"
    for user, problem in _naming_problems([other for other in neighbours.entities(Meter) if other.id != meter.id], neighbours):
        raise Refused(f"Meter {meter.code} can't be deleted: it is used by {user}: {problem}")


def _naming_problems(meters: list[Meter], neighbours: Neighbours) -> Iterator[tuple[str, str]]:
    """Which statement definitions and contracts name what these meters, all there would be, do not have; and what."""
    for definition in neighbours.entities(StatementDefinition):
        problem = definition_problem(definition, meters)
        if problem is not None:
            yield f"StatementDefinition {definition.name or definition.id}", problem
    for contract in neighbours.entities(Contract):
        problem = filter_problem(contract, meters)
        if problem is not None:
            yield f"Contract {contract.code or contract.name}", problem


def _lost_field_problems(meter: Meter, previous: Meter, neighbours: Neighbours) -> Problems:
    lost = {(f.code, f.category.is_numeric) for f in previous.fields} - {(f.code, f.category.is_numeric) for f in meter.fields}
    if lost:
        meters = [meter if other.id == meter.id else other for other in neighbours.entities(Meter)]
        for user, problem in _naming_problems(meters, neighbours):
            yield True, "dataFields", f"{', '.join(sorted(code for code, _ in lost))} can't go, since {user} would no longer hold: {problem}"


def _field_problems(meter: Meter) -> Problems:
    codes = Counter(f.code for f in meter.fields)
    places = [(f"dataFields[{i}]", f) for i, f in enumerate(meter.data_fields)] + [
        (f"derivedFields[{i}]", f) for i, f in enumerate(meter.derived_fields)
    ]
    for place, field in places:
        yield codes[field.code] > 1, f"{place}.code", f"code {field.code} is used by {codes[field.code]} fields of the meter; each field has its own"
        yield (
            field.category.is_numeric and field.unit is None,
            f"{place}.unit",
            f"unit is required: {field.code} has the numeric category {field.category}",
        )


def _field_change_problems(meter: Meter, previous: Meter, aggregations: list[Aggregation]) -> Problems:
    now = {f.code: f.category for f in meter.fields}
    before = {f.code: f.category for f in previous.fields}
    for aggregation in aggregations:
        name = aggregation.code or aggregation.name
        for code in dict.fromkeys((aggregation.target_field, *(aggregation.segmented_fields or ()))):
            if code not in now:
                yield True, "dataFields", f"field {code} can't go: aggregation {name} uses it"
            elif now[code] is not before.get(code):
                yield (
                    True,
                    "dataFields",
                    f"the category of field {code} can't change from {before.get(code)} to {now[code]}: aggregation {name} uses it",
                )
        if aggregation.custom_sql is not None and aggregation.aggregation is Method.CUSTOM_SQL:
            problem = _sql_problem(aggregation.custom_sql, meter)
            yield problem is not None, "dataFields", f"the customSql of aggregation {name} would no longer work: {problem}"


def _meter_product_problems(meter: Meter, previous: Meter, aggregations: list[Aggregation], neighbours: Neighbours) -> Problems:
    if meter.product_id is None or meter.product_id == previous.product_id:
        return
    for aggregation in aggregations:
        yield from _priced_elsewhere("productId", meter.product_id, aggregation, neighbours)


def _priced_elsewhere(field: str, product_id: str, aggregation: Aggregation, neighbours: Neighbours) -> Problems:
    elsewhere = [p for p in neighbours.entities(Pricing, aggregation_id=aggregation.id) if priced_product_id(p, neighbours) != product_id]
    name = aggregation.code or aggregation.name
    yield (
        bool(elsewhere),
        field,
        f"aggregation {name} is priced on plans of another product ({len(elsewhere)} pricings); it can't become one of product {product_id}",
    )


def _checked_aggregation(aggregation: Aggregation | None, neighbours: Neighbours, previous: Aggregation | None) -> Aggregation | None:
    if aggregation is None:
        if previous is not None and previous.code is not None:
            refuse(_formula_use_problems(previous, None, neighbours))
        return None
    aggregation = aggregation.model_copy(update={"segmented_fields": aggregation.segmented_fields or None, "segments": aggregation.segments or None})
    meter = neighbours.entity(Meter, aggregation.meter_id)
    assert meter is not None, "references are looked up before the check"
    changes = _aggregation_change_problems(aggregation, previous, meter, neighbours) if previous is not None else ()
    refuse((*_target_problems(aggregation, meter), *_segment_problems(aggregation, meter), *changes))
    return aggregation


def _target_problems(aggregation: Aggregation, meter: Meter) -> Problems:
    method, target = aggregation.aggregation, aggregation.target_field
    is_known = target in (*meter.numeric_fields, *meter.string_fields)
    yield not is_known, "targetField", f"meter {meter.code} has no field {target}; it has {', '.join(f.code for f in meter.fields)}"
    is_numeric = target in meter.numeric_fields
    yield (
        is_known and method is Method.UNIQUE and is_numeric,
        "targetField",
        f"UNIQUE counts the distinct values of a string field; {target} is numeric (string fields are {', '.join(meter.string_fields) or 'none'})",
    )
    yield (
        is_known and method not in (Method.UNIQUE, Method.CUSTOM_SQL) and not is_numeric,
        "targetField",
        f"{method} needs a numeric field; {target} is a string (the meter's numeric fields: {', '.join(meter.numeric_fields) or 'none'})",
    )
    if method is Method.CUSTOM_SQL:
        problem = _sql_problem(aggregation.custom_sql, meter) if aggregation.custom_sql else "customSql is required for the aggregation CUSTOM_SQL"
        yield problem is not None, "customSql", str(problem)


def _sql_problem(sql: str, meter: Meter) -> str | None:
    try:
        from transforms.aggregations.custom_sql import checked_sql  # here, as its parser takes a while to import

        checked_sql(sql, meter)
    except EntityInvalid as error:
        return error.message
    return None


def _segment_problems(aggregation: Aggregation, meter: Meter) -> Problems:
    fields, segments = aggregation.segmented_fields or [], aggregation.segments or []
    yield len(fields) != len(set(fields)), "segmentedFields", "segmentedFields names a field twice"
    yield bool(fields) and not segments, "segments", "segments is required beside segmentedFields: list the combinations of values to tell apart"
    yield (
        bool(segments) and not fields,
        "segmentedFields",
        "segmentedFields is required beside segments: name the fields whose values the segments list",
    )
    for index, field in enumerate(fields):
        yield (
            field not in meter.string_fields,
            f"segmentedFields[{index}]",
            f"{field} is not a string field of meter {meter.code}; segments need one ({', '.join(meter.string_fields) or 'it has none'})",
        )
    seen = Counter(map(segment_string, segments))
    for index, segment in enumerate(segments if fields else []):
        yield set(segment) != set(fields), f"segments[{index}]", f"a segment gives a value for each of {', '.join(fields)}, and for nothing else"
        spelled = segment_string(segment)
        yield seen[spelled] > 1, f"segments[{index}]", f"segment {spelled} is listed {seen[spelled]} times"


def _aggregation_change_problems(aggregation: Aggregation, previous: Aggregation, meter: Meter, neighbours: Neighbours) -> Problems:
    pricings = neighbours.entities(Pricing, aggregation_id=aggregation.id)
    yield from _priced_segment_problems(aggregation.segments if aggregation.is_segmented else None, pricings)
    if meter.product_id is not None and aggregation.meter_id != previous.meter_id:
        yield from _priced_elsewhere("meterId", meter.product_id, aggregation, neighbours)
    if previous.code is not None and (aggregation.code != previous.code or aggregation.segments != previous.segments):
        yield from _formula_use_problems(previous, aggregation, neighbours)


def _priced_segment_problems(segments: list[dict[str, str]] | None, pricings: list[Pricing]) -> Problems:
    for pricing in pricings:
        yield (
            segments is None and pricing.segment is not None,
            "segmentedFields",
            f"it can't lose its segments: pricing {pricing.id} is for segment {pricing.segment_string}",
        )
        yield (
            segments is not None and pricing.segment is None,
            "segmentedFields",
            f"it can't become segmented: pricing {pricing.id} prices it as a whole",
        )
        yield (
            segments is not None and pricing.segment is not None and pricing.segment not in segments,
            "segments",
            f"segment {pricing.segment_string} can't go: pricing {pricing.id} is for it",
        )


def _formula_use_problems(previous: Aggregation, new: Aggregation | None, neighbours: Neighbours) -> Problems:
    """Compounds whose formula names the aggregation must still hold, with the segments that are priced."""
    stored = formula_world(neighbours)
    others = [a for a in stored.aggregations if a.id != previous.id]
    world = FormulaWorld(stored.custom_fields, stored.time_zone, stored.products, [*others, *([new] if new is not None else [])])
    for compound in neighbours.entities(CompoundAggregation):
        problem = compound_problem(compound, world)
        name = compound.code or compound.name
        field = "code" if new is not None else "id"
        yield problem is not None, field, f"the formula of compound aggregation {name} names aggregation.{previous.code}; change that first"
        if problem is None and new is not None:
            segments = compound_segments(compound, world.by_code)
            yield from _priced_segment_problems(segments, neighbours.entities(Pricing, compound_aggregation_id=compound.id))


def _checked_compound(
    compound: CompoundAggregation | None, neighbours: Neighbours, previous: CompoundAggregation | None
) -> CompoundAggregation | None:
    if compound is None:
        return None
    world = formula_world(neighbours)
    problem = compound_problem(compound, world)
    refuse([(problem is not None, "calculation", str(problem))])
    segments = compound_segments(compound, world.by_code)
    if previous is not None:
        pricings = neighbours.entities(Pricing, compound_aggregation_id=compound.id)
        elsewhere = [p for p in pricings if compound.product_id is not None and priced_product_id(p, neighbours) != compound.product_id]
        moved = (bool(elsewhere), "productId", f"it is priced on plans of another product ({len(elsewhere)} pricings)")
        refuse((*_priced_segment_problems(segments, pricings), moved))
    return compound.model_copy(update={"segments": segments})


RESOURCES = (
    Resource(Product, "products", unique=(("code",),), filters=IDS, page_size_max=200),
    Resource(Meter, "meters", unique=(("code",),), filters=IDS | CODES | {"productId": Filter("product_id")}, check=_checked_meter),
    Resource(
        Aggregation,
        "aggregations",
        unique=(("code",),),
        filters=IDS | CODES | {"productId": Filter("meter_id.product_id")},
        check=_checked_aggregation,
    ),
    Resource(
        CompoundAggregation,
        "compoundaggregations",
        unique=(("code",),),
        filters=IDS | CODES | {"productId": Filter("product_id")},
        check=_checked_compound,
    ),
)
