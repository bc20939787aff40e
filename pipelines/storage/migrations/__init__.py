"""Alembic migrations; ``database.migrated`` runs them, ``regenerate.py`` rewrites the first one until the first release."""
