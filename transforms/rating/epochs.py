"""Which epoch a plan's billing periods are counted from when neither account plan nor account has one of its own.

Put here the precedence of bill job and organization, and what an epoch means that nobody chose. Keep out the arithmetic
(``transforms/periods.py``). Source: billing.md 2.2, DECISIONS 27.
"""

from datetime import date

from transforms.entities.organization import OrganizationConfig
from transforms.entities.resource import BillingFrequency
from transforms.periods import Schedule, anchored
from transforms.rating.run import BillRun

_FIELDS = {
    BillingFrequency.DAILY: "day_epoch",
    BillingFrequency.WEEKLY: "week_epoch",
    BillingFrequency.MONTHLY: "month_epoch",
    BillingFrequency.ANNUALLY: "year_epoch",
}


def general_epoch(frequency: BillingFrequency, interval: int, organization: OrganizationConfig, run: BillRun | None = None) -> date:
    """The epoch of the bill job, else of the organization, for a schedule.

    An epoch that somebody set is a date before which nothing is billed: a plan that starts earlier has one long first
    period up to it. The epochs that an organization is born with (2022) say no such thing: they only fix the phase, so
    that months begin on the 1st, weeks on Monday, quarters in January, April, July and October. Such an epoch is moved
    back by whole periods, so that usage of any year is billed in regular periods. An organization that sets an epoch to
    the very date it is born with has not changed it.
    """
    field = _FIELDS[frequency]
    of_job = getattr(run, field, None)
    if isinstance(of_job, date):
        return of_job
    of_organization: date = getattr(organization, field)
    is_untouched = of_organization == OrganizationConfig.model_fields[field].default
    return anchored(Schedule(frequency, interval, of_organization)) if is_untouched else of_organization
