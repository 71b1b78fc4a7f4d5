#define _GNU_SOURCE
#include "curing.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    GROUP = 0,
    MESSAGES = 128,
    READERS = 1024,
    /// A submission that the kernel has no memory for is tried so often at once, and so often in all: about a second.
    IMPATIENCE = 100,
    PATIENCE = 10000,
};

struct curing_ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers;
    char *buffer_memory;
    unsigned buffer_bytes;
    unsigned buffer_count;
    struct io_uring_probe *probe;
    bool has_places;
    unsigned overflows;
    bool is_named;
    bool is_abandoned;
    /// How the room in a datagram buffer is shared out; the kernel reads it as long as a receive is armed.
    struct msghdr layout;
    struct msghdr messages[MESSAGES];
};

int curing_create(unsigned submissions, unsigned completions, unsigned files, unsigned buffers, curing_ring **out) {
    curing_ring *ring = calloc(1, sizeof *ring);
    if (!ring) return -ENOMEM;
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE
            | IORING_SETUP_R_DISABLED,
        .cq_entries = completions,
    };
    int result = io_uring_queue_init_params(submissions, &ring->uring, &parameters);
    if (result < 0) {
        free(ring);
        return result;
    }
    result = io_uring_register_files_sparse(&ring->uring, files);
    if (result < 0) {
        io_uring_queue_exit(&ring->uring);
        free(ring);
        return result;
    }
    // Not vital: without places zero-copy sends pin their pages each time.
    if (buffers > 0) ring->has_places = io_uring_register_buffers_sparse(&ring->uring, buffers) == 0;
    ring->layout.msg_namelen = 28;  // sizeof (struct sockaddr_in6)
    ring->layout.msg_controllen = 32;  // one UDP_GRO message
    ring->probe = io_uring_get_probe_ring(&ring->uring);
    *out = ring;
    return 0;
}

int curing_enable(curing_ring *ring) {
    // liburing 2.3 declares io_uring_enable_rings but does not export it.
    if (syscall(__NR_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0) return -errno;
    // Spares the look-up of the ring's own descriptor in every call. Not vital.
    ring->is_named = io_uring_register_ring_fd(&ring->uring) == 1;
    // Threads that wait for disks: one for each read, so that those of a disk that does not answer leave some to others. Not vital.
    unsigned workers[2] = {READERS, 0};
    (void)syscall(__NR_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2);
    return 0;
}

void curing_abandon(curing_ring *ring) {
    if (ring->is_abandoned) return;
    ring->is_abandoned = true;
    // The mappings and the thread's own name for it hold the ring as its descriptor does.
    if (ring->is_named) (void)io_uring_unregister_ring_fd(&ring->uring);
    // The number stays taken until the end, by a file that nothing can be sent to: other rings may still notify it.
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0) {
        (void)dup3(nothing, ring->uring.ring_fd, O_CLOEXEC);
        close(nothing);
    }
    munmap(ring->uring.sq.sqes, ring->uring.sq.ring_entries * sizeof(struct io_uring_sqe));
    if (ring->uring.cq.ring_ptr && ring->uring.cq.ring_ptr != ring->uring.sq.ring_ptr) {
        munmap(ring->uring.cq.ring_ptr, ring->uring.cq.ring_sz);
    }
    munmap(ring->uring.sq.ring_ptr, ring->uring.sq.ring_sz);
}

void curing_destroy(curing_ring *ring) {
    if (!ring) return;
    if (ring->is_abandoned) {
        if (ring->probe) io_uring_free_probe(ring->probe);
        close(ring->uring.ring_fd);
        free(ring->buffers);
        free(ring);
        return;
    }
    if (ring->probe) io_uring_free_probe(ring->probe);
    io_uring_queue_exit(&ring->uring);
    free(ring->buffers);
    free(ring);
}

bool curing_knows(curing_ring *ring, int operation) {
    return ring->probe && io_uring_opcode_supported(ring->probe, operation);
}

int curing_set_file(curing_ring *ring, unsigned slot, int descriptor) {
    int result = io_uring_register_files_update(&ring->uring, slot, &descriptor, 1);
    return result < 0 ? result : 0;
}

int curing_descriptor(const curing_ring *ring) {
    return ring->uring.ring_fd;
}

int curing_set_memory(curing_ring *ring, unsigned place, void *base, size_t count) {
    if (!ring->has_places) return -ENXIO;
    struct iovec memory = {.iov_base = base, .iov_len = base ? count : 0};
    __u64 tag = 0;
    int result = io_uring_register_buffers_update_tag(&ring->uring, place, &memory, &tag, 1);
    return result < 0 ? result : 0;
}

struct io_uring_sqe *curing_next(curing_ring *ring) {
    struct io_uring_sqe *submission = io_uring_get_sqe(&ring->uring);
    if (submission) memset(submission, 0, sizeof *submission);
    return submission;
}

