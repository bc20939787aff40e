"""A new config entity takes a class and a registry row; its table and routes follow."""

from typing import Annotated

from fastapi.routing import APIRoute
from sqlalchemy import BigInteger, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from api.crud import router_of
from pipelines.storage.entity_tables import TABLES, entity_table, table_name
from transforms.entities.resource import IDS, Amount, Code, EntityWithCustomFields, Id, LongInteger, Name, Reference, Resource


class CounterReading(EntityWithCustomFields):
    """Something that is not there yet."""

    product_id: Annotated[Id | None, Reference("Product")] = None
    name: Name
    code: Code
    value: Amount
    ordinal: LongInteger | None = None


READINGS = Resource(CounterReading, "counterreadings", unique=(("code",), ("product_id", "ordinal")), filters=IDS)


def test_its_table_follows() -> None:
    metadata = MetaData()
    for name in ("organizations", "products"):
        Table(name, metadata)
    table = entity_table(READINGS, metadata)
    assert table.name == "counter_readings"
    types = {"value": Numeric, "ordinal": BigInteger, "custom_fields": JSONB, "product_id": Text, "name": Text}
    assert {name: type(table.c[name].type) for name in types} == types
    assert not table.c.name.nullable
    assert table.c.product_id.nullable
    assert {"uq_counter_readings_code", "uq_counter_readings_product_id_ordinal"} <= {str(c.name) for c in table.constraints}
    assert {key.name for key in table.foreign_key_constraints if len(key.columns) == 2} == {"fk_counter_readings_product_id_products"}


def test_its_routes_follow() -> None:
    routes = {(route.path, method) for route in router_of((READINGS,)).routes if isinstance(route, APIRoute) for method in route.methods}
    collection = "/organizations/{org_id}/counterreadings"
    one = f"{collection}/{{id}}"
    assert routes == {(collection, "GET"), (collection, "POST"), (one, "GET"), (one, "PUT"), (one, "DELETE")}


def test_table_names_are_plurals() -> None:
    assert [table_name(kind) for kind in ("AccountPlan", "Currency", "BillGroupingKey", "CustomFields", "OrganizationConfig")] == [
        "account_plans",
        "currencies",
        "bill_grouping_keys",
        "custom_fields",
        "organization_configs",
    ]


def test_a_foreign_key_has_a_name_that_postgresql_keeps() -> None:
    names = [str(key.name) for table in TABLES.values() for key in table.foreign_key_constraints]
    assert max(map(len, names)) <= 63
    assert "fk_organization_configs_default_statement_definition_id" in names
    assert "fk_account_plans_plan_group_id_plan_groups" in names
