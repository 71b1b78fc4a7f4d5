#define _GNU_SOURCE
#include "bareloops.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

struct bare_ingest {
    pthread_t thread;
    struct bare_result result;
    int *descriptors;
    uint32_t streams;
    // Written by the receiving thread alone.
    _Atomic uint64_t packets;
    // Written by the feeding thread alone; nothing else is published by either, so relaxed suffices.
    _Atomic bool stop;
};

uint64_t bare_ingest_packets(const struct bare_ingest *ingest) {
    return atomic_load_explicit(&ingest->packets, memory_order_relaxed);
}

static uint32_t packets_of(struct msghdr *message, uint32_t bytes) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header))
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(header), sizeof size);
            if (size > 0) return (bytes + (uint32_t)size - 1) / (uint32_t)size;
        }
    return 1;
}

static struct bare_result receive(struct bare_ingest *ingest) {
    enum { batch = 16, slot_bytes = 65536 };
    struct bare_result result = {0};
    struct mmsghdr messages[batch];
    struct iovec parts[batch];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } controls[batch];
    uint8_t *memory = malloc((size_t)batch * slot_bytes);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (!memory || poll < 0) result.error = memory ? -errno : -ENOMEM;
    for (uint32_t i = 0; i < ingest->streams && result.error == 0; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = ingest->descriptors[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, ingest->descriptors[i], &event) < 0) result.error = -errno;
    }
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    uint64_t wall = (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec, cpu = bare_thread_cpu_ns();
    while (result.error == 0 && !atomic_load_explicit(&ingest->stop, memory_order_relaxed)) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 20);
        result.system_calls++;
        if (ready < 0 && errno != EINTR) result.error = -errno;
        for (int e = 0; e < ready; e++) {
            for (int i = 0; i < batch; i++) {
                parts[i] = (struct iovec){memory + (size_t)i * slot_bytes, slot_bytes};
                messages[i].msg_hdr = (struct msghdr){
                    .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = controls[i].bytes, .msg_controllen = sizeof controls[i].bytes};
            }
            int count = recvmmsg(events[e].data.fd, messages, batch, MSG_DONTWAIT, NULL);
            result.system_calls++;
            for (int i = 0; i < count; i++) result.packets += packets_of(&messages[i].msg_hdr, messages[i].msg_len);
        }
        atomic_store_explicit(&ingest->packets, result.packets, memory_order_relaxed);
    }
    result.cpu_ns = bare_thread_cpu_ns() - cpu;
    clock_gettime(CLOCK_MONOTONIC, &time);
    result.wall_ns = (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec - wall;
    if (poll >= 0) close(poll);
    free(memory);
    return result;
}

static void *run(void *argument) {
    struct bare_ingest *ingest = argument;
    ingest->result = receive(ingest);
    return NULL;
}

struct bare_ingest *bare_ingest_start(const int *descriptors, uint32_t streams) {
    struct bare_ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest) return NULL;
    ingest->descriptors = malloc(sizeof(int) * (streams + 1u));
    if (!ingest->descriptors) {
        free(ingest);
        return NULL;
    }
    memcpy(ingest->descriptors, descriptors, sizeof(int) * streams);
    ingest->streams = streams;
    if (pthread_create(&ingest->thread, NULL, run, ingest) == 0) return ingest;
    free(ingest->descriptors);
    free(ingest);
    return NULL;
}

struct bare_result bare_ingest_end(struct bare_ingest *ingest) {
    atomic_store_explicit(&ingest->stop, true, memory_order_relaxed);
    pthread_join(ingest->thread, NULL);
    struct bare_result result = ingest->result;
    free(ingest->descriptors);
    free(ingest);
    return result;
}
