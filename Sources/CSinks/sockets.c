#define _GNU_SOURCE
#include "csinks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

_Static_assert(sizeof(struct sockaddr_in6) <= sizeof((struct csinks_address){0}.bytes), "room for an IPv6 address");

// MARK: Addresses

static struct sockaddr *as_sockaddr(const struct csinks_address *address) { return (struct sockaddr *)(uintptr_t)address->bytes; }

static int family_of(const struct csinks_address *address) {
    sa_family_t family;
    memcpy(&family, address->bytes, sizeof family);
    return family;
}

int csinks_address_resolve(const char *host, uint16_t port, struct csinks_address *address) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int error = getaddrinfo(host, service, &hints, &found);
    if (error == EAI_SYSTEM) return -errno;
    if (error) return -EADDRNOTAVAIL;
    int result = -EAFNOSUPPORT;
    for (struct addrinfo *one = found; one; one = one->ai_next) {
        if (one->ai_addrlen > sizeof address->bytes) continue;
        memset(address, 0, sizeof *address);
        memcpy(address->bytes, one->ai_addr, one->ai_addrlen);
        address->length = one->ai_addrlen;
        result = 0;
        break;
    }
    freeaddrinfo(found);
    return result;
}

bool csinks_address_is_loopback(const struct csinks_address *address) {
    if (family_of(address) == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address->bytes, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (family_of(address) == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address->bytes, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) || (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == 127);
    }
    return false;
}

// The port stands in the same place in both families.
uint16_t csinks_address_port(const struct csinks_address *address) { return (uint16_t)(address->bytes[2] << 8 | address->bytes[3]); }

void csinks_address_set_port(struct csinks_address *address, uint16_t port) {
    address->bytes[2] = (uint8_t)(port >> 8);
    address->bytes[3] = (uint8_t)port;
}

int csinks_address_host(const struct csinks_address *address, char text[64]) {
    return getnameinfo(as_sockaddr(address), address->length, text, 64, NULL, 0, NI_NUMERICHOST) ? -EINVAL : 0;
}

int csinks_address_of(int descriptor, struct csinks_address *address) {
    memset(address, 0, sizeof *address);
    socklen_t length = sizeof address->bytes;
    if (getsockname(descriptor, as_sockaddr(address), &length) < 0) return -errno;
    address->length = length;
    return 0;
}

