"""Keys and tokens: only the right secret, only our tokens, only in time."""

import base64
import json

import pytest
from sqlalchemy import select, update

from pipelines.storage import organizations
from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from pipelines.storage.security import KeyVerifier, Principal, bearer_token, token_principal, token_secret
from pipelines.storage.security_tables import ACCESS_KEYS
from transforms.errors import AccessDenied

SECRET = b"s" * 32
WHO = Principal("org", "SERVICE_USER_1", "key")


def verified(database: Database, verifier: KeyVerifier, api_key: str, secret: str) -> Principal:
    with database.transaction() as connection:
        return verifier.principal(connection, api_key, secret)


def test_a_token_stands_for_its_caller_until_it_expires() -> None:
    token = bearer_token(WHO, secret=SECRET, now=1000, seconds=60)
    assert token_principal(token, secret=SECRET, now=1059.9) == WHO
    with pytest.raises(AccessDenied, match="expired"):
        token_principal(token, secret=SECRET, now=1060)


def test_a_changed_or_foreign_token_is_refused() -> None:
    token = bearer_token(WHO, secret=SECRET, now=1000, seconds=60)
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "org": "other"}).encode()).rstrip(b"=").decode()
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    for bad in (
        f"{head}.{forged}.{signature}",
        f"{unsigned}.{payload}.",
        f"{head}.{payload}.",
        token[:-2],
        "",
        "x",
        "a.b.c",
        "é.é.é",
        f"{head}.{payload}",
    ):
        with pytest.raises(AccessDenied):
            token_principal(bad, secret=SECRET, now=1001)
    with pytest.raises(AccessDenied):
        token_principal(token, secret=b"t" * 32, now=1001)


def test_the_installation_has_one_secret(database: Database) -> None:
    with database.transaction() as connection:
        first = token_secret(connection)
    with database.transaction() as connection:
        assert token_secret(connection) == first
    assert len(first) == 32


def test_only_the_right_secret_is_let_in(database: Database, organization: Credentials) -> None:
    verifier = KeyVerifier()
    principal = verified(database, verifier, organization.api_key, organization.api_secret)
    assert principal.org_id == organization.org_id
    for key, secret in (
        (organization.api_key, organization.api_secret[:-1]),
        (organization.api_key, ""),
        (organization.api_key[:-1], organization.api_key[-1:] + organization.api_secret),
        ("unknown", organization.api_secret),
        ("nul\x00", "x"),
    ):
        with pytest.raises(AccessDenied):
            verified(database, verifier, key, secret)


def test_a_remembered_secret_falls_with_its_key(database: Database, organization: Credentials) -> None:
    verifier = KeyVerifier()
    verified(database, verifier, organization.api_key, organization.api_secret)
    key = ACCESS_KEYS.c.api_key == organization.api_key
    with database.transaction() as connection:
        connection.execute(update(ACCESS_KEYS).where(key).values(status="INACTIVE", version=2))
    with pytest.raises(AccessDenied):
        verified(database, verifier, organization.api_key, organization.api_secret)
    with database.transaction() as connection:
        connection.execute(update(ACCESS_KEYS).where(key).values(status="ACTIVE", version=3))
    verified(database, verifier, organization.api_key, organization.api_secret)


def test_the_secret_itself_is_not_stored(database: Database, organization: Credentials) -> None:
    with database.transaction() as connection:
        row = connection.execute(select(ACCESS_KEYS).where(ACCESS_KEYS.c.api_key == organization.api_key)).mappings().one()
    assert organization.api_secret not in str(dict(row))
    assert row["secret_hash"].startswith("$argon2id$")


def test_keys_are_rotated_by_adding_one(database: Database, organization: Credentials) -> None:
    with database.transaction() as connection:
        user = connection.execute(select(ACCESS_KEYS.c.service_user_id).where(ACCESS_KEYS.c.api_key == organization.api_key)).scalar_one()
        second = organizations.access_key(connection, organization.org_id, user)
    verifier = KeyVerifier()
    both = {verified(database, verifier, c.api_key, c.api_secret).id for c in (organization, second)}
    assert both == {f"SERVICE_USER_{user}"}
