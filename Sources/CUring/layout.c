// Proofs that the layouts this shim relies on are the kernel's.
#define _GNU_SOURCE
#include "curing.h"

#include <poll.h>

_Static_assert(sizeof(struct io_uring_sqe) == 64, "a submission is 64 bytes");
_Static_assert(sizeof(struct io_uring_cqe) == 16, "a completion is 16 bytes");
_Static_assert(sizeof(struct curing_completion) == 16, "a copied completion is no larger");
_Static_assert(offsetof(struct io_uring_sqe, addr2) == 8, "the address of a send lies in addr2");
_Static_assert(offsetof(struct io_uring_sqe, addr_len) == 44, "the address length of a send lies in the file-index word");
_Static_assert(sizeof(struct io_uring_recvmsg_out) == 16, "a multishot receive writes 16 bytes first");
_Static_assert(POLLOUT == 0x0004 && POLLERR == 0x0008 && POLLHUP == 0x0010, "the poll events of curing_watch_writable");
