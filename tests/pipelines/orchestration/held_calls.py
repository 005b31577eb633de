"""Hold each change of a file's name, and each sync, before it happens: a kill then comes between two of them.

By seccomp's user notification, not by strace: the kernel itself holds the calling thread until it is answered, however
busy the machine is, nobody has to be root, and no other call gets slower. See seccomp_unotify(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import select
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IS_KNOWN = (platform.system(), platform.machine()) == ("Linux", "x86_64")
# The number of each call, its name, and its arguments: a [d]escriptor, a [p]ath, or something else.
CALLS = {
    74: ("fsync", "d"),
    75: ("fdatasync", "d"),
    82: ("rename", "pp"),
    84: ("rmdir", "p"),
    86: ("link", "pp"),
    87: ("unlink", "p"),
    88: ("symlink", "-p"),
    263: ("unlinkat", "dp"),
    264: ("renameat", "dpdp"),
    265: ("linkat", "dpdp"),
    266: ("symlinkat", "-dp"),
    316: ("renameat2", "dpdp"),
}
HERE = (1 << 32) - 100  # AT_FDCWD, as 32 bits
_NO_NEW_PRIVILEGES = 38
_SECCOMP, _SET_FILTER, _NEW_LISTENER = 317, 1, 8
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


@dataclass(frozen=True)
class Call:
    """What is about to happen, and to which paths."""

    name: str
    paths: tuple[str, ...]


def listen() -> int:
    """Have this process's calls held from now on, and those of its threads to come; give what they are told to."""
    code = [struct.pack("HBBI", _LOAD, 0, 0, 0)]
    code += [struct.pack("HBBI", _JUMP_IF_EQUAL, len(CALLS) - place, 0, call) for place, call in enumerate(CALLS)]
    code += [struct.pack("HBBI", _RETURN, 0, 0, answer) for answer in (_ALLOW, _NOTIFY)]
    instructions = ctypes.create_string_buffer(b"".join(code))
    program = ctypes.create_string_buffer(struct.pack("HP", len(code), ctypes.addressof(instructions)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener: int = libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def held(listener: int) -> Iterator[Call]:
    """Give each call while it is held; it happens when the next one is asked for. Ends with the process."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    while not waiting.poll()[0][1] & select.POLLHUP:
        told = bytearray(80)
        with suppress(FileNotFoundError):  # the process has died meanwhile
            fcntl.ioctl(listener, _RECEIVE, told)
            told_id, thread, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", told)
            name, letters = CALLS[number]
            yield Call(name, tuple(_paths(thread, letters, arguments)))
            fcntl.ioctl(listener, _SEND, struct.pack("QqiI", told_id, 0, 0, _CONTINUE))


def _paths(thread: int, letters: str, arguments: list[int]) -> Iterator[str]:
    """Read the paths that a held call names, whole."""
    folder = None
    for letter, argument in zip(letters, arguments, strict=False):
        if letter == "d":
            number = argument & 0xFFFFFFFF
            folder = Path(f"/proc/{thread}", "cwd" if number == HERE else f"fd/{number}").readlink()
        elif letter == "p":
            with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
                memory.seek(argument)
                text = memory.read(4096).split(b"\0")[0]
            yield str((folder or Path(f"/proc/{thread}/cwd").readlink()) / os.fsdecode(text))
    if letters == "d":
        yield str(folder)
