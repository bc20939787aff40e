"""All tables: importing this module declares every one of them on METADATA."""

from importlib import import_module
from importlib.util import find_spec

from pipelines.storage import entity_tables, security_tables
from pipelines.storage.metadata import METADATA

for _name in ("pipelines.storage.ingest_tables", "pipelines.storage.bill_tables"):
    if find_spec(_name):
        import_module(_name)

__all__ = ["METADATA", "entity_tables", "security_tables"]
