"""POST measurements: acknowledged once durable, refused as a whole, only for the token's organization."""

import json
import resource
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from pipelines.storage.landing_reader import read

GOOD: dict[str, Any] = {"account": "acme", "meter": "calls", "ts": "2025-01-05T10:00:00Z", "measure": {"qty": 5}}


def test_submitted_usage_is_landed_as_sent_or_refused_whole(api: TestClient, tmp_path: Path) -> None:
    def post(content: bytes, **more: Any) -> tuple[int, Any]:
        answer = api.post(f"/organizations/{api.org_id}/measurements", content=content, **more)
        return answer.status_code, answer.json()

    content = b'{"measurements": [{"account":"acme","meter":"calls","ts":"2025-01-05T10:00:00Z","measure":{"qty": 0.10}}]}'
    assert post(content) == (200, {"result": "accepted"})
    status, body = post(json.dumps({"measurements": [GOOD, {**GOOD, "measure": {"qty": "5"}}]}).encode())
    assert status == 400
    assert body["errors"] == [{"field": "measurements[1].measure.qty", "message": 'is "5"; it must be a number, without quotes'}]
    assert post(content.ljust(512_000))[0] == 403
    unannounced = api.post(f"/organizations/{api.org_id}/measurements", content=iter([content, b" " * 400_000, b" " * 200_000]))
    assert (unannounced.status_code, "under 512,000" in unannounced.json()["message"]) == (403, True)
    assert post(content, headers={"Authorization": "Bearer x"})[0] == 403
    assert api.post("/organizations/11111111-1111-4111-8111-111111111111/measurements", content=content).status_code == 403
    assert api.get(f"/organizations/{api.org_id}/measurements").status_code == 405
    assert api.post(f"/organizations/{api.org_id}/measurements/x", content=content).status_code == 404
    assert api.post(f"/organizations//{api.org_id}/measurements", content=b"{").status_code == 400
    frames = read(tmp_path / "landing", {}, 1 << 20).frames
    assert [(f.org_id, f.body) for f in frames] == [(api.org_id, content)]


def test_a_full_disk_is_a_503_and_what_comes_after_it_is_kept(api: TestClient, tmp_path: Path) -> None:
    url = f"/organizations/{api.org_id}/measurements"
    small, large = (json.dumps({"measurements": [GOOD] * count}).encode() for count in (1, 500))
    assert api.post(url, content=small).status_code == 200
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        refused = api.post(url, content=large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.status_code == 503
    assert "nothing of the request was kept" in refused.json()["message"]
    assert api.post(url, content=large).status_code == 200
    assert [f.body for f in read(tmp_path / "landing", {}, 1 << 20).frames] == [small, large]
