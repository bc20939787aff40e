"""The lock under which an organization's bills, their state and the ledger change.

It comes before that of the configuration wherever both are taken. Put here the lock alone, so that everybody can take it.
"""

import sqlalchemy as sa
from sqlalchemy import Connection

#: Seed of the advisory locks that let one job of an organization at a time write headers, or one change of the lock date.
WRITES = 0x6D68_1003


def held(connection: Connection, org_id: str, *, shared: bool = True) -> None:
    """Keep the bill lock date as it is until the transaction ends.

    Jobs that write headers, changes of the date, and whoever writes or deletes what bills draw from hold it alone; whoever
    changes the state of single bills shares it.
    """
    function = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
    connection.execute(sa.select(function(sa.func.hashtextextended(org_id, WRITES))))
