"""The counts of an organization's measurements that must balance (DECISIONS 16)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.storage.database import Database


@dataclass(frozen=True)
class Counts:
    """How many measurements landed and what became of them."""

    landed: int
    accepted: int
    duplicates: int
    rejected: int

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.landed - other.landed, self.accepted - other.accepted, self.duplicates - other.duplicates, self.rejected - other.rejected)

    @property
    def is_balanced(self) -> bool:
        """Whether nothing was lost or counted twice."""
        return self.landed == self.accepted + self.duplicates + self.rejected

    @property
    def balance(self) -> str:
        """The equation with its numbers."""
        sign = "=" if self.is_balanced else "≠"
        return f"{self.landed:,} landed {sign} {self.accepted:,} accepted + {self.duplicates:,} duplicates + {self.rejected:,} rejected"


def counted(database: "Database", org_id: str | None = None) -> Counts:
    """The counts of one organization, or of all, over all days."""
    import sqlalchemy as sa

    from pipelines.storage.ingest_tables import MEASUREMENT_COUNTS

    table = MEASUREMENT_COUNTS.c
    query = sa.select(*(sa.func.coalesce(sa.func.sum(column), 0) for column in (table.landed, table.accepted, table.duplicates, table.rejected)))
    with database.transaction() as connection:
        row = connection.execute(query.where(table.org_id == org_id) if org_id is not None else query).one()
    return Counts(*(int(value) for value in row))
