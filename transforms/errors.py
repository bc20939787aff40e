"""The one tree of domain errors, by stage.

Put here what a user or a client can cause. Errors name the thing, what is wrong and what would be right; they know no
HTTP (``api/errors.py`` maps them to statuses). Dirty usage is data (rejected measurements), not an error; a broken
invariant of our own is an assertion.
"""

from dataclasses import dataclass


class MeterhouseError(Exception):
    """Root of everything that a user can cause or must be told."""


@dataclass(frozen=True)
class FieldProblem:
    """One thing that is wrong with one field of a request: its wire path (``pricingBands[0].unitPrice``) and why."""

    field: str
    message: str


class EntityInvalid(MeterhouseError):
    """A request that breaks a bound, a type or a rule between entities; nothing was changed.

    Args:
        message: One sentence that says what is wrong and what would be right.
        problems: The fields concerned, in the order of the request.
    """

    def __init__(self, message: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = problems

    @classmethod
    def of(cls, field: str, message: str) -> "EntityInvalid":
        """The error for a single field."""
        return cls(message, (FieldProblem(field, message),))


class ExpressionError(MeterhouseError):
    """A formula that does not parse or type-check.

    Args:
        message: What is wrong and what would be right.
        source: The formula as written.
        position: Zero-based offset of the offending character in ``source``.
    """

    def __init__(self, message: str, source: str, position: int) -> None:
        line_start = source.rfind("\n", 0, position) + 1
        line_end = source.find("\n", position)
        line = source[line_start : line_end if line_end >= 0 else len(source)]
        super().__init__(f"{message}\n  {line}\n  {' ' * (position - line_start)}^")
        self.message = message
        self.source = source
        self.position = position


class NotFound(MeterhouseError):
    """An id that the organization does not have."""

    def __init__(self, kind: str, entity_id: str) -> None:
        super().__init__(f"{kind} {entity_id} does not exist in this organization")
        self.kind = kind
        self.entity_id = entity_id


class VersionConflict(MeterhouseError):
    """An update against a version that is no longer the stored one (DECISIONS 35)."""


class DuplicateKey(MeterhouseError):
    """A code, or another unique key, that is taken (DECISIONS 35)."""


class Refused(MeterhouseError):
    """A business refusal: the request is well formed, but the state of things forbids it (a locked bill, a plan in use)."""


class VersionGone(Refused):
    """A version of a dataset that an old calculation read and that is no longer kept.

    Args:
        table: Dataset, and what further names the table.
        version: The version.
    """

    def __init__(self, table: str, version: int) -> None:
        super().__init__(
            f"version {version} of {table} is no longer in the lake: its bill is older than METERHOUSE_LAKE_RETENTION_DAYS, or the lake is another"
        )
        self.table = table
        self.version = version


class AccessDenied(MeterhouseError):
    """A wrong organization, an unknown or expired token, or a policy that refuses."""


class LimitExceeded(MeterhouseError):
    """Too much at once: jobs running, requests per second."""


class BodyTooLarge(MeterhouseError):
    """A request body over the published limit."""


class Unavailable(MeterhouseError):
    """Something the server needs (the database, the disk) is not there at the moment; trying again later may help."""


class SchemaMismatch(MeterhouseError):
    """A frame or file whose columns or types are not those of its dataset or format."""


class Unratable(MeterhouseError):
    """One account's bill can't be computed; the reason goes to the job, other accounts continue (DECISIONS 34)."""