int curing_submit(curing_ring *ring) {
    int submitted = 0;
    // The kernel stops early when it is short of memory, or when completions that it keeps aside must be taken first.
    for (int tries = 0; io_uring_sq_ready(&ring->uring) > 0; tries++) {
        int result = io_uring_submit(&ring->uring);
        if (result >= 0) {
            submitted += result;
            continue;
        }
        if (result == -EINTR) continue;
        if ((result != -EBUSY && result != -EAGAIN && result != -ENOMEM) || tries > PATIENCE) return result;
        (void)io_uring_get_events(&ring->uring);
        if (tries > IMPATIENCE) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return submitted;
}

int curing_submit_and_wait(curing_ring *ring, int64_t nanoseconds) {
    int result;
    if (nanoseconds == 0) {
        result = curing_submit(ring);
        if (result >= 0) result = io_uring_get_events(&ring->uring);
    } else if (nanoseconds < 0) {
        result = io_uring_submit_and_wait(&ring->uring, 1);
    } else {
        struct __kernel_timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
        struct io_uring_cqe *first;
        result = io_uring_submit_and_wait_timeout(&ring->uring, &first, 1, &limit, NULL);
    }
    if (result >= 0 || result == -ETIME || result == -EINTR) return 0;
    if (result != -EBUSY && result != -EAGAIN && result != -ENOMEM) return result;
    result = curing_submit(ring);
    return result < 0 ? result : 0;
}

unsigned curing_take(curing_ring *ring, struct curing_completion *out, unsigned room) {
    unsigned taken = 0;
    for (;;) {
        unsigned head, now = 0;
        struct io_uring_cqe *completion;
        io_uring_for_each_cqe(&ring->uring, head, completion) {
            if (taken + now == room) break;
            out[taken + now].tag = completion->user_data;
            out[taken + now].result = completion->res;
            out[taken + now].flags = completion->flags;
            now++;
        }
        io_uring_cq_advance(&ring->uring, now);
        taken += now;
        // What the kernel keeps aside has room now. It is as old as the rest: a batch's results are whole only with it.
        if (taken == room || !io_uring_cq_has_overflow(&ring->uring)) return taken;
        ring->overflows++;
        if (io_uring_get_events(&ring->uring) < 0 || (now == 0 && io_uring_cq_ready(&ring->uring) == 0)) return taken;
    }
}

unsigned curing_overflows(curing_ring *ring) {
    return ring->overflows + *ring->uring.cq.koverflow;
}

int curing_provide(curing_ring *ring, unsigned count, unsigned bytes, void *memory) {
    void *entries;
    if (posix_memalign(&entries, 4096, count * sizeof(struct io_uring_buf))) return -ENOMEM;
    memset(entries, 0, count * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)entries, .ring_entries = count, .bgid = GROUP};
    int result = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (result < 0) {
        free(entries);
        return result;
    }
    ring->buffers = entries;
    ring->buffer_memory = memory;
    ring->buffer_bytes = bytes;
    ring->buffer_count = count;
    io_uring_buf_ring_init(ring->buffers);
    for (unsigned i = 0; i < count; i++) {
        io_uring_buf_ring_add(
            ring->buffers, ring->buffer_memory + (size_t)i * bytes, bytes, i, io_uring_buf_ring_mask(count), i);
    }
    io_uring_buf_ring_advance(ring->buffers, count);
    return 0;
}

void curing_return_buffer(curing_ring *ring, unsigned short buffer) {
    io_uring_buf_ring_add(
        ring->buffers, ring->buffer_memory + (size_t)buffer * ring->buffer_bytes, ring->buffer_bytes, buffer,
        io_uring_buf_ring_mask(ring->buffer_count), 0);
    io_uring_buf_ring_advance(ring->buffers, 1);
}

void curing_receive_datagrams(curing_ring *ring, struct io_uring_sqe *s, int slot, uint64_t tag) {
    s->opcode = IORING_OP_RECVMSG;
    s->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)&ring->layout;
    s->len = 1;
    s->buf_group = GROUP;
    s->ioprio = IORING_RECV_MULTISHOT;
    s->user_data = tag;
}

void curing_send_gather(
    curing_ring *ring, struct io_uring_sqe *s, int slot, void *vectors, unsigned count, unsigned place, uint64_t tag) {
    struct msghdr *message = &ring->messages[place % MESSAGES];
    *message = (struct msghdr){.msg_iov = vectors, .msg_iovlen = count};
    s->opcode = IORING_OP_SENDMSG;
    s->flags = IOSQE_FIXED_FILE;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)message;
    s->len = 1;
    s->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    s->user_data = tag;
}

bool curing_read_datagram(curing_ring *ring, unsigned short buffer, uint32_t filled, struct curing_datagram *out) {
    if (buffer >= ring->buffer_count) return false;
    char *start = ring->buffer_memory + (size_t)buffer * ring->buffer_bytes;
    struct io_uring_recvmsg_out header;
    uint64_t room = sizeof header + (uint64_t)ring->layout.msg_namelen + ring->layout.msg_controllen;
    if (filled < room) return false;
    memcpy(&header, start, sizeof header);
    char *name = start + sizeof header;
    char *control = name + ring->layout.msg_namelen;
    out->name = name;
    out->name_bytes = header.namelen < ring->layout.msg_namelen ? header.namelen : ring->layout.msg_namelen;
    out->payload = control + ring->layout.msg_controllen;
    uint32_t present = filled - (uint32_t)room;
    out->payload_bytes = header.payloadlen < present ? header.payloadlen : present;
    out->is_cut = (header.flags & MSG_TRUNC) != 0 || header.payloadlen > present;
    struct msghdr message = {
        .msg_control = control,
        .msg_controllen = header.controllen < ring->layout.msg_controllen ? header.controllen : ring->layout.msg_controllen,
    };
    out->segment_bytes = curing_segment_of(&message);
    return true;
}
