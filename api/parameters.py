"""Query and path parameters as values, with messages that name the parameter and what would be right."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from fastapi import Depends, Query

from api.pagination import PageSize
from pipelines.storage.config_lists import page_size as checked_size
from pipelines.storage.search_terms import Search
from transforms.errors import EntityInvalid

#: Most documents of a page of search results (platform.md 3).
SEARCH_SIZE_MAX = 100


def flag(name: str, value: str | None) -> bool | None:
    """True or false as written in a query; None when it is not given.

    Raises:
        EntityInvalid: It is neither.
    """
    if value is None or value == "":
        return None
    if value.lower() not in ("true", "false"):
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must be true or false")
    return value.lower() == "true"


def one_of(name: str, value: str, possible: Sequence[str]) -> str:
    """The value in the spelling of ``possible``, whatever its letter case.

    Raises:
        EntityInvalid: It is none of them.
    """
    if value.upper() not in possible:
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must be one of {', '.join(possible)}")
    return value.upper()


def day(name: str, value: str | None) -> date | None:
    """The calendar day; None when it is not given. An instant stands for its day as written.

    Raises:
        EntityInvalid: It is no day.
    """
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(value.split("T", maxsplit=1)[0])
    except ValueError:
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must be a date such as 2025-01-31") from None


def values(value: str | None) -> list[str] | None:
    """The items of a comma-joined list; None when it is not given."""
    return None if value is None else [item.strip() for item in value.split(",") if item.strip()]


def _search(  # noqa: PLR0917 - FastAPI passes query parameters by name
    search_query: Annotated[str, Query(alias="searchQuery")] = "",
    operator: str = "AND",
    sort_by: Annotated[str | None, Query(alias="sortBy")] = None,
    sort_order: Annotated[str | None, Query(alias="sortOrder")] = None,
    page_size: PageSize = None,
    from_document: Annotated[int, Query(alias="fromDocument", ge=0, lt=2**31)] = 0,
) -> Search:
    return Search(
        query=search_query,
        joined_by=one_of("operator", operator, ("AND", "OR")),
        sort_by=sort_by,
        is_ascending=None if sort_order is None else one_of("sortOrder", sort_order, ("ASC", "DESC")) == "ASC",
        size=Search.size if page_size is None else checked_size(page_size, SEARCH_SIZE_MAX),
        from_document=from_document,
    )


#: The query parameters that all searches have.
SearchParameters = Annotated[Search, Depends(_search)]
