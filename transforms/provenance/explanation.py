"""One line of a bill explained: the formula, the numbers that went in, the usage behind it, and checks that they give the line.

Every number is computed again, for one line, from the configuration and the measurements; what does not give the line is a
check that fails. Put here which module explains which type of line. Source: DECISIONS 33.
"""

from collections.abc import Callable, Mapping

from transforms.provenance.calculation_steps import Explained, Explanation, stated
from transforms.provenance.explained_charges import explained_minimum_spend, explained_standing_charge
from transforms.provenance.explained_usage import explained_usage
from transforms.provenance.trail import USAGE_TYPES

#: Type of a line -> its explanation, None where this one line is of a kind of its own; other types say what their columns say.
_BY_TYPE: Mapping[str, Callable[[Explained], Explanation | None]] = {
    **dict.fromkeys(USAGE_TYPES, explained_usage),
    "STANDING_CHARGE": explained_standing_charge,
    "MINIMUM_SPEND": explained_minimum_spend,
    "MINIMUM_SPEND_REFUND": explained_minimum_spend,
}


def explanation(explained: Explained) -> Explanation:
    """The explanation of the line."""
    explain = _BY_TYPE.get(explained.line["line_item_type"])
    return (None if explain is None else explain(explained)) or stated(explained)
