"""What a client asks of a statement job. Source: wire.json StatementJobRequest, StatementsBatchJobRequest."""

from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import Flag, ValueObject


class StatementJobFilters(ValueObject):
    """Which usage a statement is about: that of some meters."""

    meter_ids: Annotated[list[str] | None, Field(max_length=10)] = None


class StatementJobRequest(ValueObject):
    """The statement of one bill."""

    bill_id: Annotated[str, StringConstraints(min_length=1)]
    include_csv_format: Flag = False
    filters: StatementJobFilters = Field(default_factory=StatementJobFilters)


class StatementsBatchJobRequest(ValueObject):
    """The statements of several bills, a job each."""

    bill_ids: Annotated[list[str], Field(min_length=1, max_length=10)]
    include_csv_format: Flag = False
    filters: StatementJobFilters = Field(default_factory=StatementJobFilters)
