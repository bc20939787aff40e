"""Compound aggregations: a formula over the quantities of simple aggregations, per account plan and window.

Put here how operands and custom fields meet in one row and what a null means. Keep out the language (transforms.expressions)
and the operands' own quantities (aggregate.py). Operands are taken before quantityPerUnit and rounding. Source: usage.md
6, DECISIONS 8 and 20.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import polars as pl

from transforms.aggregations.aggregate import QUANTITY
from transforms.aggregations.segments import SEGMENT
from transforms.configuration import Configuration
from transforms.entities.formulas import compound_segments
from transforms.entities.plans import Plan, PlanTemplate
from transforms.entities.usage import Aggregation, CompoundAggregation, Product, Segment
from transforms.errors import ExpressionError
from transforms.expressions import Compiled, Scope, Type, compiled, compound_scope, custom_field_columns, with_lookups
from transforms.expressions.nodes import spelled
from transforms.expressions.scope import CUSTOM_FIELDS
from transforms.expressions.values import DTYPES
from transforms.money import DECIMAL

_WINDOW = ("account_number", "window_start", "window_end")
_PLAN = "plan_id"


def _by_code(configuration: Configuration) -> dict[str, Aggregation]:
    return {a.code: a for a in configuration.entities(Aggregation).values() if a.code is not None}


def _scope(compound: CompoundAggregation, configuration: Configuration) -> Scope:
    product = None if compound.product_id is None else configuration.entity(Product, compound.product_id)
    aggregations = configuration.entities(Aggregation).values()
    return compound_scope(aggregations, configuration.custom_fields, product=product, time_zone=configuration.time_zone)


def _operands(references: frozenset[str], configuration: Configuration) -> dict[str, Aggregation]:
    """Column of the scope -> simple aggregation, of those that a formula names."""
    names = {spelled(("aggregation", code)): aggregation for code, aggregation in _by_code(configuration).items()}
    return {name: names[name] for name in sorted(references) if name in names}


def required_aggregations(compound: CompoundAggregation, configuration: Configuration) -> tuple[str, ...]:
    """Ids of the simple aggregations that the compound's formula names; none for a formula that no longer holds."""
    try:
        found = compiled(compound.calculation, _scope(compound, configuration))
    except ExpressionError:
        return ()
    return tuple(aggregation.id for aggregation in _operands(found.references, configuration).values())


def _values(name: str, operand: Aggregation, quantities: pl.LazyFrame, segments: Sequence[Segment] | None) -> pl.LazyFrame:
    """An operand's quantity by window (and by the compound's segment), in the columns ``name`` and ``name failure``."""
    rows = quantities.filter(pl.col("aggregation_id") == operand.id).select(*_WINDOW, *QUANTITY).unique()
    kept = [*map(pl.col, _WINDOW), pl.col("quantity").alias(name), pl.col("failure").alias(f"{name} failure")]
    if segments is None or not operand.is_segmented:
        return rows.select(kept)
    own = operand.segments or []
    positions = [(own.index(segment), n) for n, segment in enumerate(segments)]
    moved = pl.LazyFrame(positions, schema={SEGMENT: pl.Int32, "position": pl.Int32}, orient="row")
    return rows.join(moved, on=SEGMENT).select(*kept, pl.col("position").alias(SEGMENT))


def _plan_fields(plan_ids: Sequence[str], scope: Scope, references: frozenset[str], configuration: Configuration) -> pl.LazyFrame:
    """Custom fields of plan, planTemplate and product that the formula names, one row per plan."""
    defaults: Mapping[str, Mapping[str, str | Decimal]] = {
        "plan": configuration.custom_fields.plan,
        "planTemplate": configuration.custom_fields.plan_template,
        "product": configuration.custom_fields.product,
    }
    columns = [pl.Series(_PLAN, plan_ids, dtype=pl.String)]
    for entity, fields in defaults.items():
        for name, default in fields.items():
            spelling = spelled((CUSTOM_FIELDS, entity, name))
            if spelling not in references or not scope.names[spelling].expr.meta.is_column():
                continue
            given = [_own(plan_id, entity, configuration).get(name, default) for plan_id in plan_ids]
            values = [value if isinstance(value, str) == isinstance(default, str) else None for value in given]
            columns.append(pl.Series(spelling, values, dtype=DTYPES[scope.names[spelling].type]))
    return pl.LazyFrame(columns)


def _own(plan_id: str, entity: str, configuration: Configuration) -> Mapping[str, str | Decimal]:
    plan = configuration.entity(Plan, plan_id)
    template = configuration.entity(PlanTemplate, plan.plan_template_id)
    if entity == "plan":
        return plan.custom_fields
    return template.custom_fields if entity == "planTemplate" else configuration.entity(Product, template.product_id).custom_fields


def _with_custom_fields(rows: pl.LazyFrame, windows: pl.DataFrame, scope: Scope, formula: Compiled, configuration: Configuration) -> pl.LazyFrame:
    for entity, key, frame in (
        ("account", "account_id", configuration.accounts),
        ("accountPlan", "account_plan_id", configuration.account_plans),
    ):
        columns = custom_field_columns(pl.col("custom_fields"), entity, formula.references, configuration.custom_fields)
        if columns:
            rows = rows.join(frame.lazy().select(key, *columns), on=key, how="left")
    plans = _plan_fields(windows[_PLAN].drop_nulls().unique().sort().to_list(), scope, formula.references, configuration)
    return rows.join(plans, on=_PLAN, how="left") if len(plans.collect_schema()) > 1 else rows


