"""The lake of an API process: opened once, so that its table handles stay warm."""

from functools import cache

from api.dependencies import State
from pipelines.storage.lake import Lake


@cache
def _opened(root: str, options: tuple[tuple[str, str], ...]) -> Lake:
    return Lake(root, dict(options))


def lake_of(state: State) -> Lake:
    """The lake that the process's settings name."""
    return _opened(state.settings.lake_root, tuple(sorted(state.settings.lake_options.items())))
