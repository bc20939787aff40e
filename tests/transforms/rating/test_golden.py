from typing import Any

import pytest

from tests.transforms.rating.golden import World, cases, check

CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case: dict[str, Any] = CASES[name]
    assert case["why"]
    world = World(case)
    for run in case["runs"]:
        check(world.billed(run["run"]), run)
