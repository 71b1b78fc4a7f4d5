"""Runs a program in a world where system calls are forbidden, as in most containers and other sandboxes.

python3 forbidding.py WHAT[,WHAT…] PROGRAM [ARGUMENTS…]

Installs a seccomp filter by which what is named below fails, then becomes PROGRAM.
"""
import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SETSOCKOPT = {"x86_64": 54, "aarch64": 208}
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
# Name: (the call's number, level and option if it is setsockopt, the error number that it fails with). io_uring's numbers are the same
# on every architecture.
CALLS = {
    "io_uring": (425, None, errno.EPERM),
    "io_uring_enter": (426, None, errno.EPERM),
    "sendmmsg": ({"x86_64": 307, "aarch64": 269}[platform.machine()], None, errno.ENOSYS),
    "recvmmsg": ({"x86_64": 299, "aarch64": 243}[platform.machine()], None, errno.ENOSYS),
    "UDP_SEGMENT": (SETSOCKOPT[platform.machine()], (SOL_UDP, UDP_SEGMENT), errno.ENOPROTOOPT),
    "UDP_GRO": (SETSOCKOPT[platform.machine()], (SOL_UDP, UDP_GRO), errno.ENOPROTOOPT),
}


def filter_for(names):
    """The filter's lines."""
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    number, architecture, argument = 0, 4, lambda place: 16 + 8 * place  # struct seccomp_data
    lines = [(load, 0, 0, architecture), (equal, 1, 0, AUDIT_ARCH[platform.machine()]), (give, 0, 0, SECCOMP_RET_ALLOW)]
    for name in names:
        call, option, error = CALLS[name]
        lines += [(load, 0, 0, number), (equal, 0, 5 if option else 1, call)]
        if option:
            lines += [(load, 0, 0, argument(1)), (equal, 0, 3, option[0]), (load, 0, 0, argument(2)), (equal, 0, 1, option[1])]
        lines += [(give, 0, 0, SECCOMP_RET_ERRNO | error)]
    return lines + [(give, 0, 0, SECCOMP_RET_ALLOW)]


def main():
    names = sys.argv[1].split(",")
    program = filter_for(names)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
        sys.exit(f"cannot install the filter: {os.strerror(ctypes.get_errno())}")
    for name in names:
        call, option, error = CALLS[name]
        if libc.syscall(call, -1, *(option or (0, 0)), 0, 0, 0) != -1 or ctypes.get_errno() != error:
            sys.exit(f"the filter does not forbid {name}")
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
