#define _GNU_SOURCE
#include "forbidding.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum { LINES_MAX = 128, NUMBERS_MAX = 2 };

/// The system's numbers of a call: the C library may use an older or a newer one.
static int numbers(int call, int out[NUMBERS_MAX]) {
    switch (call) {
    case FORBIDDING_RING_SETUP: out[0] = __NR_io_uring_setup; return 1;
    case FORBIDDING_RING_ENTER: out[0] = __NR_io_uring_enter; return 1;
    case FORBIDDING_RING_REGISTER: out[0] = __NR_io_uring_register; return 1;
    case FORBIDDING_SENDMMSG: out[0] = __NR_sendmmsg; return 1;
    case FORBIDDING_RECVMMSG: out[0] = __NR_recvmmsg; return 1;
    case FORBIDDING_SENDMSG: out[0] = __NR_sendmsg; return 1;
    case FORBIDDING_RECVMSG: out[0] = __NR_recvmsg; return 1;
    case FORBIDDING_SETSOCKOPT: out[0] = __NR_setsockopt; return 1;
    case FORBIDDING_EPOLL_CREATE: out[0] = __NR_epoll_create1; return 1;
    case FORBIDDING_EPOLL_WAIT:
        out[0] = __NR_epoll_pwait;
#ifdef __NR_epoll_wait
        out[1] = __NR_epoll_wait;
        return 2;
#else
        return 1;
#endif
    case FORBIDDING_BIND: out[0] = __NR_bind; return 1;
    default: return 0;
    }
}

static const unsigned number_place = offsetof(struct seccomp_data, nr);
static const unsigned architecture_place = offsetof(struct seccomp_data, arch);

/// The lower half of an argument.
static unsigned argument_place(int argument) {
    return offsetof(struct seccomp_data, args) + (unsigned)argument * 8;
}

int forbidding_forbid(const struct forbidding_rule *rules, int count) {
    struct sock_filter lines[LINES_MAX];
    int used = 0;
    lines[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, architecture_place);
    lines[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    lines[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    for (int rule = 0; rule < count; rule++) {
        int calls[NUMBERS_MAX];
        int found = numbers(rules[rule].call, calls);
        for (int call = 0; call < found; call++) {
            if (used + 8 > LINES_MAX) return -E2BIG;
            int is_option = rules[rule].level >= 0;
            lines[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_place);
            lines[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[call], 0, is_option ? 5 : 1);
            if (is_option) {
                lines[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_place(1));
                lines[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)rules[rule].level, 0, 3);
                lines[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_place(2));
                lines[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)rules[rule].option, 0, 1);
            }
            lines[used++] =
                (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)rules[rule].error & SECCOMP_RET_DATA));
        }
    }
    lines[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)used, .filter = lines};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) return -errno;
    return 0;
}
