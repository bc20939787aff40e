"""The reference pages of the server."""

from starlette.testclient import TestClient


def test_the_formula_page_lists_the_functions_of_the_running_version(api: TestClient) -> None:
    answer = api.get("/docs/formulas")
    assert answer.status_code == 200
    assert "Math.round" in answer.text
    assert answer.headers["content-type"].startswith("text/markdown")


def test_the_address_alone_leads_to_the_operations(api: TestClient) -> None:
    answer = api.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_page_of_operations_lists_them_and_loads_nothing_from_elsewhere(api: TestClient) -> None:
    page = api.get("/docs").text
    for path in api.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "http" not in page
    assert "<script" not in page
