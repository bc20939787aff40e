"""All tables: importing this module declares every one of them on METADATA."""

from pipelines.storage import bill_tables, entity_tables, ingest_tables, ledger_tables, security_tables, statement_tables
from pipelines.storage.metadata import METADATA

__all__ = ["METADATA", "bill_tables", "entity_tables", "ingest_tables", "ledger_tables", "security_tables", "statement_tables"]
