"""Writing config entities in tests: wire bodies in, wire documents out, each call its own transaction."""

from typing import Any

from pipelines.storage import config_store
from pipelines.storage.database import Database
from transforms.entities.documents import document, validated
from transforms.entities.registry import BY_PATH

JANUARY = "2025-01-01T00:00:00Z"
NUMBER = {"category": "MEASURE", "code": "qty", "name": "qty", "unit": "1"}
STRING = {"category": "WHERE", "code": "region", "name": "region"}


class Configured:
    """One organization to write to."""

    def __init__(self, database: Database, org_id: str) -> None:
        self.database = database
        self.org_id = org_id

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        with self.database.transaction() as connection:
            return document(config_store.created(connection, self.org_id, validated(BY_PATH[path].entity, body), "TESTER"))

    def put(self, path: str, stored: dict[str, Any], **changes: Any) -> dict[str, Any]:
        with self.database.transaction() as connection:
            new = validated(BY_PATH[path].entity, {**stored, **changes})
            return document(config_store.updated(connection, self.org_id, stored["id"], new, "EDITOR"))

    def delete(self, path: str, stored: dict[str, Any]) -> dict[str, Any]:
        with self.database.transaction() as connection:
            return document(config_store.deleted(connection, self.org_id, BY_PATH[path].entity, stored["id"], "TESTER"))

    def get(self, path: str, entity_id: str) -> dict[str, Any]:
        with self.database.transaction() as connection:
            return document(config_store.entity(connection, self.org_id, BY_PATH[path].entity, entity_id))

    def ids(self, path: str, **parameters: str) -> list[str]:
        """Ids of all pages of a list."""
        found: list[str] = []
        token = None
        while True:
            with self.database.transaction() as connection:
                page = config_store.listed(connection, self.org_id, BY_PATH[path].entity, parameters, token=token)
            found += [one.id for one in page.data]
            token = page.next_token
            if token is None:
                return found

    def product(self, code: str = "product") -> dict[str, Any]:
        return self.post("products", name=code, code=code)

    def meter(self, code: str = "meter", **fields: Any) -> dict[str, Any]:
        return self.post("meters", **{"name": code, "code": code, "dataFields": [NUMBER, STRING], "derivedFields": [], **fields})

    def aggregation(self, meter: dict[str, Any], code: str = "calls", **fields: Any) -> dict[str, Any]:
        body = {"targetField": "qty", "aggregation": "SUM", "quantityPerUnit": 1, "rounding": "NONE", "unit": "call"}
        return self.post("aggregations", **{"name": code, "code": code, "meterId": meter["id"], **body, **fields})

    def segmented(self, meter: dict[str, Any], code: str = "by_region", regions: tuple[str, ...] = ("eu", "*")) -> dict[str, Any]:
        return self.aggregation(meter, code, segmentedFields=["region"], segments=[{"region": region} for region in regions])

    def compound(self, calculation: str, code: str = "compound", **fields: Any) -> dict[str, Any]:
        body = {"quantityPerUnit": 1, "rounding": "NONE", "unit": "call", "calculation": calculation}
        return self.post("compoundaggregations", **{"name": code, "code": code, **body, **fields})

    def template(self, product: dict[str, Any], code: str = "template", **fields: Any) -> dict[str, Any]:
        body = {"currency": "USD", "billFrequency": "MONTHLY", "standingCharge": 0}
        return self.post("plantemplates", **{"name": code, "code": code, "productId": product["id"], **body, **fields})

    def plan(self, template: dict[str, Any], code: str = "plan", **fields: Any) -> dict[str, Any]:
        return self.post("plans", **{"name": code, "code": code, "planTemplateId": template["id"], **fields})

    def pricing(self, **fields: Any) -> dict[str, Any]:
        bands = [{"lowerLimit": 0, "fixedPrice": 0, "unitPrice": 1}]
        return self.post("pricings", **{"startDate": JANUARY, "pricingBands": bands, **fields})

    def account(self, code: str = "acme", **fields: Any) -> dict[str, Any]:
        return self.post("accounts", **{"name": code, "code": code, "emailAddress": "billing@example.com", **fields})

    def attached(self, account: dict[str, Any], plan: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.post("accountplans", **{"accountId": account["id"], "planId": plan["id"], "startDate": JANUARY, **fields})
