"""Who serves a home folder: at most one ``meterhouse serve``, which holds a lock and writes down its addresses."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.storage.settings import Settings
from transforms.errors import Refused


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """Held while this home is served; falls with the process.

    Raises:
        Refused: Somebody else serves it.
    """
    with (settings.home / "serve.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"the home folder {settings.home} is served already; stop that server, or choose another folder with --home") from error
        yield


def is_served(settings: Settings) -> bool:
    """Whether a server runs in this home at the moment."""
    try:
        with (settings.home / "serve.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
