"""A system call filter for bubblewrap: no further namespaces, no kernel doors that the namespaces leave open.

Besides what needs rights it bars memory that no limit counts (memfd, System V shared memory), key rings, which all
processes of a user share, and socket families that a network namespace does not hold back, such as vsock.
"""

from __future__ import annotations

import errno
import platform
import struct

# Numbers on (x86-64, arm64), from the kernel's unistd headers.
_DENIED = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "syslog": (103, 116),
    "personality": (135, 92),
}
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_NEW_NAMESPACES = 0x7E020000
_UNIX_INET_INET6 = (1, 2, 10)
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_LOAD, _RETURN, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x20, 0x06, 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16


def syscall_filter(machine: str | None = None) -> bytes | None:
    """Return the filter as a BPF program for `--seccomp`, for this machine or "x86_64" / "aarch64"; None elsewhere."""
    known = _ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    column, architecture = known
    program = [
        _step(_LOAD, _ARCHITECTURE),
        # Another architecture's calls (32-bit programs) have other numbers.
        _step(_IF_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_IF_AT_LEAST, _X32, 0, 1),
        _refused(errno.EPERM),
        # Its flags lie in memory, out of a filter's sight; the C library then takes clone.
        _step(_IF_EQUAL, _CLONE3[column], 0, 1),
        _refused(errno.ENOSYS),
    ]
    for numbers in _DENIED.values():
        program += [_step(_IF_EQUAL, numbers[column], 0, 1), _refused(errno.EPERM)]
    program += [
        _step(_IF_EQUAL, _CLONE[column], 0, 4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_IF_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _refused(errno.EPERM),
        _step(_RETURN, _ALLOW),
        _step(_IF_EQUAL, _SOCKET[column], 0, 5),
        _step(_LOAD, _FIRST_ARGUMENT),
        *(_step(_IF_EQUAL, family, 3 - at, 0) for at, family in enumerate(_UNIX_INET_INET6)),
        _refused(errno.EAFNOSUPPORT),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refused(number: int) -> bytes:
    return _step(_RETURN, 0x00050000 | number)