int64_t csinks_descriptors_raise(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

// MARK: UDP

static int option(int descriptor, int level, int name, int value) {
    return setsockopt(descriptor, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

// The forced variant needs CAP_NET_ADMIN and goes beyond rmem_max; without it the kernel gives what it may.
static void receive_buffer(int descriptor, uint32_t bytes) {
    if (bytes && option(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, (int)bytes) < 0) option(descriptor, SOL_SOCKET, SO_RCVBUF, (int)bytes);
}

static void send_buffer(int descriptor, uint32_t bytes) {
    if (bytes && option(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, (int)bytes) < 0) option(descriptor, SOL_SOCKET, SO_SNDBUF, (int)bytes);
}

static int closing(int descriptor, int error) {
    close(descriptor);
    return error;
}

int csinks_udp_bind(const struct csinks_address *address, const struct csinks_udp_options *options) {
    int descriptor = socket(family_of(address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    receive_buffer(descriptor, options->receive_bytes);
    send_buffer(descriptor, options->send_bytes);
    if (options->timestamps) option(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    if (options->receive_gro) {
        int error = option(descriptor, IPPROTO_UDP, UDP_GRO, 1);
        if (error < 0) return closing(descriptor, error);
    }
    if (bind(descriptor, as_sockaddr(address), address->length) < 0) return closing(descriptor, -errno);
    return descriptor;
}

int csinks_udp_sender(const struct csinks_address *address, uint32_t send_bytes) {
    int descriptor = socket(family_of(address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    send_buffer(descriptor, send_bytes);
    return descriptor;
}

int csinks_udp_send(int descriptor, const void *bytes, uint32_t count, uint16_t segment_bytes, const struct csinks_address *to) {
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_name = as_sockaddr(to), .msg_namelen = to->length, .msg_iov = &part, .msg_iovlen = 1};
    if (segment_bytes && segment_bytes < count) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof segment_bytes);
        memcpy(CMSG_DATA(header), &segment_bytes, sizeof segment_bytes);
    }
    return sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static uint64_t nanoseconds(struct timespec time) { return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec; }

union receive_control {
    char bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void read_control(struct msghdr *message, uint64_t *realtime_ns, uint32_t *segment_bytes) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec time;
            memcpy(&time, CMSG_DATA(header), sizeof time);
            *realtime_ns = nanoseconds(time);
        } else if (segment_bytes && header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(header), sizeof size);
            *segment_bytes = size > 0 ? (uint32_t)size : 0;
        }
    }
}

int csinks_udp_receive(
    int descriptor, void *memory, uint32_t slot_bytes, struct csinks_arrival *arrivals, uint32_t arrivals_max) {
    enum { batch = 64 };
    struct mmsghdr messages[batch];
    struct iovec parts[batch];
    union receive_control controls[batch];
    if (arrivals_max > batch) arrivals_max = batch;
    memset(messages, 0, sizeof messages[0] * arrivals_max);
    for (uint32_t i = 0; i < arrivals_max; i++) {
        parts[i] = (struct iovec){(uint8_t *)memory + (size_t)i * slot_bytes, slot_bytes};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = controls[i].bytes;
        messages[i].msg_hdr.msg_controllen = sizeof controls[i].bytes;
    }
    int count = recvmmsg(descriptor, messages, arrivals_max, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        uint32_t total = messages[i].msg_len;
        arrivals[i] = (struct csinks_arrival){
            .offset = (uint32_t)i * slot_bytes,
            .bytes = total < slot_bytes ? total : slot_bytes,
            .bytes_total = total,
        };
        read_control(&messages[i].msg_hdr, &arrivals[i].realtime_ns, &arrivals[i].segment_bytes);
    }
    return count;
}

// MARK: TCP

int csinks_tcp_connect(const struct csinks_address *address, bool timestamps, uint32_t receive_bytes) {
    int descriptor = socket(family_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    receive_buffer(descriptor, receive_bytes);
    option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    if (timestamps) option(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    if (connect(descriptor, as_sockaddr(address), address->length) < 0 && errno != EINPROGRESS) return closing(descriptor, -errno);
    return descriptor;
}

int csinks_tcp_connected(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -errno;
    return -error;
}

int64_t csinks_tcp_discard(int descriptor) {
    ssize_t count = recv(descriptor, NULL, 1u << 30, MSG_TRUNC | MSG_DONTWAIT);
    return count < 0 ? -errno : count;
}

int64_t csinks_tcp_receive(int descriptor, void *memory, uint64_t bytes, uint64_t *realtime_ns) {
    struct iovec part = {memory, bytes};
    union receive_control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *realtime_ns = 0;
    ssize_t count = recvmsg(descriptor, &message, MSG_DONTWAIT);
    if (count < 0) return -errno;
    read_control(&message, realtime_ns, NULL);
    return count;
}

int csinks_duplicate(int descriptor) {
    int other = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (other < 0) return -errno;
    option(other, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    return other;
}

int64_t csinks_tcp_send(int descriptor, const void *bytes, uint64_t count) {
    ssize_t sent = send(descriptor, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

// MARK: Waiting

int csinks_poll_open(void) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    return poll < 0 ? -errno : poll;
}

static int poll_control(int poll, int operation, int descriptor, uint32_t events, uint64_t key) {
    struct epoll_event event = {.events = events, .data.u64 = key};
    return epoll_ctl(poll, operation, descriptor, &event) < 0 ? -errno : 0;
}

int csinks_poll_add(int poll, int descriptor, uint32_t events, uint64_t key) {
    return poll_control(poll, EPOLL_CTL_ADD, descriptor, events, key);
}
int csinks_poll_change(int poll, int descriptor, uint32_t events, uint64_t key) {
    return poll_control(poll, EPOLL_CTL_MOD, descriptor, events, key);
}
int csinks_poll_remove(int poll, int descriptor) { return poll_control(poll, EPOLL_CTL_DEL, descriptor, 0, 0); }

int csinks_poll_wait(int poll, struct csinks_ready *ready, uint32_t ready_max, uint64_t timeout_ns) {
    enum { batch = 256 };
    struct epoll_event events[batch];
    if (ready_max > batch) ready_max = batch;
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    // epoll_pwait2 takes nanoseconds; where it is missing (before 5.11, some sandboxes) milliseconds, rounded up, must do.
    long count = syscall(SYS_epoll_pwait2, poll, events, (int)ready_max, &timeout, NULL, 0);
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
        uint64_t milliseconds = (timeout_ns + 999999) / 1000000;
        count = epoll_wait(poll, events, (int)ready_max, milliseconds > 3600000 ? 3600000 : (int)milliseconds);
    }
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (long i = 0; i < count; i++) ready[i] = (struct csinks_ready){.key = events[i].data.u64, .events = events[i].events};
    return (int)count;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return nanoseconds(time);
}

uint64_t csinks_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t csinks_realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

void csinks_sleep_ns(uint64_t nanoseconds) {
    struct timespec time = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {}
}
