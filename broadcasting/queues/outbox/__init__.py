"""Jobs in the database of the project: recorded with the data they tell of, relayed afterwards.

``queue`` records, ``rows`` knows the table, ``relay`` hands on what was committed, ``beside``
does so in a server process. Knows nothing of what the jobs do.
"""

from broadcasting.queues.outbox.queue import OutboxQueue

__all__ = ["OutboxQueue"]
