"""The list of all config entities.

Adding an entity is a class and a ``Resource`` row in one of these modules; everything else follows from this list.
"""

from transforms.entities import accounts, organization, plans, usage
from transforms.entities.resource import Resource

RESOURCES: tuple[Resource, ...] = (*organization.RESOURCES, *usage.RESOURCES, *accounts.RESOURCES, *plans.RESOURCES)
BY_KIND: dict[str, Resource] = {r.kind: r for r in RESOURCES}
BY_PATH: dict[str, Resource] = {r.path: r for r in RESOURCES}
