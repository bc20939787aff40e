"""Rules of contracts: dates, their account, and the fields that their usage filters name. Source: billing.md 6.2."""

from collections.abc import Iterator, Sequence

from transforms.entities.contracts import Contract
from transforms.entities.resource import CODES, IDS, Filter, Neighbours, Resource, refuse
from transforms.entities.usage import Meter

Problems = Iterator[tuple[bool, str, str]]


def contract_problems(contract_id: str | None, account_id: str, neighbours: Neighbours) -> Problems:
    """What is wrong with the contract that something of an account names."""
    contract = neighbours.entity(Contract, contract_id) if contract_id is not None else None
    yield (
        contract is not None and contract.account_id != account_id,
        "contractId",
        (
            f"contract {contract.code or contract.name if contract else ''} is a contract of account {contract.account_id if contract else ''}; "
            f"give a contract of account {account_id}, or none"
        ),
    )


def _checked(contract: Contract | None, neighbours: Neighbours, previous: Contract | None) -> Contract | None:
    if contract is not None:
        meters = neighbours.entities(Meter) if contract.usage_filters else []
        refuse((*_own_problems(contract, previous), *_filter_problems(contract, meters)))
    return contract


def _own_problems(contract: Contract, previous: Contract | None) -> Problems:
    yield (
        contract.end_date <= contract.start_date,
        "endDate",
        "endDate must be after startDate: the contract holds from startDate until the day before endDate",
    )
    yield (
        previous is not None and contract.account_id != previous.account_id,
        "accountId",
        f"accountId can't change: the contract was made with account {previous.account_id if previous else ''}; create another one",
    )


def filter_problem(contract: Contract, meters: Sequence[Meter]) -> str | None:
    """What the contract's usage filters name that these meters do not have; None when they have it all."""
    return next((message for is_wrong, _, message in _filter_problems(contract, meters) if is_wrong), None)


def _filter_problems(contract: Contract, meters: Sequence[Meter]) -> Problems:
    known = sorted({field.code for meter in meters for field in meter.data_fields if not field.category.is_numeric})
    for index, usage_filter in enumerate(contract.usage_filters):
        yield (
            usage_filter.dimension_code not in known,
            f"usageFilters[{index}].dimensionCode",
            f"no meter has a string field {usage_filter.dimension_code!r} among its data fields (there are {', '.join(known[:20]) or 'none'})",
        )


RESOURCES = (
    Resource(
        Contract,
        "contracts",
        unique=(("code",),),
        filters=IDS | CODES | {"accountId": Filter("account_id", "equal")},
        check=_checked,
    ),
)
