"""The command line, as a user runs it."""

import json
import subprocess
import sys
import uuid
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import polars as pl
import pytest

from api import cli
from api.commands.bill import last_date_of, money
from pipelines.storage.database import Database
from transforms.errors import EntityInvalid

CONFIGURATION = """
organizationconfig: {timezone: UTC, currency: USD, monthEpoch: 2020-01-01, yearEpoch: 2020-01-01}
products: [{code: api, name: API}]
meters:
  - {code: calls, name: Calls, product: api, derivedFields: [],
     dataFields: [{category: WHERE, code: region, name: Region}, {category: MEASURE, code: n, name: Calls, unit: "1"}]}
aggregations:
  - {code: calls, name: Calls, meter: calls, aggregation: SUM, targetField: n, unit: "1", quantityPerUnit: 1, rounding: NONE}
plantemplates: [{code: t, name: T, product: api, currency: USD, billFrequency: MONTHLY, standingCharge: 10}]
plans: [{code: p, name: P, planTemplate: t}]
pricings:
  - {plan: p, aggregation: calls, startDate: "2025-01-01T00:00:00Z", pricingBands: [{lowerLimit: 0, fixedPrice: 0, unitPrice: 0.25}]}
accounts: [{code: a, name: A, emailAddress: a@example.com}, {code: b, name: B, emailAddress: b@example.com}]
accountplans:
  - {account: a, plan: p, startDate: "2025-01-01T00:00:00Z"}
  - {account: b, plan: p, startDate: "2025-01-01T00:00:00Z"}
"""


@dataclass(frozen=True)
class Done:
    """What a command wrote and how it ended."""

    stdout: str
    stderr: str


