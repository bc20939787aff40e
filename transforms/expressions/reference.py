"""The reference page of the calculation language, from the table of functions.

Put here its words. Keep out what functions do (functions.py).
"""

from transforms.expressions.functions import CONSTANTS, FUNCTIONS, Function
from transforms.expressions.parser import MAX_DEPTH

_OPERATORS = (
    ("`f(...)` `( )`", "calls and brackets"),
    ("`^`", "power; `2 ^ 3 ^ 2` is `2 ^ (3 ^ 2)`, and `-2 ^ 2` is -4"),
    ("`+ -`", "signs"),
    ("`* / %`", "product, quotient (never truncated), remainder with the sign of its left side"),
    ("`+ -`", "sum and difference; `+` joins when either side is a string"),
    ("`< <= > >=`", "comparisons of numbers, strings or instants"),
    ("`== !=`", "equality; numbers compare by value, strings with letter case"),
    ("`AND`", "both, in any letter case"),
    ("`OR`", "either, in any letter case"),
    ("`? :`", "choice: `qty > 5 ? 1 : 0`"),
)

#: The values that the examples are computed with.
EXAMPLE_VALUES = {
    "qty": "10",
    "gb": "4",
    "ms": "250",
    "neg": "-7",
    "zero": "0",
    "n": "null",
    "location": '"USA"',
    "type": '"Complete"',
    "status": '"completed"',
    "country": '"UK"',
    "timestamp.ts": "2024-02-29T13:45:30.250Z",
    "timestamp.ets": "2024-02-29T13:47:00.750Z",
}

_RULES = f"""\
## Values

- Numbers are exact decimals with 26 digits before and 12 after the point. Products and quotients are rounded half-even at the 12th digit.
- Strings are written in double or single quotes; a backslash makes the next character literal.
- `null` in arithmetic gives null. `x == null` and `x != null` test for it; any other comparison with null is false,
  and a condition that is null is not true.
- Division by zero, a result that does not fit, and text that is no number give null for that row, and no other.
- A derived field that is null because of an error is reported as a `CalculationError`; one that is null because the formula says so is not.
- Brackets, calls, signs and powers may be nested {MAX_DEPTH} levels deep.

## Names

- Derived fields: data fields by their code, derived fields declared before, `account` (its code), `timestamp.ts`, `timestamp.ets`,
  `timestamp.received`, `customfields.<entity>.<name>` with entity one of `organization`, `meter`, `product`, `account`.
  A data field called like a system name hides it.
- Compound aggregations: `aggregation.<code>`, and custom fields of `organization`, `meter`, `product`, `account`, `accountPlan`, `plan`,
  `planTemplate`.
- Notification rules: `new.<attribute>`, `old.<attribute>`.
- Other characters in a name: `customfields.account["Name With Space"]`.
"""


def reference_page() -> str:
    """The page, in Markdown."""
    operators = "\n".join(f"| {symbols} | {meaning} |" for symbols, meaning in _OPERATORS)
    functions = "\n".join(_entry(function) for function in FUNCTIONS.values())
    constants = "\n".join(f"| `{name}` | {doc} |" for name, (_, doc) in CONSTANTS.items())
    values = ", ".join(f"`{name}` = {value}" for name, value in EXAMPLE_VALUES.items())
    return (
        "# Formulas\n\n"
        "Derived fields, compound aggregations and notification rules are written in one language.\n\n"
        f"## Operators\n\nFrom the tightest to the loosest.\n\n| operator | meaning |\n| --- | --- |\n{operators}\n\n"
        f"{_RULES}\n"
        "## Constants\n\n| constant | meaning |\n| --- | --- |\n"
        "| `null` | No value. |\n| `true` | True. |\n| `false` | False. |\n"
        f"{constants}\n\n"
        f"## Functions\n\nThe examples use {values}.\n\n{functions}"
    )


def _entry(function: Function) -> str:
    examples = "\n".join(f"- `{source}` is `{result}`" for source, result in function.examples)
    return f"### `{function.signature}`\n\n{function.doc}\n\n{examples}\n"
