"""Organizations: creating one with all it needs to start, and reading them.

Put here what belongs to an organization as a whole. Keep out its config entities (config_store.py).
"""

import secrets
import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, insert, select

from pipelines.storage import config_store
from pipelines.storage.entity_tables import ORGANIZATIONS
from pipelines.storage.security import secret_hash
from pipelines.storage.security_tables import ACCESS_KEYS, SERVICE_USERS, USERS
from transforms.entities.bill_config import BillConfig
from transforms.entities.organization import Currency, CustomFields, OrganizationConfig
from transforms.errors import EntityInvalid, NotFound
from transforms.money import RoundingMode

#: Who stands in the audit fields of what the software itself creates.
SYSTEM = "SYSTEM"


@dataclass(frozen=True)
class Credentials:
    """What a client needs to call for an organization; the secret can't be read again."""

    org_id: str
    api_key: str
    api_secret: str


def created(connection: Connection, name: str) -> Credentials:
    """A new organization with its documents, the currency USD, an administrator and a service user's access key.

    Raises:
        EntityInvalid: The name is empty or too long.
    """
    if not 1 <= len(name.strip()) <= 200 or "\x00" in name:
        raise EntityInvalid.of("name", "the name of an organization has 1 to 200 characters")
    org_id = str(uuid.uuid4())
    connection.execute(insert(ORGANIZATIONS).values(id=org_id, name=name.strip(), created_by=SYSTEM))
    config_store.created(connection, org_id, Currency(name="US Dollar", code="USD", max_decimal_places=2, rounding_mode=RoundingMode.HALF_UP), SYSTEM)
    config_store.created(connection, org_id, OrganizationConfig(), SYSTEM)
    config_store.created(connection, org_id, CustomFields(), SYSTEM)
    config_store.created(connection, org_id, BillConfig(), SYSTEM)
    administrator = {"first_name": "First", "last_name": "Administrator", "role": "ADMINISTRATOR", "created_by": SYSTEM}
    connection.execute(insert(USERS).values(org_id=org_id, id=str(uuid.uuid4()), email=f"administrator@{org_id}.invalid", **administrator))
    service_user_id = str(uuid.uuid4())
    connection.execute(insert(SERVICE_USERS).values(org_id=org_id, id=service_user_id, name="Administrator", created_by=SYSTEM))
    return access_key(connection, org_id, service_user_id)


def access_key(connection: Connection, org_id: str, service_user_id: str) -> Credentials:
    """A new active access key of a service user."""
    credentials = Credentials(org_id=org_id, api_key=secrets.token_hex(16), api_secret=secrets.token_urlsafe(32))
    connection.execute(
        insert(ACCESS_KEYS).values(
            api_key=credentials.api_key, org_id=org_id, service_user_id=service_user_id, secret_hash=secret_hash(credentials.api_secret)
        )
    )
    return credentials


def organization(connection: Connection, org_id: str) -> RowMapping:
    """The organization's row.

    Raises:
        NotFound: There is none with that id.
    """
    row = connection.execute(select(ORGANIZATIONS).where(ORGANIZATIONS.c.id == org_id)).mappings().first()
    if row is None:
        raise NotFound("Organization", org_id)
    return row


def organization_ids(connection: Connection) -> list[str]:
    """The ids of all active organizations, in the order of their creation."""
    rows = ORGANIZATIONS
    return list(connection.execute(select(rows.c.id).where(rows.c.status == "ACTIVE").order_by(rows.c.dt_created, rows.c.id)).scalars())


def service_user(connection: Connection, org_id: str, service_user_id: str) -> RowMapping:
    """The service user's row.

    Raises:
        NotFound: The organization has none with that id.
    """
    users = SERVICE_USERS
    row = connection.execute(select(users).where(users.c.org_id == org_id, users.c.id == service_user_id)).mappings().first()
    if row is None:
        raise NotFound("ServiceUser", service_user_id)
    return row
