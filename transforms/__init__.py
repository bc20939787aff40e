"""Pure calculation: entities, expressions, measurements, aggregations, rating and bills.

Put here what turns a configuration, frames, a period and a date into frames. Keep out every form of I/O: no database,
no files, no clock, no randomness, no Dagster and no HTTP (tests/test_architecture.py enforces it).
"""
