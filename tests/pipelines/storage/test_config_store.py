"""Config entities as stored: versions, history, separation of organizations, lists."""

import threading
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from pipelines.storage import config_store, organizations
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import ENTITY_VERSIONS, TABLES
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, frames, put
from tests.configured import JANUARY, Configured
from transforms.entities.accounts import AccountPlan
from transforms.entities.documents import plain_numbers
from transforms.entities.fields import fields
from transforms.entities.registry import RESOURCES
from transforms.entities.usage import Product
from transforms.errors import DuplicateKey, EntityInvalid, NotFound, Refused, VersionConflict


@pytest.fixture
def made(database: Database, organization: Credentials) -> Configured:
    return Configured(database, organization.org_id)


def history(made: Configured, entity_id: str) -> list[tuple[int, str, str]]:
    versions = ENTITY_VERSIONS.c
    with made.database.transaction() as connection:
        query = select(versions.version, versions.change, versions.changed_by).where(versions.org_id == made.org_id, versions.id == entity_id)
        return [tuple(row) for row in connection.execute(query.order_by(versions.version))]


def test_every_version_is_in_the_history(made: Configured) -> None:
    product = made.product()
    assert (product["version"], product["createdBy"]) == (1, "TESTER")
    renamed = made.put("products", product, name="Renamed")
    assert (renamed["version"], renamed["createdBy"], renamed["lastModifiedBy"]) == (2, "TESTER", "EDITOR")
    assert renamed["dtCreated"] == product["dtCreated"] < renamed["dtLastModified"]
    assert made.delete("products", renamed)["name"] == "Renamed"
    assert history(made, product["id"]) == [(1, "CREATED", "TESTER"), (2, "UPDATED", "EDITOR"), (3, "DELETED", "TESTER")]


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_stale_version_changes_nothing(made: Configured, version: int) -> None:
    product = made.product()
    with pytest.raises(VersionConflict, match="version 1"):
        made.put("products", product, version=version, name="Lost")
    assert made.get("products", product["id"])["name"] == "product"
    assert len(history(made, product["id"])) == 1


def test_an_update_needs_a_version(made: Configured) -> None:
    with pytest.raises(EntityInvalid, match="version is required"):
        made.put("products", made.product(), version=None)
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    changed = made.put("organizationconfig", config, version=None, daysBeforeBillDue=10)
    with pytest.raises(EntityInvalid, match="version is required"):
        made.put("organizationconfig", changed, version=None)


def test_codes_are_unique_within_an_organization(made: Configured, database: Database) -> None:
    made.product()
    with pytest.raises(DuplicateKey, match="code 'product'"):
        made.product()
    other = made.product("other")
    with pytest.raises(DuplicateKey):
        made.put("products", other, code="product")
    with database.transaction() as connection:
        elsewhere = organizations.created(connection, "Elsewhere").org_id
    assert Configured(database, elsewhere).product()["code"] == "product"


def test_a_code_that_may_be_missing_never_collides(made: Configured) -> None:
    meter = made.meter()
    made.aggregation(meter, code="one")
    body = {"meterId": meter["id"], "targetField": "qty", "aggregation": "SUM", "quantityPerUnit": 1, "rounding": "NONE", "unit": "call"}
    first, second = (made.post("aggregations", name="nameless", **body) for _ in range(2))
    assert first["id"] != second["id"]


def test_organizations_see_nothing_of_each_other(made: Configured, database: Database) -> None:
    product = made.product()
    with database.transaction() as connection:
        other = Configured(database, organizations.created(connection, "Other").org_id)
    assert other.ids("products") == []
    with pytest.raises(NotFound):
        other.get("products", product["id"])
    with pytest.raises(NotFound):
        other.put("products", product, name="Stolen")
    with pytest.raises(NotFound):
        other.delete("products", product)
    with pytest.raises(EntityInvalid, match="no Product"):
        other.meter(productId=product["id"])
    assert made.get("products", product["id"]) == product


