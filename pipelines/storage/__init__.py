"""All I/O of Meterhouse: PostgreSQL, the lake, the landing. Knows no Dagster and no HTTP framework."""
