"""``POST /oauth/token`` in the two forms that clients send."""

import base64

from starlette.testclient import TestClient

from pipelines.storage.organizations import Credentials

GRANT = {"grant_type": "client_credentials"}


def test_json_and_form_are_both_accepted(api: TestClient, organization: Credentials) -> None:
    auth = (organization.api_key, organization.api_secret)
    for answer in (
        api.post("/oauth/token", json={**GRANT, "scope": "anything"}, auth=auth),
        api.post("/oauth/token", data=GRANT, auth=auth),
        api.post(
            "/oauth/token", data={**GRANT, "client_id": organization.api_key, "client_secret": organization.api_secret}, headers={"Authorization": ""}
        ),
    ):
        assert answer.status_code == 200, answer.text
        assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 18_000)
        assert answer.json()["access_token"].count(".") == 2
        token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert api.get(f"/organizations/{organization.org_id}/products", headers=token).status_code == 200


def test_wrong_secrets_are_forbidden(api: TestClient, organization: Credentials) -> None:
    for auth in ((organization.api_key, "wrong"), ("wrong", organization.api_secret), ("", "")):
        assert api.post("/oauth/token", json=GRANT, auth=auth).status_code == 403


def test_credentials_that_are_none_are_forbidden(api: TestClient) -> None:
    for header in ("", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"no-colon").decode(), "Bearer x"):
        assert api.post("/oauth/token", json=GRANT, headers={"Authorization": header}).status_code == 403, header


def test_another_grant_is_refused(api: TestClient, organization: Credentials) -> None:
    auth = (organization.api_key, organization.api_secret)
    for body in (b"", b"{}", b'{"grant_type": "password"}', b"[]", b'{"grant_type": ['):
        answer = api.post("/oauth/token", content=body, auth=auth, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, body
