"""Where the embedded PostgreSQL keeps what, below the home folder; names only, nothing runs here."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from transforms.errors import Unavailable

#: The superuser and the database, both of this name.
ROLE = "meterhouse"
#: Only a part of the socket's name: the server listens on no TCP port.
PORT = 5432
#: The longest path of a Unix socket is 107 bytes on Linux and 103 on macOS.
_LONGEST_SOCKET_PATH = 103


class PostgresFiles:
    """The paths of one home's server.

    Args:
        home: Absolute path of the home folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "postgres"
        self.data = self.root / "data"
        self.new_data = self.root / "data.new"
        self.log = self.root / "postgres.log"
        self.failure = self.root / "failure.txt"
        self.start_lock = self.root / "start.lock"
        self.users_lock = self.root / "users.lock"
        self.keeper_lock = self.root / "keeper.lock"

    @property
    def socket_directory(self) -> Path:
        """The folder of the socket: inside the home, or a short one in the temporary folder when that path would be too long."""
        inside = self.root / "socket"
        if len(os.fsencode(inside / f".s.PGSQL.{PORT}.lock")) <= _LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"meterhouse-{os.getuid()}-{digest}"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            Unavailable: It belongs to somebody else, or can't be written.
        """
        try:
            self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
            for lock in (self.start_lock, self.users_lock, self.keeper_lock):
                with lock.open("a"):
                    pass
        except OSError as error:
            raise Unavailable(
                f"the home folder {self.home} can't be used ({error.strerror}: {error.filename}); choose another with --home or METERHOUSE_HOME, "
                "or run as the user that made it"
            ) from error

    def prepare_socket_directory(self, uid: int, gid: int) -> Path:
        """Make the folder of the socket, open to its owner alone; only they can connect.

        Raises:
            Unavailable: Somebody else made it before us.
        """
        folder = self.socket_directory
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (uid, os.getuid()):
            raise Unavailable(f"{folder} belongs to somebody else; remove it")
        os.chown(folder, uid, gid)
        folder.chmod(0o700)
        return folder
