"""The tables by which ingest is exactly once, and those that say what became of the usage.

Put here positions, batches, counts and the register of partial states. The usage itself is in the lake.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, DateTime, ForeignKey, Identity, Index, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.storage.metadata import METADATA

#: One row per batch of one organization. Its manifest names every file that it adds, so that a crash after the row is
#: written is repaired by committing the same files again.
INGEST_BATCHES = Table(
    "ingest_batches",
    METADATA,
    Column("batch_id", BigInteger, Identity(always=True), primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("status", Text, nullable=False, comment="PLANNED until every table of the manifest is committed, then APPLIED."),
    Column("kind", Text, nullable=False, comment="LANDED: new usage. REBUILT: states or days computed again from the detail."),
    Column("manifest", JSONB, nullable=False, comment="Tables with the files that the batch adds; emptied when APPLIED."),
    Column("landed", BigInteger, nullable=False, server_default="0"),
    Column("accepted", BigInteger, nullable=False, server_default="0"),
    Column("duplicates", BigInteger, nullable=False, server_default="0"),
    Column("rejected", BigInteger, nullable=False, server_default="0"),
    Column("received_from", DateTime(timezone=True), comment="Earliest receipt."),
    Column("received_until", DateTime(timezone=True), comment="Latest receipt."),
    Column("planned_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("applied_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('PLANNED', 'APPLIED')", name="status"),
    CheckConstraint("kind IN ('LANDED', 'REBUILT')", name="kind"),
    CheckConstraint("landed = accepted + duplicates + rejected", name="balance"),
    Index("ix_ingest_batches_planned", "batch_id", postgresql_where="status = 'PLANNED'"),
    Index("ix_ingest_batches_org_id_batch_id", "org_id", "batch_id"),
)

#: One row per writer of the landing log: everything before the position is in a batch.
LANDING_POSITIONS = Table(
    "landing_positions",
    METADATA,
    Column("writer", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False, comment="Byte offset within the segment."),
)

#: One row per organization and event day (DECISIONS 16).
MEASUREMENT_COUNTS = Table(
    "measurement_counts",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("landed", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("dropped_fields", BigInteger, nullable=False, comment="Values of fields that the meter does not define."),
    Column("calculation_errors", BigInteger, nullable=False, comment="Derived fields that could not be computed."),
    Column("last_received_at", DateTime(timezone=True), comment="No accepted measurement of the day was received later; null: not known."),
    CheckConstraint("landed = accepted + duplicates + rejected", name="balance"),
)

#: One row per organization, meter and kind of partial state.
AGGREGATE_STATES = Table(
    "aggregate_states",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("spec_key", Text, primary_key=True),
    Column("fields", JSONB, nullable=False, comment="Field code -> category, as the states know them; others mean a rebuild."),
    Column("is_complete", Boolean, nullable=False, comment="True once the states cover all measurements; every later batch adds to them."),
)

#: One row per organization that has usage: what its event days were cut with.
INGEST_CALENDARS = Table(
    "ingest_calendars",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("time_zone", Text, nullable=False, comment="tz database name."),
)

#: One row per batch, reason and meter (and formula, for CalculationError): what the events of failed usage are made of.
INGEST_FAILURES = Table(
    "ingest_failures",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("batch_id", BigInteger, ForeignKey("ingest_batches.batch_id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("meter_code", Text, nullable=False),
    Column("field_code", Text, comment="The derived field, for CalculationError."),
    Column("measurements", BigInteger, nullable=False),
    Column("sample", JSONB, nullable=False, comment="Up to ten of them: uid, account, message."),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("ix_ingest_failures_org_id_id", "org_id", "id"),
)
