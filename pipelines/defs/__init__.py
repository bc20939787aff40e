"""Dagster objects, and nothing but those: assets, checks, schedules, sensors, and what starts them."""
