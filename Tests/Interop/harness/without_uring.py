"""Runs a program in a world where io_uring is forbidden, as in most containers.

python3 without_uring.py PROGRAM [ARGUMENTS…]

Installs a seccomp filter by which io_uring_setup fails with EPERM, then becomes PROGRAM.
"""
import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
IO_URING_SETUP = 425  # the same number on every architecture
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def main():
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    program = [
        (load, 0, 0, 4), (equal, 0, 3, AUDIT_ARCH[platform.machine()]),
        (load, 0, 0, 0), (equal, 0, 1, IO_URING_SETUP),
        (give, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM), (give, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
        sys.exit(f"cannot install the filter: {os.strerror(ctypes.get_errno())}")
    if libc.syscall(IO_URING_SETUP, 1, 0) != -1 or ctypes.get_errno() != errno.EPERM:
        sys.exit("the filter does not forbid io_uring_setup")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
