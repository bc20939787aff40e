"""The command line ``meterhouse``: its commands, the home folder they work in, and how errors are told.

Put a command into ``api/commands`` and its name here.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.commands import apply, bill, demo, diff, document, explain, explore, ingest, organizations, rebill, serve, status
from api.commands.context import HomeOption, choose_home

app = typer.Typer(
    name="meterhouse",
    help="The open-source billing warehouse: raw usage in, exact bills out, every number recomputable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(home: Annotated[Path | None, HomeOption] = None) -> None:
    choose_home(home)


app.command("serve")(serve.serve)
app.add_typer(organizations.app, name="org")
app.command("ingest")(ingest.ingest)
app.command("apply")(apply.apply)
app.command("bill")(bill.bill)
app.command("document")(document.document)
app.command("rebill")(rebill.rebill)
app.command("diff")(diff.diff)
app.command("explain")(explain.explain)
app.command("explore")(explore.explore)
app.command("status")(status.status)
app.command("demo")(demo.demo)


def main() -> None:
    """Run the command line; a user's mistake ends with its message and exit code 1, without a traceback."""
    from transforms.errors import MeterhouseError

    try:
        app()
    except MeterhouseError as error:
        for line in _messages(error):
            print(line, file=sys.stderr)  # noqa: T201  (the one place where the command line tells an error)
        sys.exit(1)


def _messages(error: Exception) -> list[str]:
    problems = getattr(error, "problems", ())
    return [f"error: {error}", *(f"  {problem.field}: {problem.message}" for problem in problems if problem.message not in str(error))]


if __name__ == "__main__":
    main()
