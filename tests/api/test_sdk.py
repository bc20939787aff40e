"""The official SDK as client of our config entities: it fetches tokens, parses answers strictly and pages by itself."""

from datetime import UTC, datetime

import m3ter
import pytest
from m3ter import M3ter
from starlette.testclient import TestClient

from pipelines.storage.organizations import Credentials


@pytest.fixture
def client(api: TestClient, organization: Credentials) -> M3ter:
    del api.headers["Authorization"]
    return M3ter(
        base_url="http://testserver",
        org_id=organization.org_id,
        api_key=organization.api_key,
        api_secret=organization.api_secret,
        http_client=api,
        max_retries=0,
        _strict_response_validation=True,
    )


def test_a_whole_configuration(client: M3ter) -> None:
    product = client.products.create(code="api", name="API", custom_fields={"team": "core", "rate": 1.5})
    assert (product.version, product.custom_fields) == (1, {"team": "core", "rate": 1.5})
    meter = client.meters.create(
        code="calls",
        name="Calls",
        product_id=product.id,
        data_fields=[{"category": "MEASURE", "code": "n", "name": "Number", "unit": "1"}, {"category": "WHERE", "code": "region", "name": "Region"}],
        derived_fields=[{"category": "COST", "code": "cost", "name": "Cost", "unit": "USD", "calculation": "n * 0.01"}],
    )
    assert meter.derived_fields is not None
    assert meter.derived_fields[0].calculation == "n * 0.01"
    aggregation = client.aggregations.create(
        aggregation="SUM",
        meter_id=meter.id,
        name="Calls",
        code="calls",
        quantity_per_unit=1,
        rounding="NONE",
        target_field="n",
        unit="call",
        segmented_fields=["region"],
        segments=[{"region": "eu"}, {"region": "*"}],
    )
    compound = client.compound_aggregations.create(
        calculation="aggregation.calls / 2", name="Half", code="half", quantity_per_unit=1, rounding="UP", unit="half", product_id=product.id
    )
    assert compound.segments == [{"region": "eu"}, {"region": "*"}]
    currency = client.currencies.create(name="Euro", code="EUR", max_decimal_places=2, rounding_mode="HALF_UP")
    assert [one.code for one in client.currencies.list(codes=["EUR", "USD"])] == ["EUR", "USD"]
    template = client.plan_templates.create(
        bill_frequency="MONTHLY", currency=currency.code or "", name="Monthly", product_id=product.id, standing_charge=9.99, code="monthly"
    )
    plan = client.plans.create(code="basic", name="Basic", plan_template_id=template.id)
    pricing = client.pricings.create(
        plan_id=plan.id,
        aggregation_id=aggregation.id,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        cumulative=True,
        segment={"region": "eu"},
        pricing_bands=[{"lower_limit": 0, "fixed_price": 0, "unit_price": 0.25}, {"lower_limit": 100, "fixed_price": 0, "unit_price": 0.1}],
    )
    assert pricing.start_date == datetime(2025, 1, 1, tzinfo=UTC)
    assert [band.unit_price for band in pricing.pricing_bands or []] == [0.25, 0.1]
    account = client.accounts.create(code="acme", email_address="billing@example.com", name="Acme", currency="EUR", address={"country": "DE"})
    attached = client.account_plans.create(account_id=account.id, plan_id=plan.id, start_date=datetime(2025, 1, 1, tzinfo=UTC))
    assert attached.product_id == product.id
    assert [one.id for one in client.account_plans.list(account=account.id)] == [attached.id]
    assert [one.id for one in client.aggregations.list(product_id=[product.id])] == [aggregation.id]
    found = client.accounts.search(search_query="name~Ac$currency:EUR")
    assert [one.code for one in found.data or []] == ["acme"]
    assert list(client.accounts.list_children(account.id)) == []
    updated = client.plans.update(plan.id, code="basic", name="Basic 2", plan_template_id=template.id, version=1)
    assert (updated.version, updated.name) == (2, "Basic 2")
    assert client.account_plans.delete(attached.id).id == attached.id


def test_documents_of_the_organization(client: M3ter) -> None:
    config = client.organization_config.retrieve()
    changed = client.organization_config.update(
        currency="USD",
        day_epoch="2024-01-01",
        month_epoch="2024-01-15",
        week_epoch="2024-01-01",
        year_epoch="2024-01-01",
        days_before_bill_due=14,
        timezone="America/New_York",
        currency_conversions=[{"from": "EUR", "to": "USD", "multiplier": 1.1}],
        version=config.version or 0,
    )
    assert (changed.month_epoch, changed.timezone) == ("2024-01-15", "America/New_York")
    assert changed.currency_conversions is not None
    assert changed.currency_conversions[0].multiplier == 1.1
    fields = client.custom_fields.update(account={"discount": 0.5, "note": "x"}, version=1)
    assert fields.account == {"discount": 0.5, "note": "x"}
    me = client.users.me()
    assert me.service_user is not None
    assert me.organization is not None


def test_iteration_reaches_every_page(client: M3ter) -> None:
    for number in range(7):
        client.products.create(code=f"p{number}", name="Product")
    assert [one.code for one in client.products.list(page_size=3)] == [f"p{n}" for n in reversed(range(7))]
    assert [one.code for one in client.products.list(page_size=7)] == [f"p{n}" for n in reversed(range(7))]


def test_refusals_are_the_sdks_exceptions(client: M3ter, organization: Credentials) -> None:
    product = client.products.create(code="api", name="API")
    with pytest.raises(m3ter.ConflictError):
        client.products.create(code="api", name="API")
    with pytest.raises(m3ter.ConflictError):
        client.products.update(product.id, code="api", name="API", version=5)
    with pytest.raises(m3ter.BadRequestError):
        client.products.create(code=" bad", name="API")
    with pytest.raises(m3ter.NotFoundError):
        client.products.retrieve("00000000-0000-4000-8000-000000000000")
    with pytest.raises(m3ter.PermissionDeniedError):
        client.products.list(org_id="00000000-0000-4000-8000-000000000000")
