"""What a user reads names what there is: settings, datasets, formula functions, commands, tests that hold decisions."""

import re
from pathlib import Path

import pytest
import typer.main

from api.cli import app as command_line
from pipelines.storage.settings import Settings
from transforms.datasets import DATASETS, Dataset
from transforms.expressions.functions import FUNCTIONS
from transforms.expressions.reference import reference_page

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme_as_it_is_described(name: str) -> None:
    field = Settings.model_fields[name]
    row = next((line for line in README.splitlines() if line.startswith(f"| `METERHOUSE_{name.upper()}` |")), None)
    assert row is not None, f"add {name} to the README's table of settings"
    assert field.description
    assert field.description in row


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda d: d.name)
def test_every_dataset_is_in_the_readme_and_describes_its_columns(dataset: Dataset) -> None:
    assert f"`{dataset.name}" in README
    assert dataset.grain
    assert all(column.doc.endswith(".") for column in dataset.columns.values())


def test_every_function_of_formulas_is_on_the_reference_page_with_an_example() -> None:
    page = reference_page()
    assert [name for name in FUNCTIONS if f"{name}(" not in page] == []


def test_every_command_is_in_the_readme_and_explains_itself() -> None:
    group = typer.main.get_command(command_line)
    commands = group.commands  # type: ignore[attr-defined]
    assert [name for name in commands if name not in README] == []
    assert [name for name, command in commands.items() if not command.help and name != "org"] == []


def test_decisions_are_numbered_and_name_tests_that_exist() -> None:
    section = README.split("## Decisions")[1].split("\n## ")[0]
    lines = re.findall(r"^(\d+)\. (.*)$", section, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, len(lines) + 1))
    for number, text in lines:
        named = re.findall(r"`(tests/[^`]+)`", text)
        assert named, f"decision {number} names no test"
        assert [path for path in named if not (ROOT / path).exists()] == []


def test_pictures_of_the_readme_exist() -> None:
    assert [path for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README) if not (ROOT / path).exists()] == []


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README
