"""Bad requests: the status, a message that helps, and nothing changed."""

import json
from typing import Any

from starlette.testclient import TestClient

from api.errors import STATUSES
from transforms import errors


def base(api: TestClient) -> str:
    return f"/organizations/{api.org_id}"  # type: ignore[attr-defined]


def products(api: TestClient) -> list[Any]:
    data: list[Any] = api.get(f"{base(api)}/products").json()["data"]
    return data


NOT_JSON = (
    (b'{"name": ', "line 1, column 10"),
    (b'{"name":\n "x",\n "code" "y"}', "line 3, column 9"),
    (b"\xff", "UTF-8"),
    (b'{"name": NaN, "code": "x"}', "NaN"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"name": ' + b"9" * 5000 + b"}", "not acceptable"),
    (b'"text"', "JSON object"),
    (b"", "JSON object"),
)


def test_a_body_that_is_not_json_is_refused_with_its_position(api: TestClient) -> None:
    for body, message in NOT_JSON:
        answer = api.post(f"{base(api)}/products", content=body)
        assert (answer.status_code, message in answer.json()["message"]) == (400, True), (body[:50], answer.text)
    assert products(api) == []


WRONG_FIELDS: tuple[tuple[str, Any], ...] = (
    ("name", ""),
    ("name", "x" * 201),
    ("name", 5),
    ("name", "a\x00b"),
    ("name", "\ud800"),
    ("code", " x"),
    ("code", "x\ty"),
    ("code", "x" * 81),
    ("customFields", {"a": True}),
    ("customFields", {"a": {}}),
    ("customFields", {f"f{n}": 1 for n in range(101)}),
    ("customFields", []),
)


def test_a_wrong_field_is_named(api: TestClient) -> None:
    for field, value in WRONG_FIELDS:
        answer = api.post(f"{base(api)}/products", content=json.dumps({"name": "n", "code": "c", field: value}))
        assert answer.status_code == 400, (field, value)
        assert [e["field"].split(".")[0] for e in answer.json()["errors"]] == [field]
        assert field in answer.json()["message"]
    assert products(api) == []


def test_a_number_out_of_range_is_refused(api: TestClient) -> None:
    product = api.post(f"{base(api)}/products", json={"name": "n", "code": "c"}).json()
    for value in ("1e30", "-1", '"many"', "true", "123456789012345678901234567", '"NaN"', "1e999999999"):
        body = (
            f'{{"name": "t", "code": "t", "productId": "{product["id"]}", "currency": "USD", "billFrequency": "MONTHLY", "standingCharge": {value}}}'
        )
        answer = api.post(f"{base(api)}/plantemplates", content=body)
        assert answer.status_code == 400, (value, answer.text)
        assert [e["field"] for e in answer.json()["errors"]] == ["standingCharge"], value


def test_several_problems_are_all_listed(api: TestClient) -> None:
    answer = api.post(f"{base(api)}/meters", json={"name": "", "dataFields": [{"category": "HOW", "code": "1x"}], "derivedFields": None})
    wanted = {"name", "code", "dataFields[0].category", "dataFields[0].code", "dataFields[0].name", "derivedFields"}
    assert {e["field"] for e in answer.json()["errors"]} == wanted


def test_final_conflicts_are_not_tried_again(api: TestClient) -> None:
    product = api.post(f"{base(api)}/products", json={"name": "n", "code": "c"}).json()
    stale = api.put(f"{base(api)}/products/{product['id']}", json={**product, "version": 7})
    duplicate = api.post(f"{base(api)}/products", json={"name": "n", "code": "c"})
    for answer in (stale, duplicate):
        assert (answer.status_code, answer.headers["x-should-retry"]) == (409, "false")
    assert products(api) == [product]


def test_a_body_over_the_limit_is_forbidden(api: TestClient) -> None:
    name = "x" * 512_000

    def parts() -> Any:
        yield b'{"name": "'
        yield name.encode()
        yield b'", "code": "c"}'

    for answer in (api.post(f"{base(api)}/products", json={"name": name}), api.post(f"{base(api)}/products", content=parts())):
        assert (answer.status_code, "512,000" in answer.json()["message"]) == (403, True)


def test_what_is_not_there_is_not_found(api: TestClient) -> None:
    for path in ("/nothing", "/organizations", "/healthz/x"):
        answer = api.get(path)
        assert (answer.status_code, path in answer.json()["message"]) == (404, True)


def test_nul_characters_in_the_url_are_refused(api: TestClient) -> None:
    for path in ("products/a%00b", "products?ids=%00", "accounts/search?searchQuery=name:%00", "accounts/%00/children"):
        answer = api.get(f"{base(api)}/{path}")
        assert (answer.status_code, "NUL" in answer.json()["message"]) == (400, True), path


def test_another_organization_is_forbidden_whether_it_exists_or_not(api: TestClient) -> None:
    answer = api.get("/organizations/00000000-0000-4000-8000-000000000000/products")
    assert answer.status_code == 403


def test_without_a_good_token_nothing_is_answered(api: TestClient) -> None:
    del api.headers["Authorization"]
    for header in (None, "", "Bearer", "Bearer x", "Basic eDp5", "Bearer é"):
        headers = {b"Authorization": header.encode("latin-1")} if header is not None else {}
        for path in ("products", "accounts/search", "users/me", "bills", ""):
            answer = api.get(f"{base(api)}/{path}".rstrip("/"), headers=headers)  # type: ignore[arg-type]
            assert (answer.status_code, bool(answer.json()["message"])) == (403, True), (path, header)


def test_every_domain_error_has_a_status() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MeterhouseError)}
    assert set(STATUSES) <= kinds - {errors.MeterhouseError}
    # One of a kind answers as its kind does.
    assert all(set(kind.__mro__) & set(STATUSES) for kind in kinds - {errors.MeterhouseError})


def test_half_a_surrogate_pair_is_spelled_out_in_the_message(api: TestClient) -> None:
    for body, field in (
        (b'{"measurements": [{"account": "a", "meter": "m", "ts": "\\ud800"}]}', "measurements[0].ts"),
        (b'{"measurements": ["\\ud800"]}', "measurements[0]"),
    ):
        answer = api.post(f"{base(api)}/measurements", content=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
        assert "\\ud800" in answer.json()["message"]


def test_measurements_nested_too_deeply(api: TestClient) -> None:
    for body in (b'{"x":' + b"[" * 20000 + b"]" * 20000 + b"}", b'{"a":' * 5000 + b"1" + b"}" * 5000):
        answer = api.post(f"{base(api)}/measurements", content=body)
        assert (answer.status_code, answer.json()["message"]) == (400, "the body is nested too deeply")


def test_ids_that_no_database_can_hold(api: TestClient) -> None:
    for spelled in ("nul\x00", "\ud800", 5, None, ""):
        answer = api.post(f"{base(api)}/bills/approve", content=json.dumps({"billIds": [spelled]}))
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["field"] == "billIds[0]"


def test_days_at_the_end_of_the_calendar(api: TestClient) -> None:
    for day in ("9999-12-31", "0001-01-01"):
        assert api.get(f"{base(api)}/pricings", params={"date": day}).status_code == 200
