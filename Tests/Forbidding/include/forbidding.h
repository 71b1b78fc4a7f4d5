/// System calls that fail on one thread, as a sandbox would have them fail: a seccomp filter.
#ifndef WEIR_FORBIDDING_H
#define WEIR_FORBIDDING_H

/// Which call fails, and how.
struct forbidding_rule {
    /// One of the calls below.
    int call;
    /// setsockopt: only for this level and option; -1: for all.
    int level, option;
    /// The error number that it fails with.
    int error;
};

enum {
    FORBIDDING_RING_SETUP,
    FORBIDDING_RING_ENTER,
    FORBIDDING_RING_REGISTER,
    FORBIDDING_SENDMMSG,
    FORBIDDING_RECVMMSG,
    FORBIDDING_SENDMSG,
    FORBIDDING_RECVMSG,
    FORBIDDING_SETSOCKOPT,
    FORBIDDING_EPOLL_CREATE,
    FORBIDDING_EPOLL_WAIT,
    FORBIDDING_BIND,
};

/// Has calls fail on the calling thread, and on those that it makes from now on. It cannot be undone: for a thread of its own. 0, or a
/// negative error number.
int forbidding_forbid(const struct forbidding_rule *rules, int count);

#endif