def test_the_database_itself_refuses_references_across_organizations(made: Configured, database: Database) -> None:
    meter = made.meter()
    with database.transaction() as connection:
        other = Configured(database, organizations.created(connection, "Other").org_id)
        row = dict(connection.execute(select(TABLES["Meter"]).where(TABLES["Meter"].c.id == meter["id"])).mappings().one())
    del row["sequence"]
    product = other.product()
    with pytest.raises(IntegrityError, match="fk_meters_product_id_products"), database.transaction() as connection:
        connection.execute(insert(TABLES["Meter"]).values({**row, "id": str(uuid.uuid4()), "code": "stolen", "product_id": product["id"]}))


def test_every_reference_is_a_composite_foreign_key() -> None:
    for resource in RESOURCES:
        wanted = {("org_id", f.name) for f in fields(resource.entity).values() if f.reference is not None}
        found = {tuple(c.name for c in key.columns) for key in TABLES[resource.kind].foreign_key_constraints if len(key.columns) == 2}
        assert found == wanted, resource.kind


def test_numbers_stay_exact(made: Configured) -> None:
    digits = Decimal("12345678901234567890123456.123456789012")
    template = made.template(made.product(), standingCharge=digits, minimumSpend=Decimal("0.1"))
    stored = made.get("plantemplates", template["id"])
    assert plain_numbers(stored["standingCharge"]) == digits
    assert stored["minimumSpend"] == Decimal("0.1")
    with made.database.transaction() as connection:
        body = connection.execute(select(ENTITY_VERSIONS.c.body).where(ENTITY_VERSIONS.c.id == template["id"])).scalar_one()
    assert body["standingCharge"] == digits


def test_lists_are_newest_first_in_pages_without_an_empty_one(made: Configured, database: Database) -> None:
    ids = [made.product(f"p{n}")["id"] for n in range(6)]
    seen: list[str] = []
    token = None
    for wanted in (3, 3, None):
        assert wanted is not None, "an empty page was announced"
        with database.transaction() as connection:
            page = config_store.listed(connection, made.org_id, Product, size=3, token=token)
        assert len(page.data) == wanted
        seen += [one.id for one in page.data]
        token = page.next_token
        if token is None:
            break
    assert seen == ids[::-1]


def test_a_page_that_others_add_to_meanwhile_repeats_nothing(made: Configured, database: Database) -> None:
    ids = [made.product(f"p{n}")["id"] for n in range(4)]
    with database.transaction() as connection:
        first = config_store.listed(connection, made.org_id, Product, size=2)
    made.product("meanwhile")
    with database.transaction() as connection:
        second = config_store.listed(connection, made.org_id, Product, size=2, token=first.next_token)
    assert [one.id for one in (*first.data, *second.data)] == ids[::-1]
    assert second.next_token is None


@pytest.mark.parametrize(
    ("size", "token", "field"), [(0, None, "pageSize"), (201, None, "pageSize"), (None, "nonsense", "nextToken"), (None, "czE5x", "nextToken")]
)
def test_bad_paging_is_refused(made: Configured, database: Database, size: int | None, token: str | None, field: str) -> None:
    with pytest.raises(EntityInvalid) as caught, database.transaction() as connection:
        config_store.listed(connection, made.org_id, Product, size=size, token=token)
    assert [p.field for p in caught.value.problems] == [field]


def test_filters_of_each_kind(made: Configured) -> None:
    one, two = made.product("one"), made.product("two")
    meter, everywhere = made.meter(productId=one["id"]), made.meter("everywhere")
    mine, other = made.aggregation(meter), made.aggregation(everywhere, "other")
    assert made.ids("products", ids=f"{one['id']},{two['id']}") == [two["id"], one["id"]]
    assert made.ids("meters", codes="everywhere, nothing") == [everywhere["id"]]
    assert made.ids("aggregations", productId=one["id"]) == [mine["id"]]
    assert made.ids("aggregations", codes="other") == [other["id"]]
    archived = made.post("picklists/currency", name="Old", code="OLD", archived=True)
    assert archived["id"] in made.ids("picklists/currency", archived="true")
    assert archived["id"] not in made.ids("picklists/currency", archived="false")
    with pytest.raises(EntityInvalid, match="true or false"):
        made.ids("picklists/currency", archived="perhaps")


