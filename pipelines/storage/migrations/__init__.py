"""Alembic migrations: ``database.migrated`` runs them, ``next_revision.py`` writes them (``make migration name="what changes"``).

A revision that was released is frozen: databases out there were made by it. Every change of a table is a revision of its
own, generated from the declarations and read by a person before it is committed.
"""
