"""Plays one scenario (a YAML document of these files) against a server, through the official SDK.

A step is one key with what it needs: ``create``, ``post``, ``put``, ``get``, ``delete`` (a path below the organization),
``submit``, ``bill``, ``query``, or a look at the answers: ``expect`` (rows of the query), ``expect_body``, ``expect_bill``,
``expect_no_bill``. ``as`` names an answer for ``${name.path}``; ``error`` says which refusal must come instead.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from m3ter import APIStatusError, M3ter

from tests.waiting import eventually

REFERENCE = re.compile(r"\$\{([^}]+)\}")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
VISIBLE_SECONDS = 15.0
JOB_SECONDS = 120.0
#: What tells the bills of one account apart, and what is compared apart from the lines.
BILL_KEYS = ("startDate", "endDate", "billDate", "billingFrequency", "currency")


class Scenario:
    """One scenario and the answers so far.

    Args:
        case: The YAML document.
        client: The SDK, with the key of an organization of the scenario's own.
    """

    def __init__(self, case: dict[str, Any], client: M3ter) -> None:
        self.case = case
        self.client = client
        self.quantum = Decimal(1).scaleb(-int(case.get("decimals", 6)))
        self.names: dict[str, Any] = {}
        self.answer: Any = None
        self.asked: Any = None

    def play(self) -> None:
        """Take every step; an AssertionError names the one that went otherwise."""
        for number, step in enumerate(self.case["steps"], 1):
            verb = next(iter(step))
            try:
                self._take(verb, step)
            except AssertionError as problem:
                raise AssertionError(f"{self.case['name']}, step {number} ({verb}): {problem}") from None

    def _take(self, verb: str, step: dict[str, Any]) -> None:
        wanted = step.get("error")
        refusal = None
        try:
            getattr(self, f"_{verb}")(self._filled(step[verb]), step)
        except APIStatusError as error:
            refusal = error
        if refusal is not None:
            allowed = wanted if isinstance(wanted, list) else [wanted]
            assert refusal.status_code in allowed, f"HTTP {refusal.status_code}, wanted {wanted}: {refusal.response.text[:800]}"
            assert refusal.response.json()["message"], "a refusal without a message"
            return
        assert wanted is None, f"it was accepted, wanted HTTP {wanted}: {json.dumps(self.answer)[:800]}"
        if "as" in step:
            self.names[step["as"]] = self.answer

    def _filled(self, value: Any) -> Any:
        """The value with every ``${name.path}`` looked up and every YAML date spelled out."""
        if isinstance(value, dict):
            return {key: self._filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner) for inner in value]
        if isinstance(value, date):
            return value.isoformat().replace("+00:00", "Z")
        if not isinstance(value, str):
            return value
        whole = REFERENCE.fullmatch(value)
        return self._named(whole[1]) if whole else REFERENCE.sub(lambda found: str(self._named(found[1])), value)

    def _named(self, path: str) -> Any:
        first, *rest = path.split(".")
        found = self.names[first]
        for key in rest:
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found

    def _call(self, method: str, path: str, body: Any = None, params: dict[str, Any] | None = None) -> Any:
        url = f"/organizations/{self.client.org_id}/{path}"
        given: dict[str, Any] = {} if body is None else {"body": body}
        return getattr(self.client, method)(url, cast_to=object, options={"params": params or {}}, **given)

    def _create(self, path: str, step: dict[str, Any]) -> None:
        self.answer = self._call("post", path, self._filled(step.get("body", {})))

    _post = _create

    def _put(self, path: str, step: dict[str, Any]) -> None:
        self.answer = self._call("put", path, self._filled(step.get("body", {})))

    def _get(self, path: str, step: dict[str, Any]) -> None:
        self.answer = self._call("get", path, params=self._filled(step.get("params", {})))

    def _delete(self, path: str, _step: dict[str, Any]) -> None:
        self.answer = self._call("delete", path)

    def _submit(self, measurements: list[dict[str, Any]], _step: dict[str, Any]) -> None:
        rows = []
        for measurement in measurements:
            times = measurement.pop("times", 1)
            uid = measurement.get("uid") or str(uuid.uuid4())
            rows += [measurement | {"uid": uid if times == 1 else f"{uid}-{number}"} for number in range(times)]
        for at in range(0, len(rows), 1000):
            self.answer = self._call("post", "measurements", {"measurements": rows[at : at + 1000]})

    def _bill(self, request: dict[str, Any], _step: dict[str, Any]) -> None:
        job = self._call("post", "billjobs", request)

        def ended() -> bool:
            self.answer = self._call("get", f"billjobs/{job['id']}")
            return self.answer["status"] in ("COMPLETE", "CANCELLED")

        eventually(ended, seconds=JOB_SECONDS, why=lambda: f"the bill job is {self.answer['status']}")

    def _query(self, query: dict[str, Any], _step: dict[str, Any]) -> None:
        self.asked = query
        self.answer = self._call("post", "usage/query", query)

    def _expect(self, rows: list[dict[str, Any]], _step: dict[str, Any]) -> None:
        problem = ""

        def shows() -> bool:
            nonlocal problem
            problem = self._unmatched(rows, self.answer["data"], wholly=True)
            if problem:
                self._query(self.asked, {})
            return not problem

        with suppress(AssertionError):
            eventually(shows, seconds=VISIBLE_SECONDS)
        assert not problem, problem

    def _expect_body(self, part: dict[str, Any], _step: dict[str, Any]) -> None:
        assert self._alike(part, self.answer), f"wanted {json.dumps(part)} in {json.dumps(self.answer)[:1500]}"

    def _expect_bill(self, wanted: dict[str, Any], _step: dict[str, Any]) -> None:
        bill = self._bill_of(wanted)
        assert bill is not None, f"there is no bill like {json.dumps(wanted)[:300]}"
        self.answer = bill
        rest = {key: value for key, value in wanted.items() if key not in ("account", "total", "lineItems", "someLineItems")}
        if "total" in wanted:
            rest["billTotal"] = wanted["total"]
        got = {key: bill.get(key) for key in rest}
        lines = [{key: line.get(key) for key in ("lineItemType", "description", "units", "subtotal")} for line in bill["lineItems"]]
        assert self._alike(rest, bill), f"wanted {rest}, the bill of {wanted['account']} has {got}; its lines: {json.dumps(lines)[:1500]}"
        for key, wholly in (("lineItems", True), ("someLineItems", False)):
            if key in wanted:
                problem = self._unmatched(wanted[key], bill["lineItems"], wholly=wholly)
                assert not problem, f"{wanted['account']}: {problem}"

    def _expect_no_bill(self, wanted: dict[str, Any], _step: dict[str, Any]) -> None:
        bill = self._bill_of(wanted)
        assert bill is None, f"there is a bill of {wanted['account']}: {json.dumps(bill)[:800]}"

    def _bill_of(self, wanted: dict[str, Any]) -> Any:
        accounts = self._call("get", "accounts", params={"codes": wanted["account"]})["data"]
        assert accounts, f"there is no account {wanted['account']}"
        bills = self._call("get", "bills", params={"accountId": accounts[0]["id"], "pageSize": 100})["data"]
        keys = {key: wanted[key] for key in BILL_KEYS if key in wanted}
        found = [bill for bill in bills if self._alike(keys, bill)]
        assert len(found) < 2, f"{len(found)} bills match {keys}"
        return self._call("get", f"bills/{found[0]['id']}") if found else None

    def _unmatched(self, wanted: Iterable[dict[str, Any]], got: Iterable[Any], *, wholly: bool) -> str:
        left = list(got)
        for want in wanted:
            partner = next((one for one in left if self._alike(want, one)), None)
            if partner is None:
                return f"nothing is like {json.dumps(want)}; left: {json.dumps(left)[:1500]}"
            left.remove(partner)
        return f"too much: {json.dumps(left)[:1500]}" if wholly and left else ""

    def _alike(self, want: Any, got: Any) -> bool:
        """True when ``got`` has at least what ``want`` has; numbers to the scenario's decimals, days as the start of an instant."""
        kinds: tuple[tuple[type, Callable[[], bool]], ...] = (
            (dict, lambda: all(self._alike(value, got.get(key)) for key, value in want.items())),
            (list, lambda: len(want) == len(got) and all(map(self._alike, want, got))),
        )
        for kind, alike in kinds:
            if isinstance(want, kind):
                return isinstance(got, kind) and alike()
        if isinstance(want, str) and isinstance(got, str) and DAY.match(want):
            return got.replace("+00:00", "Z").startswith(want.rstrip("Z"))
        a, b = self._number(want), self._number(got)
        return want == got if a is None or b is None else a.quantize(self.quantum) == b.quantize(self.quantum)

    def _number(self, value: Any) -> Decimal | None:
        if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value)):
            return None
        try:
            return None if value is None else Decimal(str(value))
        except InvalidOperation:
            return None
