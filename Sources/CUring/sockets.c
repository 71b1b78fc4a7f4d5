#define _GNU_SOURCE
#include "curing_sockets.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "curing.h"

enum { CONTROL_BYTES = 64 };

struct curing_batch {
    struct mmsghdr *messages;
    struct iovec *vectors;
    struct sockaddr_in6 *names;
    char *controls;
};

curing_batch *curing_batch_create(unsigned room) {
    curing_batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->messages = calloc(room, sizeof *batch->messages);
    batch->vectors = calloc(room, sizeof *batch->vectors);
    batch->names = calloc(room, sizeof *batch->names);
    batch->controls = calloc(room, CONTROL_BYTES);
    if (!batch->messages || !batch->vectors || !batch->names || !batch->controls) {
        curing_batch_destroy(batch);
        return NULL;
    }
    for (unsigned place = 0; place < room; place++) {
        batch->messages[place].msg_hdr.msg_iov = &batch->vectors[place];
        batch->messages[place].msg_hdr.msg_iovlen = 1;
        batch->messages[place].msg_hdr.msg_name = &batch->names[place];
    }
    return batch;
}

void curing_batch_destroy(curing_batch *batch) {
    if (!batch) return;
    free(batch->messages);
    free(batch->vectors);
    free(batch->names);
    free(batch->controls);
    free(batch);
}

void curing_batch_put(
    curing_batch *batch, unsigned place, const void *bytes, size_t count, const void *address, unsigned address_bytes) {
    batch->vectors[place] = (struct iovec){.iov_base = (void *)bytes, .iov_len = count};
    memcpy(&batch->names[place], address, address_bytes);
    batch->messages[place].msg_hdr.msg_namelen = address_bytes;
}

int curing_batch_send(curing_batch *batch, int descriptor, unsigned first, unsigned end) {
    int sent = sendmmsg(descriptor, batch->messages + first, end - first, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

int curing_batch_send_singly(curing_batch *batch, int descriptor, unsigned first, unsigned end) {
    unsigned place = first;
    while (place < end) {
        if (sendmsg(descriptor, &batch->messages[place].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno == EINTR) continue;
            return place > first ? (int)(place - first) : -errno;
        }
        place++;
    }
    return (int)(place - first);
}

void curing_batch_lend(curing_batch *batch, unsigned place, void *bytes, size_t count) {
    batch->vectors[place] = (struct iovec){.iov_base = bytes, .iov_len = count};
    struct msghdr *header = &batch->messages[place].msg_hdr;
    header->msg_namelen = sizeof batch->names[place];
    header->msg_control = batch->controls + (size_t)place * CONTROL_BYTES;
    header->msg_controllen = CONTROL_BYTES;
    header->msg_flags = 0;
}

int curing_batch_receive(curing_batch *batch, int descriptor, unsigned room) {
    int received = recvmmsg(descriptor, batch->messages, room, MSG_DONTWAIT, NULL);
    return received < 0 ? -errno : received;
}

int curing_batch_receive_singly(curing_batch *batch, int descriptor, unsigned room) {
    unsigned place = 0;
    while (place < room) {
        ssize_t count = recvmsg(descriptor, &batch->messages[place].msg_hdr, MSG_DONTWAIT);
        if (count < 0) {
            if (errno == EINTR) continue;
            return place > 0 ? (int)place : -errno;
        }
        batch->messages[place++].msg_len = (unsigned)count;
    }
    return (int)place;
}

void curing_batch_received(curing_batch *batch, unsigned place, struct curing_received *out) {
    const struct mmsghdr *message = &batch->messages[place];
    out->name = &batch->names[place];
    out->name_bytes = message->msg_hdr.msg_namelen;
    out->payload_bytes = message->msg_len;
    out->segment_bytes = curing_segment_of(&message->msg_hdr);
    out->is_cut = (message->msg_hdr.msg_flags & MSG_TRUNC) != 0;
}

int64_t curing_send_gathered(int descriptor, void *vectors, unsigned count) {
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    ssize_t sent = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

void curing_reset_connection(int descriptor) {
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(descriptor, &nobody, sizeof nobody);
}

void curing_acknowledge(int descriptor) {
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

int curing_unsent_bytes(int descriptor) {
    int bytes;
    return ioctl(descriptor, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

int curing_eventfd(bool nonblocking) {
    int descriptor = eventfd(0, EFD_CLOEXEC | (nonblocking ? EFD_NONBLOCK : 0));
    return descriptor < 0 ? -errno : descriptor;
}

void curing_name_thread(const char *name) {
    (void)pthread_setname_np(pthread_self(), name);
}

void curing_pin_thread(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (processor < 0 || processor >= CPU_SETSIZE) return;
    CPU_SET(processor, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int curing_allowed_processors(int *numbers, int room) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) return -errno;
    int count = 0;
    for (int processor = 0; processor < CPU_SETSIZE && count < room; processor++) {
        if (CPU_ISSET(processor, &set)) numbers[count++] = processor;
    }
    return count;
}

int curing_epoll_create(void) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    return epoll < 0 ? -errno : epoll;
}

int curing_epoll_watch(int epoll, int descriptor, uint32_t slot, uint32_t now, uint32_t wanted) {
    struct epoll_event event = {
        .events = (wanted & CURING_READABLE ? EPOLLIN : 0) | (wanted & CURING_WRITABLE ? EPOLLOUT : 0),
        .data.u32 = slot,
    };
    int operation = now == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    return epoll_ctl(epoll, operation, descriptor, &event) < 0 ? -errno : 0;
}

int curing_epoll_wait(int epoll, struct curing_ready *out, int milliseconds) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int place = 0; place < count; place++) {
        uint32_t seen = events[place].events;
        out[place].slot = events[place].data.u32;
        out[place].events = (seen & (EPOLLIN | EPOLLERR | EPOLLHUP) ? CURING_READABLE : 0)
            | (seen & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? CURING_WRITABLE : 0);
    }
    return count;
}