def _spread(rows: pl.LazyFrame, compound: CompoundAggregation, operands: Sequence[pl.LazyFrame], segments: Sequence[Segment]) -> pl.LazyFrame:
    """Windows by segment: every segment where nulls are evaluated, else those in which all segmented operands have a row."""
    if compound.evaluate_null_aggregations:
        return rows.join(pl.LazyFrame({SEGMENT: pl.Series(range(len(segments)), dtype=pl.Int32)}), how="cross")
    return rows.join(operands[0].select(*_WINDOW, SEGMENT), on=_WINDOW)


def _evaluated(compound: CompoundAggregation, windows: pl.DataFrame, *, configuration: Configuration, quantities: pl.LazyFrame) -> pl.LazyFrame:
    label = compound.code or compound.name
    scope = _scope(compound, configuration)
    try:
        formula = compiled(compound.calculation, scope)
    except ExpressionError as error:
        return _refused(windows, f"compound aggregation {label}: {error}")
    if formula.type not in (Type.NUMBER, Type.NULL):
        return _refused(windows, f"compound aggregation {label}: its formula gives a {formula.type.value}, not a number")
    operands = _operands(formula.references, configuration)
    segments = compound_segments(compound, _by_code(configuration))
    values = {name: _values(name, operand, quantities, segments) for name, operand in operands.items()}
    rows = windows.lazy()
    if segments is None:
        rows = rows.with_columns(pl.lit(None, dtype=pl.Int32).alias(SEGMENT))
    else:
        rows = _spread(rows, compound, [values[name] for name, operand in operands.items() if operand.is_segmented], segments)
    for name, operand in operands.items():
        keys = [*_WINDOW, SEGMENT] if segments is not None and operand.is_segmented else [*_WINDOW]
        rows = rows.join(values[name], on=keys, how="left")
    rows = _with_custom_fields(rows, windows, scope, formula, configuration)
    rows = with_lookups(rows, formula.lookups, scope=scope, tables={})
    return _answered(rows, compound, formula, tuple(operands), label).select(*windows.columns, SEGMENT, "quantity", "failure")


def _refused(windows: pl.DataFrame, reason: str) -> pl.LazyFrame:
    return windows.lazy().with_columns(
        pl.lit(None, dtype=pl.Int32).alias(SEGMENT), pl.lit(None, dtype=DECIMAL).alias("quantity"), pl.lit(reason).alias("failure")
    )


def _answered(rows: pl.LazyFrame, compound: CompoundAggregation, formula: Compiled, names: tuple[str, ...], label: str) -> pl.LazyFrame:
    has_all = pl.all_horizontal(*(pl.col(name).is_not_null() for name in names)) if names else pl.lit(True)
    applies = pl.lit(True) if compound.evaluate_null_aggregations else has_all
    reason = pl.lit(f"compound aggregation {label}: its formula gives no number: a division by zero, a missing value, or more than 26 digits")
    operand_failure = pl.coalesce(*(pl.col(f"{name} failure") for name in names), pl.lit(None, dtype=pl.String))
    # Null operands give null and no line (DECISIONS 4, 20); with all operands there, a null by error is this account's failure (34).
    rows = rows.with_columns(formula.expr.cast(DECIMAL).alias("formula"), operand_failure.alias("operand failure"))
    is_broken = has_all & pl.col("formula").is_null() & formula.failed
    return rows.with_columns(
        pl.when(applies & pl.col("operand failure").is_null()).then(pl.col("formula")).alias("quantity"),
        pl.coalesce(pl.col("operand failure"), pl.when(is_broken).then(reason)).alias("failure"),
    )


def compound_quantities(windows: pl.DataFrame, *, configuration: Configuration, quantities: pl.LazyFrame) -> pl.LazyFrame:
    """The number of every compound aggregation, before its quantityPerUnit and rounding.

    Args:
        windows: One row per compound, account plan and window: compound_aggregation_id, account_plan_id, plan_id,
            account_id, account_number, window_start, window_end, and any more columns, which are passed through.
        configuration: The organization's.
        quantities: The result of ``aggregate.quantities`` for :func:`required_aggregations` over at least the same
            (account_number, window_start, window_end).

    Returns:
        The windows' columns with ``segment_index`` (position in ``compound_segments``), ``quantity`` and ``failure``.
        Unsegmented: one row per window. Segmented: a row per window and segment, without those in which a segmented
        operand has no usage unless nulls are evaluated. A null quantity without a failure is no value (DECISIONS 20).
    """
    frames = [
        _evaluated(configuration.entity(CompoundAggregation, str(key[0])), part, configuration=configuration, quantities=quantities)
        for key, part in windows.partition_by("compound_aggregation_id", as_dict=True, maintain_order=True).items()
    ]
    return pl.concat(frames) if frames else pl.LazyFrame(schema={**windows.schema, **QUANTITY})
