"""Lists on the wire: the query parameters of paging and the envelope of a page."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query

PageSize = Annotated[int | None, Query(alias="pageSize")]
NextToken = Annotated[str | None, Query(alias="nextToken")]


def envelope(documents: Iterable[dict[str, Any]], next_token: str | None) -> dict[str, Any]:
    """``{"data": [...], "nextToken": ...}``; without a token there is no next page, and no page with a token is empty."""
    data = list(documents)
    return {"data": data, "nextToken": next_token} if next_token is not None else {"data": data}
