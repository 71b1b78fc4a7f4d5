// TCP sinks. A filter cannot discard here, it would never acknowledge; so another process reads, and throws away.
#define _GNU_SOURCE
#include "csinks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// Written by the reading process.
struct csinks_tcp_shared {
    _Atomic uint64_t bytes;
    _Atomic uint64_t cpu_ns;
};

// After fork() in a process that may have threads only async-signal-safe calls are allowed: no allocation in here.
static _Noreturn void read_and_discard(struct csinks_tcp_shared *shared, int *far, uint32_t count, uint64_t sweep_ns) {
    for (;;) {
        uint64_t started = csinks_monotonic_ns(), bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (far[i] < 0) continue;
            ssize_t got = recv(far[i], NULL, 1u << 30, MSG_TRUNC | MSG_DONTWAIT);
            if (got > 0) bytes += (uint64_t)got;
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) far[i] = -1;
        }
        atomic_fetch_add_explicit(&shared->bytes, bytes, memory_order_relaxed);
        struct timespec cpu;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
        atomic_store_explicit(&shared->cpu_ns, (uint64_t)cpu.tv_sec * 1000000000ull + (uint64_t)cpu.tv_nsec, memory_order_relaxed);
        uint64_t took = csinks_monotonic_ns() - started;
        if (took < sweep_ns) csinks_sleep_ns(sweep_ns - took);
    }
}

// Everything but these: what another thread of the process closes has to be closed, and not be held open by the one that reads here.
static void close_others(const uint8_t *kept, int last) {
    for (int descriptor = STDERR_FILENO + 1; descriptor <= last; descriptor++)
        if (!kept[descriptor]) close(descriptor);
    syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0);
}

static int listening(struct sockaddr_in *address) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof *address;
    if (bind(descriptor, (struct sockaddr *)address, length) < 0 || listen(descriptor, 64) < 0
        || getsockname(descriptor, (struct sockaddr *)address, &length) < 0) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    return descriptor;
}

static int connect_pair(int listener, const struct sockaddr_in *address, int *near, int *far) {
    *near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*near < 0) return -errno;
    if (connect(*near, (const struct sockaddr *)address, sizeof *address) < 0) return -errno;
    *far = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*far < 0) return -errno;
    int one = 1;
    setsockopt(*near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fcntl(*near, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int csinks_tcp_sinks_open(struct csinks_tcp_sinks *sinks, uint32_t count, uint32_t sampled, uint64_t sweep_ns) {
    memset(sinks, 0, sizeof *sinks);
    if (sampled > count) sampled = count;
    int *near = malloc(sizeof(int) * (count + 1u)), *far = malloc(sizeof(int) * (count + 1u));
    void *page = mmap(NULL, sizeof(struct csinks_tcp_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int error = 0;
    if (!near || !far || page == MAP_FAILED) error = -ENOMEM;
    uint32_t made = 0;
    if (error == 0) {
        struct sockaddr_in address;
        int listener = listening(&address);
        if (listener < 0) error = listener;
        while (error == 0 && made < count) {
            near[made] = far[made] = -1;
            error = connect_pair(listener, &address, &near[made], &far[made]);
            made++;
        }
        if (listener >= 0) close(listener);
    }
    pid_t process = -1, parent = getpid();
    uint8_t *kept = NULL;
    int last = STDERR_FILENO;
    if (error == 0) {
        for (uint32_t i = sampled; i < count; i++) last = far[i] > last ? far[i] : last;
        kept = calloc((size_t)last + 1, 1);
        if (!kept) error = -ENOMEM;
    }
    if (error == 0) {
        for (uint32_t i = sampled; i < count; i++) kept[far[i]] = 1;
        process = fork();
        if (process < 0) error = -errno;
    }
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(0);
        close_others(kept, last);
        read_and_discard(page, far + sampled, count - sampled, sweep_ns);
    }
    free(kept);
    if (error < 0) {
        for (uint32_t i = 0; i < made; i++) {
            if (near[i] >= 0) close(near[i]);
            if (far[i] >= 0) close(far[i]);
        }
        free(near);
        free(far);
        if (page != MAP_FAILED) munmap(page, sizeof(struct csinks_tcp_shared));
        return error;
    }
    for (uint32_t i = sampled; i < count; i++) close(far[i]);
    *sinks = (struct csinks_tcp_sinks){
        .process = process, .count = count, .senders = near, .samples = far, .sampled = sampled, .shared = page};
    return 0;
}

uint64_t csinks_tcp_sinks_bytes(const struct csinks_tcp_sinks *sinks) {
    return sinks->shared ? atomic_load_explicit(&sinks->shared->bytes, memory_order_relaxed) : 0;
}

uint64_t csinks_tcp_sinks_cpu_ns(const struct csinks_tcp_sinks *sinks) {
    return sinks->shared ? atomic_load_explicit(&sinks->shared->cpu_ns, memory_order_relaxed) : 0;
}

void csinks_tcp_sinks_close(struct csinks_tcp_sinks *sinks, bool close_senders) {
    if (sinks->process > 0) {
        kill(sinks->process, SIGKILL);
        while (waitpid(sinks->process, NULL, 0) < 0 && errno == EINTR) {}
    }
    for (uint32_t i = 0; i < sinks->sampled; i++) close(sinks->samples[i]);
    for (uint32_t i = 0; close_senders && i < sinks->count; i++) close(sinks->senders[i]);
    free(sinks->senders);
    free(sinks->samples);
    if (sinks->shared) munmap(sinks->shared, sizeof(struct csinks_tcp_shared));
    memset(sinks, 0, sizeof *sinks);
}
