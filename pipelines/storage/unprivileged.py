"""Running a program under an OS user without rights, for PostgreSQL, which refuses to run as root.

When root's folders are closed to others (``/root`` is 0700 nearly everywhere) the program could not even reach its own
files. It then keeps one capability, to pass such folders, and nothing else of root's powers.
"""

import ctypes
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transforms.errors import Unavailable

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
#: Capabilities stay as they are when the user changes, also while access(2) is answered, which PostgreSQL asks for its own files.
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION = 0x2008_0522
#: Passing closed folders: to read and search only, or (the one that containers grant) whatever the mode bits say.
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


@dataclass(frozen=True)
class OsUser:
    """An entry of the password file."""

    name: str
    uid: int
    gid: int


def os_user(name: str) -> OsUser:
    """The user that shall run PostgreSQL: ourselves, or ``name`` when we are root, made when it does not exist.

    Raises:
        Unavailable: It can't be made.
    """
    if os.geteuid() != 0:
        return OsUser(str(os.geteuid()), os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        entry = _added(name)
    if entry.pw_uid == 0:
        raise Unavailable(f"PostgreSQL refuses to run as root; METERHOUSE_POSTGRES_USER={name} is root under another name")
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _added(name: str) -> pwd.struct_passwd:
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    options = ("--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false")
    try:
        subprocess.run([useradd, *options, name], check=True, capture_output=True)
        return pwd.getpwnam(name)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        said = error.stderr.decode().strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise Unavailable(
            f"PostgreSQL refuses to run as root and the OS user {name!r} can't be made ({said}); run Meterhouse as another user, "
            "name an existing one in METERHOUSE_POSTGRES_USER, or use an external database with METERHOUSE_DATABASE_URL"
        ) from error


def can_reach(user: OsUser, path: Path) -> bool:
    """Whether the user may pass all folders above ``path``, by their mode bits."""
    for folder in path.resolve().parents:
        status = folder.stat()
        needed = stat.S_IXUSR if status.st_uid == user.uid else stat.S_IXGRP if status.st_gid == user.gid else stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def becoming(user: OsUser, *, reaching: tuple[Path, ...], death_signal: signal.Signals | None = None) -> Callable[[], None]:
    """What a child does between fork and exec to become the user (for ``subprocess``'s preexec_fn).

    Args:
        user: Whom to become; ourselves changes nothing.
        reaching: Paths that it must be able to reach.
        death_signal: What it is sent when the thread that started it dies (Linux).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    is_root = os.geteuid() == 0
    keeps = is_root and not all(can_reach(user, path) for path in reaching)
    on_linux = sys.platform == "linux"

    def become() -> None:
        if is_root:
            if keeps and on_linux:
                libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
            if keeps and on_linux:
                _keep_one(libc)
        os.umask(0o077)
        if death_signal is not None and on_linux:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)

    return become


def _keep_one(libc: ctypes.CDLL) -> None:
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        only = 1 << capability
        sets = (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)
        if libc.capset(header, sets) == 0 and libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0:
            return
