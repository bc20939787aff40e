"""Statements: what was used behind a bill, by period and dimension, as JSON and CSV."""
