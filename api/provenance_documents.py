"""How calculations of bills, their differences and explanations of lines are spelled in JSON: ours, beyond the public API.

Put here the documents. Keep out what they tell of (pipelines/storage, transforms/provenance).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.alias_generators import to_camel

from pipelines.storage.calculation_differences import ChangedLine, Comparison
from pipelines.storage.calculations import Calculation
from pipelines.storage.line_explanations import ExplainedLine, fields, measurement_count, measurements
from pipelines.storage.provenance import software_version
from pipelines.storage.rebilling import Rebilled
from transforms.provenance.trail import Source

Document = dict[str, Any]


def _given(document: Mapping[str, Any]) -> Document:
    return {name: value for name, value in document.items() if value is not None}


def rebill_document(bill: Mapping[str, Any], again: Rebilled) -> Document:
    """What computing one bill again came to."""
    found = [_difference(row) for row in again.differences.iter_rows(named=True)]
    return _given(
        {
            "billId": bill["id"],
            "calculationId": bill["calculation_id"],
            "isEqual": again.is_equal,
            "lineItems": again.line_items,
            "carriedLineItems": again.carried,
            "differences": found,
            "problem": again.problems.get(bill["id"]),
            "softwareVersion": software_version(),
            "calculatedWith": again.software_versions[0],
        }
    )


def _difference(row: Mapping[str, Any]) -> Document:
    field = None if row["field"] is None else to_camel(row["field"])
    return _given({"lineItemId": row["line_item_id"], "field": field, "stored": row["before"], "computed": row["after"]})


def calculation_document(calculation: Calculation, current_id: str) -> Document:
    """A calculation of a bill and what it was computed from."""
    return {
        "id": calculation.id,
        "number": calculation.number,
        "isCurrent": calculation.id == current_id,
        "billJobId": calculation.bill_job_id,
        "billJobType": calculation.job_type,
        "calculatedDate": calculation.calculated_at,
        "configurationAsOf": calculation.configuration_as_of,
        "configurationHash": calculation.configuration_hash,
        "softwareVersion": calculation.software_version,
        "datasetVersions": dict(calculation.dataset_versions),
    }


def comparison_document(bill: Mapping[str, Any], found: Comparison) -> Document:
    """The changed lines of a bill between two calculations, with their causes."""
    return {
        "billId": bill["id"],
        "from": calculation_document(found.before, bill["calculation_id"]),
        "to": calculation_document(found.after, bill["calculation_id"]),
        "softwareVersion": software_version(),
        "lineItems": [_changed_line(line) for line in found.lines],
        "problems": list(found.problems),
    }


def _changed_line(changed: ChangedLine) -> Document:
    line = changed.line
    amounts = ("quantity", "subtotal", "converted_subtotal")
    entities = [
        _given({"kind": e.kind, "id": e.id, "name": e.name, "versionBefore": e.version_before, "versionAfter": e.version_after})
        for e in changed.entities
    ]
    return _given(
        {
            "id": line["line_item_id"],
            "change": line["change"],
            "lineItemType": line["line_item_type"],
            "description": line["description"],
            "currency": line["currency"],
            "servicePeriodStartDate": line["service_period_start"],
            "servicePeriodEndDate": line["service_period_end"],
            "fields": [to_camel(name) for name in line["fields"]],
            **{to_camel(name): _given({"before": line[f"{name}_before"], "after": line[f"{name}_after"]}) for name in amounts},
            "causes": [{to_camel(name): value for name, value in effect.items()} for effect in line["effects"]],
            "entities": entities or None,
            "overrides": list(changed.overrides) or None,
            "measurementsAdded": changed.measurements_added,
            "measurementsRemoved": changed.measurements_removed,
        }
    )


def explanation_document(bill: Mapping[str, Any], found: ExplainedLine, *, limit: int) -> Document:
    """Why a line is what it is; at most ``limit`` measurements of each source are shown, and how many there are."""
    one = found.explanation
    return {
        "billId": bill["id"],
        "lineItemId": one.line["line_item_id"],
        "sequenceNumber": one.line["sequence_number"],
        "calculationId": found.calculation.id,
        "lineItemType": one.line["line_item_type"],
        "description": one.line["description"],
        "formula": one.formula,
        "steps": [_given({"name": step.name, "formula": step.formula, "value": step.value}) for step in one.steps],
        "isEqual": one.is_equal,
        "checks": [_given({"name": c.name, "isEqual": c.is_equal, "stated": c.stated, "computed": c.computed}) for c in one.checks],
        "countedLineItemIds": list(one.counted),
        "sources": [_source(source, limit) for source in one.sources],
    }


def _source(source: Source, limit: int) -> Document:
    names = list(fields(source))
    return _given(
        {
            "aggregationId": source.aggregation.id,
            "aggregationCode": source.aggregation.code,
            "aggregation": source.aggregation.aggregation,
            "targetField": source.aggregation.target_field,
            "meterId": source.meter.id,
            "meterCode": source.meter.code,
            "segment": source.segment,
            "accountCodes": source.accounts["account_code"].to_list(),
            "startDate": source.start,
            "endDate": source.end,
            "quantity": source.quantity,
            "failure": source.failure,
            "measurementCount": measurement_count(source),
            "measurements": [_measurement(row, names) for row in measurements(source, limit=limit)],
        }
    )


def _measurement(row: Mapping[str, Any], names: Sequence[str]) -> Document:
    return _given(
        {
            "account": row["account_code"],
            "uid": row["uid"],
            "ts": row["ts"],
            "ets": row["ets"],
            "receivedAt": row["received_at"],
            "fields": _given({name: row[name] for name in names}),
        }
    )