def test_account_plans_are_listed_by_what_is_active(made: Configured) -> None:
    template = made.template(made.product())
    account = made.account()
    over = made.attached(account, made.plan(template, "over"), endDate="2025-03-01T00:00:00Z")["id"]
    now = made.attached(account, made.plan(template, "now"), startDate="2025-03-01T00:00:00Z")
    plans = "accountplans"
    assert made.ids(plans) == [now["id"], over]
    assert made.ids(plans, account=account["id"]) == [now["id"]]
    assert made.ids(plans, account=account["id"], includeall="true") == [now["id"], over]
    assert made.ids(plans, account=account["id"], date="2025-02-28") == [over]
    assert made.ids(plans, date="2025-03-01") == [now["id"]]
    assert made.ids(plans, date="2024-12-31") == []
    assert made.ids(plans, account=account["id"], product=now["productId"]) == [now["id"]]
    with pytest.raises(EntityInvalid, match="together with account"):
        made.ids(plans, product=now["productId"])
    with pytest.raises(EntityInvalid, match="date"):
        made.ids(plans, date="tomorrow")


def test_a_day_is_one_of_the_organizations_time_zone(made: Configured) -> None:
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    made.put("organizationconfig", config, timezone="America/New_York")
    plan = made.plan(made.template(made.product()))
    attached = made.attached(made.account(), plan, startDate="2025-01-01T05:00:00Z", endDate="2025-01-02T05:00:00Z")
    assert made.ids("accountplans", date="2025-01-01") == [attached["id"]]
    assert made.ids("accountplans", date="2024-12-31") == made.ids("accountplans", date="2025-01-02") == []


def test_account_numbers_are_dense_and_never_used_again(made: Configured, database: Database) -> None:
    def numbers() -> list[int]:
        table = TABLES["Account"].c
        with database.transaction() as connection:
            return list(connection.execute(select(table.account_number).where(table.org_id == made.org_id).order_by(table.sequence)).scalars())

    accounts = [made.account(f"a{n}") for n in range(3)]
    with pytest.raises(DuplicateKey):
        made.account("a1")
    assert numbers() == [0, 1, 2]
    made.delete("accounts", accounts[2])
    made.account("a3")
    assert numbers() == [0, 1, 3]


def test_two_overlapping_account_plans_at_once_are_not_both_stored(made: Configured) -> None:
    template = made.template(made.product())
    account = made.account()
    plans = [made.plan(template, f"plan{n}") for n in range(4)]
    outcomes: list[str] = []
    start = threading.Barrier(len(plans))

    def attach(plan: dict[str, Any]) -> None:
        start.wait()
        try:
            made.attached(account, plan)
            outcomes.append("stored")
        except EntityInvalid:
            outcomes.append("refused")

    threads = [threading.Thread(target=attach, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "refused", "refused", "stored"]
    with made.database.transaction() as connection:
        assert config_store.count(connection, made.org_id, AccountPlan, account_id=account["id"]) == 1


def test_concurrent_updates_of_one_version_have_one_winner(made: Configured) -> None:
    product = made.product()
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def rename(name: str) -> None:
        start.wait()
        try:
            made.put("products", product, name=name)
            outcomes.append("stored")
        except VersionConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=rename, args=(f"name {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "stored"]


def test_a_new_organization_can_start_at_once(made: Configured) -> None:
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    assert (config["currency"], config["timezone"], config["version"]) == ("USD", "UTC", 1)
    dollar = made.get("picklists/currency", made.ids("picklists/currency")[0])
    assert (dollar["code"], dollar["maxDecimalPlaces"], dollar["roundingMode"]) == ("USD", 2, "HALF_UP")
    made.attached(made.account(), made.plan(made.template(made.product())), startDate=JANUARY)


def test_an_account_that_was_billed_stays(made: Configured, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), {})
    billed = account_of(made.database, made.org_id, "billed")
    put(made.database, lake, made.org_id, [frames(billed, ["1.50"])])
    account = made.get("accounts", billed.id)
    with pytest.raises(Refused, match="used by bills"):
        made.delete("accounts", account)
    assert made.get("accounts", account["id"]) == account
