"""Storage (``pipelines.storage``, all I/O, no Dagster) and the Dagster definitions (``pipelines.defs``)."""
