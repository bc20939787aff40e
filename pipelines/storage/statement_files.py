"""The documents of statements: files beside the lake's tables, ``org=<organization>/statements/<bill>/<job>.<format>``.

The lake is the one place that API processes and workers on any machine share. Put here how a document is kept durably and
read. Keep out what it says and who may read it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from deltalake._internal import DeltaFileSystemHandler

from pipelines.storage.lake import Lake
from transforms.errors import NotFound


@dataclass(frozen=True)
class StatementFile:
    """Which document: of which bill and job, in which format (json or csv)."""

    org_id: str
    bill_id: str
    job_id: str
    format: str

    @property
    def path(self) -> str:
        """Its place below the lake's root."""
        return f"org={self.org_id}/statements/{self.bill_id}/{self.job_id}.{self.format}"


def kept(lake: Lake, file: StatementFile, content: bytes) -> None:
    """Keep the document; on the disk when this returns. Keeping it again replaces it as a whole."""
    if "://" in lake.root:
        stream = DeltaFileSystemHandler(lake.root, lake.storage_options).open_output_stream(file.path)
        stream.write(content)
        stream.close()  # type: ignore[attr-defined]  # it has one, its stub has not
        return
    target = Path(lake.root) / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of this attempt's own: two attempts of one job write the same document.
    draft = target.with_name(f".{target.name}.{os.getpid()}.{id(content)}")
    with draft.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def content(lake: Lake, file: StatementFile) -> bytes:
    """The document.

    Raises:
        NotFound: It is not there (any more).
    """
    try:
        if "://" in lake.root:
            opened = DeltaFileSystemHandler(lake.root, lake.storage_options).open_input_file(file.path)
            return bytes(opened.read(opened.size()))
        return (Path(lake.root) / file.path).read_bytes()
    except FileNotFoundError:
        raise NotFound("The document of statement job", file.job_id) from None
