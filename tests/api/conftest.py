"""What several tests of the API need."""

from collections.abc import Iterator
from typing import Any

import pytest
from m3ter import M3ter

from pipelines.storage.organizations import Credentials


@pytest.fixture
def sdk(api: Any, organization: Credentials) -> Iterator[M3ter]:
    """The official client on the application, for ``organization``; it refuses every answer that its models do not describe."""
    with M3ter(
        http_client=api,
        base_url="http://testserver",
        org_id=organization.org_id,
        api_key=organization.api_key,
        api_secret=organization.api_secret,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client
