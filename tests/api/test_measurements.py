"""POST measurements: what is refused, with which words, and that what is acknowledged is in the landing log."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.storage.landing_reader import read

GOOD: dict[str, Any] = {"account": "acme", "meter": "calls", "ts": "2025-01-05T10:00:00Z", "measure": {"qty": 5}}


def post(api: TestClient, body: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.post(f"/organizations/{api.org_id}/measurements", content=content)  # type: ignore[attr-defined]


def test_an_accepted_call_is_in_the_landing_log_as_sent(api: TestClient, tmp_path: Path) -> None:
    content = b'{"measurements": [{"account":"acme","meter":"calls","ts":"2025-01-05T10:00:00Z","measure":{"qty": 0.10}}]}'
    answer = post(api, content)
    assert (answer.status_code, answer.json()) == (200, {"result": "accepted"})
    frames = read(tmp_path / "landing", {}, 1 << 20).frames
    assert [(f.org_id, f.body) for f in frames] == [(api.org_id, content)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("item", "field", "words"),
    [
        ({**GOOD, "account": "a b "}, "account", "white space"),
        ({**GOOD, "account": 5}, "account", "code of 1 to 80"),
        ({**GOOD, "meter": "x" * 81}, "meter", "code of 1 to 80"),
        ({k: v for k, v in GOOD.items() if k != "meter"}, "meter", "is missing"),
        ({**GOOD, "ts": "yesterday"}, "ts", "ISO 8601"),
        ({**GOOD, "ts": "1850-01-01T00:00:00Z"}, "ts", "1900"),
        ({**GOOD, "ets": "2025-01-05T09:59:59Z"}, "ets", "before ts"),
        ({**GOOD, "uid": "u" * 51}, "uid", "50 characters"),
        ({**GOOD, "measure": {"qty": "5"}}, "measure.qty", "number, without quotes"),
        ({**GOOD, "measure": {"qty": True}}, "measure.qty", "number"),
        ({**GOOD, "measure": {"qty": None}}, "measure.qty", "number"),
        ({**GOOD, "measure": [1]}, "measure", "object of field codes"),
        ({**GOOD, "where": {"region": 1}}, "where.region", "string"),
        ({**GOOD, "metadata": {"trace": "x" * 257}}, "metadata.trace", "at most 256"),
        ("text", "", "a measurement is an object"),
    ],
)
def test_one_bad_item_refuses_the_call_and_is_named(api: TestClient, tmp_path: Path, item: Any, field: str, words: str) -> None:
    answer = post(api, {"measurements": [GOOD, GOOD, item]})
    assert answer.status_code == 400
    path = f"measurements[2].{field}".rstrip(".")
    assert [e["field"] for e in answer.json()["errors"]] == [path]
    assert answer.json()["message"].startswith(f"{path}: ")
    assert words in answer.json()["message"]
    assert read(tmp_path / "landing", {}, 1 << 20).frames == []


@pytest.mark.parametrize(("minutes", "status"), [(4, 200), (6, 400)])
def test_time_stamps_may_be_five_minutes_ahead(api: TestClient, minutes: int, status: int) -> None:
    later = datetime.now(UTC) + timedelta(minutes=minutes)
    assert post(api, {"measurements": [{**GOOD, "ts": later.isoformat()}]}).status_code == status
    assert post(api, {"measurements": [GOOD, {**GOOD, "ts": later.replace(tzinfo=None).isoformat()}]}).status_code == status


@pytest.mark.parametrize("ts", ["2025-01-05T10:00:00", "2025-01-05T10:00:00+05:30", "2025-01-05T10:00:00.123456Z", "2025-01-05 10:00:00Z"])
def test_time_stamps_come_with_an_offset_or_without(api: TestClient, ts: str) -> None:
    assert post(api, {"measurements": [{**GOOD, "ts": ts}, GOOD]}).status_code == 200


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (1000, 200), (1001, 400)])
def test_a_call_has_1_to_1000_measurements(api: TestClient, count: int, status: int) -> None:
    assert post(api, {"measurements": [GOOD] * count}).status_code == status


@pytest.mark.parametrize(("size", "status"), [(511_999, 200), (512_000, 403)])
def test_a_body_is_under_512000_bytes(api: TestClient, size: int, status: int) -> None:
    content = json.dumps({"measurements": [GOOD]}).encode()
    assert post(api, content + b" " * (size - len(content))).status_code == status


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"measurements": [}', "line 1, column"),
        (b"[]", "must be an object with a list"),
        (b"", "not valid JSON"),
        (b'{"measurements": 5}', "must be an object with a list"),
        (b'{"measurements": [{"account":"a","meter":"m","ts":"2025-01-05T10:00:00Z","measure":{"q":NaN}}]}', "NaN"),
        (b'{"measurements": [{"account":"a","meter":"m","ts":"2025-01-05T10:00:00Z","measure":{"q":1e999}}]}', "26 digits"),
        (b'{"measurements": [{"account":"\xff"}]}', "UTF-8"),
        (b"[" * 5000, ""),
    ],
)
def test_a_body_that_is_no_call_says_what_it_should_be(api: TestClient, content: bytes, words: str) -> None:
    answer = post(api, content)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


def test_only_the_organization_of_the_token_may_send(api: TestClient) -> None:
    body = json.dumps({"measurements": [GOOD]})
    assert api.post("/organizations/11111111-1111-4111-8111-111111111111/measurements", content=body).status_code == 403
    assert api.post(f"/organizations/{api.org_id}/measurements", content=body, headers={"Authorization": "Bearer x"}).status_code == 403  # type: ignore[attr-defined]
    assert api.get(f"/organizations/{api.org_id}/measurements").status_code == 405  # type: ignore[attr-defined]
