"""Bills that follow: whatever is calculated first, every bill ends with what it would draw if all were calculated in their order."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import polars as pl
from hypothesis import given, settings, strategies as st

from transforms.rating.replay import OWNERS, PLACED, moved_bills, with_draws, with_locked
from transforms.rating.run import DRAWS, LEDGER

D = Decimal
FIRST = date(2025, 2, 1)
AT = datetime(2025, 1, 1, tzinfo=UTC)
Bill = tuple[str, int, int]


class Books:
    """Bills (account, day, what it wants) of accounts with one fund each; a bill draws what earlier ones and locked ones left."""

    def __init__(self, credit: int, bills: list[Bill]) -> None:
        self.accounts = sorted({account for account, _, _ in bills})
        self.funds = pl.DataFrame([(f"fund of {a}", a) for a in self.accounts], schema=OWNERS, orient="row")
        rows = [(f"bill {number}", FIRST + timedelta(days=day), account) for number, (account, day, _) in enumerate(bills)]
        self.bills = pl.DataFrame(rows, schema=PLACED, orient="row").sort("bill_date", "bill_id")
        self.wanted = {f"bill {number}": wanted for number, (_, _, wanted) in enumerate(bills)}
        self.credit = credit
        self.ledger = pl.DataFrame(schema=LEDGER)
        self.bases: list[tuple[pl.DataFrame, pl.DataFrame]] = []

    def calculated(self, bills: pl.DataFrame) -> None:
        """Calculate the bills, each account's in their order, from the ledger as it stands."""
        for row in bills.sort("bill_date", "bill_id").iter_rows(named=True):
            fund = f"fund of {row['account_id']}"
            entries = self.ledger.filter(pl.col("fund_id") == fund).iter_rows(named=True)
            place = (row["bill_date"], row["bill_id"])
            counts = [e for e in entries if e["bill_id"] != row["bill_id"] and (e["is_locked"] or (e["bill_date"], e["bill_id"]) < place)]
            drawn = min(self.wanted[row["bill_id"]], self.credit + sum(int(e["amount"]) for e in counts))
            draw = (row["bill_id"], row["bill_date"], row["account_id"], "BALANCE", fund, D(drawn), AT)
            draws = pl.DataFrame([draw] if drawn > 0 else [], schema=DRAWS, orient="row")
            self.ledger = with_draws(self.ledger, [row["bill_id"]], draws)
        ids = bills["bill_id"].implode()
        self.bases = [(own.filter(~pl.col("bill_id").is_in(ids)), basis) for own, basis in self.bases]
        self.bases.append((bills, self.ledger))

    def settled(self) -> list[str]:
        """Let the bills follow whose ground has moved; which did, in order."""
        followed: list[str] = []
        while moved := moved_bills(self.funds, self.bases, self.ledger):
            followed += moved
            self.calculated(self.bills.filter(pl.col("bill_id").is_in(moved)))
        return followed

    def drawn(self) -> dict[str, int]:
        return {row["bill_id"]: -int(row["amount"]) for row in self.ledger.iter_rows(named=True)}


BILLS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=8)


@settings(max_examples=25)
@given(st.integers(0, 100), BILLS, st.lists(st.lists(st.integers(0, 7), max_size=4), max_size=4), st.randoms(use_true_random=False))
def test_bills_settle_where_all_in_their_order_would(credit: int, bills: list[Bill], jobs: list[list[int]], random: object) -> None:
    books = Books(credit, bills)
    # First every bill once, in any order, then some again that want something else by now.
    order = list(range(len(bills)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for job in [[number] for number in order] + jobs:
        for number in job:
            if number < len(bills) and job in jobs:
                books.wanted[f"bill {number}"] = (books.wanted[f"bill {number}"] * 7 + number) % 61
        books.calculated(books.bills.filter(pl.col("bill_id").is_in([f"bill {number}" for number in job])))
        followed = books.settled()
        places = {row["bill_id"]: (row["account_id"], row["bill_date"], row["bill_id"]) for row in books.bills.iter_rows(named=True)}
        for account in books.accounts:
            own = [places[i] for i in followed if places[i][0] == account]
            assert all(one < other for one, other in pairwise(own)), "no bill follows twice, none before an earlier one"
    ideal = Books(credit, bills)
    ideal.wanted = books.wanted
    ideal.calculated(ideal.bills)
    assert books.drawn() == ideal.drawn()
    assert books.settled() == []
    for account in books.accounts:
        total = sum(drawn for bill_id, drawn in books.drawn().items() if bills[int(bill_id.split()[1])][0] == account)
        assert total <= credit


def test_what_can_not_follow_keeps_what_it_drew() -> None:
    books = Books(100, [("a", 0, 60), ("a", 1, 60)])
    books.calculated(books.bills)
    assert books.drawn() == {"bill 0": 60, "bill 1": 40}
    books.wanted["bill 0"] = 90
    books.ledger = with_locked(books.ledger, ["bill 1"])
    books.calculated(books.bills.head(1))
    assert books.drawn() == {"bill 0": 60, "bill 1": 40}


def test_nothing_moves_in_an_empty_ledger() -> None:
    nothing = pl.DataFrame(schema=LEDGER)
    books = Books(0, [("a", 0, 1)])
    assert moved_bills(books.funds, [(books.bills, nothing.clone())], nothing) == []
    assert moved_bills(books.funds, [], nothing) == []
    assert with_locked(nothing, ["x"]).schema == nothing.schema