class CommandLine:
    """``meterhouse`` in one home folder, run inside the test's process (starting one takes longer than most commands)."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, *arguments: str, code: int = 0, **environment: str) -> Done:
        stdout, stderr = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as ended:
            for name, value in {"METERHOUSE_HOME": str(self.home), "COLUMNS": "160", **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["meterhouse", *arguments])
            cli.main()
        assert (ended.value.code or 0) == code, stderr.getvalue() + stdout.getvalue()
        return Done(stdout.getvalue(), stderr.getvalue())

    def new_org(self) -> str:
        """The id of a new organization."""
        return str(json.loads(self.run("org", "create", f"Case {uuid.uuid4()}").stdout)["org_id"])


@pytest.fixture
def line(database: Database, database_home: Path) -> CommandLine:
    """In the home of the ``database`` fixture, whose PostgreSQL runs already."""
    return CommandLine(database_home)


@pytest.fixture
def configured(line: CommandLine, tmp_path: Path) -> str:
    """The id of an organization with CONFIGURATION."""
    org_id = line.new_org()
    (tmp_path / "c.yaml").write_text(CONFIGURATION)
    assert "10 created" in line.run("apply", str(tmp_path / "c.yaml"), "--org", org_id).stdout
    return org_id


def measurement(uid: str, account: str = "a", n: float = 1, region: str = "eu", ts: str = "2025-03-10T12:00:00Z") -> dict[str, object]:
    return {"uid": uid, "meter": "calls", "account": account, "ts": ts, "where": {"region": region}, "measure": {"n": n}}


def test_help_lists_every_command(line: CommandLine) -> None:
    shown = line.run("--help").stdout
    assert [name for name in ("serve", "org", "ingest", "apply", "bill", "explore", "status", "demo") if f" {name} " not in shown] == []


@pytest.mark.parametrize("place", [0, 3])
def test_home_may_stand_before_and_after_the_command(database: Database, database_home: Path, place: int) -> None:
    words = ["org", "create", "Somewhere"]
    words[place:place] = ["--home", str(database_home)]
    done = subprocess.run([sys.executable, "-m", "api.cli", *words], capture_output=True, text=True, check=True)
    (written,) = done.stdout.splitlines()
    credentials = json.loads(written)
    assert set(credentials) == {"base_url", "org_id", "api_key", "api_secret"}
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT name FROM organizations WHERE id = %s", (credentials["org_id"],)).scalar() == "Somewhere"
        users = connection.exec_driver_sql("SELECT count(*) FROM users WHERE org_id = %s", (credentials["org_id"],)).scalar()
        assert users == 1


def test_an_organization_is_named_by_id_or_name(line: CommandLine) -> None:
    name = f"Named {uuid.uuid4()}"
    org_id = json.loads(line.run("org", "create", name).stdout)["org_id"]
    line.new_org()
    for chosen in (org_id, name):
        assert "there is no meter with the code 'nothing'" in explored(line, chosen)
    assert "there is no organization 'nobody'" in explored(line, "nobody")
    assert "name one organization with --org or METERHOUSE_ORG" in explored(line, "")


def explored(line: CommandLine, org: str) -> str:
    """What it says about a meter that no organization has; ``org`` empty: none is named."""
    named = {"METERHOUSE_ORG": org} if org else {}
    return line.run("explore", "nothing", "--from", "2025-01-01", "--to", "2025-02-01", code=1, **named).stderr


def test_apply_shows_a_plan_applies_it_and_then_has_nothing_to_do(line: CommandLine, tmp_path: Path) -> None:
    org_id = line.new_org()
    file = tmp_path / "c.yaml"
    file.write_text(CONFIGURATION)
    planned = line.run("apply", str(file), "--dry-run", "--org", org_id).stdout
    assert "10 would be created, 1 would be updated, 0 unchanged" in planned
    assert "monthEpoch: 2022-01-01 → 2020-01-01" in planned
    assert "10 created, 1 updated, 0 unchanged" in line.run("apply", str(file), "--org", org_id).stdout
    assert "0 created, 0 updated, 11 unchanged" in line.run("apply", str(file), "--org", org_id).stdout
    file.write_text(CONFIGURATION.replace("standingCharge: 10", "standingCharge: 12.5"))
    assert "standingCharge: 10 → 12.5" in line.run("apply", str(file), "--org", org_id).stdout


def test_apply_refuses_what_cannot_be_and_changes_nothing(line: CommandLine, tmp_path: Path) -> None:
    org_id = line.new_org()
    file = tmp_path / "c.yaml"
    file.write_text(CONFIGURATION.replace("targetField: n", "targetField: missing"))
    refused = line.run("apply", str(file), "--org", org_id, code=1).stderr
    assert "aggregations[0]" in refused
    assert "missing" in refused
    file.write_text(CONFIGURATION)
    assert "10 created" in line.run("apply", str(file), "--org", org_id, "--dry-run").stdout.replace("would be ", "")


def test_files_of_every_format_are_taken_in_and_billed(line: CommandLine, configured: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([measurement("1", n=4), measurement("2", n=8)]))
    (tmp_path / "b.ndjson").write_text("\n".join(json.dumps(measurement(uid, n=1)) for uid in ("2", "3")))
    (tmp_path / "c.csv").write_text("account,meter,uid,ts,where.region,measure.n\nb,calls,4,2025-03-31T23:59:59Z,us,100\n")
    columns = {"account": ["b"], "meter": ["calls"], "uid": ["5"], "ts": ["2025-04-01T00:00:00Z"], "where.region": ["us"], "measure.n": [7.5]}
    pl.DataFrame(columns).write_parquet(tmp_path / "d.parquet")
    files = [str(tmp_path / name) for name in ("a.json", "b.ndjson", "c.csv", "d.parquet")]
    done = line.run("ingest", *files, "--org", configured).stdout
    assert "6 measurements from 4 files: 6 landed = 5 accepted + 1 duplicates + 0 rejected" in done

    billed = line.run("bill", "--frequency", "MONTHLY", "--period", "2025-03", "--org", configured).stdout
    assert "13.25 USD" in billed  # a: 13 calls at 0.25 and the standing charge
    assert "35.00 USD" in billed  # b: 100 calls
    assert "2 bills, 4 line items" in billed
    again = line.run("bill", "--period", "2025-04", "--account", "b", "--org", configured).stdout
    assert "11.875" not in again
    assert "11.88 USD" in again
    assert "1 bills" in again
    (shown,) = [row for row in again.splitlines() if "11.88 USD" in row]  # with the id that other commands ask for
    (bill_id,) = [part for part in shown.split() if len(part) == 36]
    assert line.run("rebill", bill_id, "--org", configured).stdout.count("equal") == 2
    narrow = line.run("bill", "--period", "2025-04", "--account", "b", "--org", configured, COLUMNS="80").stdout
    assert bill_id in narrow
    assert "11.88 USD" in narrow
    unwanted = " ".join(line.run("bill", "--period", "2025-04-02", "--frequency", "AD_HOC", "--org", configured).stdout.split())
    assert "No charge or fee is due on 2025-04-03" in unwanted
    assert "due on 2025-04-02 needs --period 2025-04-01" in unwanted
    assert "The period has not ended" not in again
    assert "The period has not ended" in line.run("bill", "--period", f"{datetime.now(UTC):%Y-%m}", "--org", configured).stdout

    asked = ("explore", "calls", "n.SUM", "region.UNIQUE", "--from", "2025-03-01", "--to", "2025-04-01", "--by", "account", "--org", configured)
    assert sorted(line.run(*asked, "--csv").stdout.splitlines()) == ["a,13,1", "accountCode,n.SUM,region.UNIQUE", "b,100,1"]
    assert (
        "113" in line.run("explore", "calls", "n.SUM", "--from", "2025-03-01", "--to", "2025-04-01", "--every", "MONTH", "--org", configured).stdout
    )

    shown = line.run("status", COLUMNS="80").stdout  # an id is there to be copied
    assert "not running" in shown
    (organization,) = [n for n, row in enumerate(shown.splitlines()) if configured in row]
    assert "= 5 accepted + 1 duplicates + 0 rejected" in " ".join(shown.splitlines()[organization : organization + 4])


def test_a_bad_row_refuses_the_files_and_keeps_nothing(line: CommandLine, configured: str, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps([measurement("1")]))
    bad = json.dumps(measurement("3", n=0)).replace('"n": 0', '"n": "many"')
    (tmp_path / "bad.ndjson").write_text(json.dumps(measurement("2")) + "\n" + bad + "\n")
    refused = line.run("ingest", str(tmp_path / "good.json"), str(tmp_path / "bad.ndjson"), "--org", configured, code=1).stderr
    assert "error: bad.ndjson: row 2.measure.n: " in refused
    assert "1 landed = 1 accepted" in line.run("ingest", str(tmp_path / "good.json"), "--org", configured).stdout


def test_reasons_of_rejection_are_told(line: CommandLine, configured: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("account,meter,ts,measure.n\n" + "a,clals,2025-03-10T12:00:00Z,1\n" * 2)
    done = line.run("ingest", str(tmp_path / "a.csv"), "--org", configured).stdout
    assert "2 landed = 0 accepted + 0 duplicates + 2 rejected" in done
    assert "2 rejected: UndefinedMeter: " in done


def test_a_period_in_which_nothing_ends_says_so(line: CommandLine, configured: str) -> None:
    done = line.run("bill", "--period", "2024-01", "--org", configured).stdout
    assert "0 bills" in done
    assert "No account has a plan whose MONTHLY billing period ends on 2024-01-31" in done


@pytest.mark.parametrize(("name", "value"), [("METERHOUSE_PORT", "99999"), ("METERHOUSE_LAKE_OPTIONS", "nonsense"), ("METERHOUSE_LOG_LEVEL", "loud")])
def test_an_impossible_setting_is_one_message(tmp_path: Path, name: str, value: str) -> None:
    done = CommandLine(tmp_path).run("status", code=1, **{name: value})
    assert done.stderr.startswith("error: ")
    assert name.removeprefix("METERHOUSE_").lower() in done.stderr.lower()
    assert len(done.stderr.splitlines()) == 1


def test_a_question_without_its_period_or_with_an_unknown_field_says_what_is_right(line: CommandLine, configured: str) -> None:
    assert "--from" in line.run("explore", "calls", "n.SUM", "--org", configured, code=2).stderr
    asked = line.run("explore", "calls", "m.SUM", "--from", "2025-03-01", "--to", "2025-04-01", "--org", configured, code=1).stderr
    assert asked == "error: m.SUM: meter calls has no field 'm'; it has n, region\n"


def test_a_bill_of_an_unknown_account_or_period_says_so(line: CommandLine, configured: str) -> None:
    for arguments, message in (
        (("--period", "2025-03", "--account", "nobody"), "there is no account with the code nobody"),
        (("--period", "March"), "--period March"),
        (("--period", "2025-03", "--frequency", "HOURLY"), "must be one of DAILY"),
    ):
        assert message in line.run("bill", *arguments, "--org", configured, code=1).stderr


def test_a_database_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    done = CommandLine(tmp_path).run("status", code=1, METERHOUSE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.stderr.startswith("error: the database can't be reached at the moment")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("period", "last"),
    [("2013", date(2013, 12, 31)), ("2012-02", date(2012, 2, 29)), ("2026-W53", date(2027, 1, 3)), ("2013-05-17", date(2013, 5, 17))],
)
def test_last_day_of_a_period(period: str, last: date) -> None:
    assert last_date_of(period) == last


@pytest.mark.parametrize("period", ["", "2013-13", "13-01", "2013-W54", "2013-02-30", "january"])
def test_other_periods_are_refused(period: str) -> None:
    with pytest.raises(EntityInvalid, match="--period"):
        last_date_of(period)


def test_money_has_two_decimals_or_all_there_are() -> None:
    from decimal import Decimal

    shown = [money(Decimal(text), "USD") for text in ("1234", "0.5", "0.000000000001", "-3.25000")]
    assert shown == ["1,234.00 USD", "0.50 USD", "0.000000000001 USD", "-3.25 USD"]
