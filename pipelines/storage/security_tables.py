"""The tables of people, service users and their keys.

Put here who may call; keep out what they call.
"""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, ForeignKeyConstraint, Integer, LargeBinary, Table, Text, UniqueConstraint, func

from pipelines.storage.metadata import METADATA

#: One row per installation: the secret that signs bearer tokens.
INSTALLATION = Table(
    "installation",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("token_secret", LargeBinary, nullable=False),
    Column("dt_created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("id = 1", name="only_one"),
)

SERVICE_USERS = Table(
    "service_users",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("dt_created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Text, nullable=False),
)

#: Access keys of service users; the secret itself is shown once and never stored.
ACCESS_KEYS = Table(
    "access_keys",
    METADATA,
    Column("api_key", Text, primary_key=True),
    Column("org_id", Text, nullable=False),
    Column("service_user_id", Text, nullable=False),
    Column("secret_hash", Text, nullable=False, comment="argon2id."),
    Column("status", Text, nullable=False, server_default="ACTIVE"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("dt_created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["org_id", "service_user_id"], ["service_users.org_id", "service_users.id"], name="fk_access_keys_service_user_id_service_users"
    ),
    CheckConstraint("status IN ('ACTIVE', 'INACTIVE')", name="status"),
)

USERS = Table(
    "users",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("dt_created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("org_id", "email", name="uq_users_email"),
    CheckConstraint("role IN ('ADMINISTRATOR', 'READ_ONLY')", name="role"),
)
