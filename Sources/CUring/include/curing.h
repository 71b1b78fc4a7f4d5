/// The system ring as Swift needs it, nothing more.
///
/// This header shows the kernel's ABI alone; liburing.h stays in the .c files. (Swift's Glibc module and liburing.h cannot
/// meet in one module: the feature macros that liburing.h raises give fd_set another member name.)
#ifndef WEIR_CURING_H
#define WEIR_CURING_H

#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <liburing/io_uring.h>

/// A ring. Opaque; made by curing_create, freed by curing_destroy.
typedef struct curing_ring curing_ring;

/// One completion, copied out of the ring.
struct curing_completion {
    uint64_t tag;
    int32_t result;
    uint32_t flags;
};

/// Makes a ring for one thread (SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL), disabled until curing_enable is called on that
/// thread, with `files` empty file slots and `buffers` empty places for registered memory. 0, or a negative error number.
int curing_create(unsigned submissions, unsigned completions, unsigned files, unsigned buffers, curing_ring **ring);
/// Binds the ring to the calling thread and starts it. 0, or a negative error number.
int curing_enable(curing_ring *ring);
void curing_destroy(curing_ring *ring);
/// Takes a ring out of use that does not work any more: the kernel lets go of its requests, sockets and memory. Only
/// curing_descriptor and curing_destroy may follow; its descriptor stays taken until then.
void curing_abandon(curing_ring *ring);

/// Whether this kernel knows an operation (IORING_OP_*).
bool curing_knows(curing_ring *ring, int operation);

/// Puts a descriptor into a file slot, or empties it with -1. 0, or a negative error number.
int curing_set_file(curing_ring *ring, unsigned slot, int descriptor);

/// The ring's own descriptor: where curing_notify of another ring sends to.
int curing_descriptor(const curing_ring *ring);

/// Puts memory into a place for registered memory, or empties it with a null pointer. 0, or a negative error number (-ENOMEM:
/// more than the process may lock).
int curing_set_memory(curing_ring *ring, unsigned place, void *base, size_t count);

/// A free submission, cleared, or NULL when the queue is full.
struct io_uring_sqe *curing_next(curing_ring *ring);
/// Submits what is queued; what the kernel has no memory for is tried again for about a second. The number submitted, or a negative
/// error number: then the ring is of no more use.
int curing_submit(curing_ring *ring);
/// Submits what is queued and waits for one completion or until `nanoseconds` have passed (0: does not wait, but runs what
/// the kernel deferred; less than 0: no limit). 0, when the time has passed as well, or a negative error number as curing_submit has.
int curing_submit_and_wait(curing_ring *ring, int64_t nanoseconds);
/// Copies out at most `room` completions and frees their places. How many there were.
unsigned curing_take(curing_ring *ring, struct curing_completion *out, unsigned room);
/// How often the kernel had to keep completions aside since the ring was made, for want of room in it.
unsigned curing_overflows(curing_ring *ring);

/// Registers `count` (a power of two) buffers of `bytes` each, which lie one after the other at `memory`, as
/// the ring's group; all are given to the kernel. 0, or a negative error number. Once per ring.
int curing_provide(curing_ring *ring, unsigned count, unsigned bytes, void *memory);
/// Gives a buffer of the group back to the kernel.
void curing_return_buffer(curing_ring *ring, unsigned short buffer);

/// Lets `descriptor` cut sends into segments of `bytes` (UDP_SEGMENT, Linux 4.18); 0 switches it off. 0 or -errno.
int curing_set_segment(int descriptor, int bytes);

// The builders: each fills a cleared submission. `slot` is a file slot.

/// A datagram or train to an address. Nothing is reported when it succeeds (IOSQE_CQE_SKIP_SUCCESS). The kernel is done with
/// `bytes` and `address` when the submit returns: MSG_DONTWAIT keeps it from taking the request aside.
static inline void curing_send_to(
    struct io_uring_sqe *s, int slot, const void *bytes, unsigned count, const void *address, unsigned address_bytes, uint64_t tag) {
    s->opcode = IORING_OP_SEND;
    s->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)bytes;
    s->len = count;
    s->addr2 = (uint64_t)(uintptr_t)address;
    s->addr_len = (uint16_t)address_bytes;
    s->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    s->user_data = tag;
}

/// Bytes to a connected socket, as many as go without waiting; always reported.
static inline void curing_send(struct io_uring_sqe *s, int slot, const void *bytes, unsigned count, uint64_t tag) {
    s->opcode = IORING_OP_SEND;
    s->flags = IOSQE_FIXED_FILE;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)bytes;
    s->len = count;
    s->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    s->user_data = tag;
}

// Newer than liburing 2.3.
enum {
    CURING_SEND_ZC_REPORT_USAGE = 1 << 3,
    CURING_CQE_NOTIFICATION = 1 << 3,
};

/// The same two without a copy (SEND_ZC). One completion tells how the send went; when it has IORING_CQE_F_MORE another one, with
/// CURING_CQE_NOTIFICATION, tells that the kernel is done with the bytes; that one is negative if it copied after all.
/// `memory` is a place of registered memory that the bytes lie in, or -1. `address` may be null.
static inline void curing_send_zero_copy(
    struct io_uring_sqe *s, int slot, const void *bytes, unsigned count, const void *address, unsigned address_bytes, int memory,
    uint64_t tag) {
    s->opcode = IORING_OP_SEND_ZC;
    s->flags = IOSQE_FIXED_FILE;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)bytes;
    s->len = count;
    s->addr2 = (uint64_t)(uintptr_t)address;
    s->addr_len = (uint16_t)address_bytes;
    s->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    s->ioprio = CURING_SEND_ZC_REPORT_USAGE;
    if (memory >= 0) {
        s->ioprio |= IORING_RECVSEND_FIXED_BUF;
        s->buf_index = (uint16_t)memory;
    }
    s->user_data = tag;
}

/// Puts a completion with `tag` and result 0 into another ring, named by its descriptor (MSG_RING). Nothing is reported here when
/// that succeeds; a failure carries the same tag.
static inline void curing_notify(struct io_uring_sqe *s, int ring, uint64_t tag) {
    s->opcode = IORING_OP_MSG_RING;
    s->flags = IOSQE_CQE_SKIP_SUCCESS;
    s->fd = ring;
    s->off = tag;
    s->user_data = tag;
}

/// Bytes gathered by `count` iovecs to a connected socket, as many as go without waiting; always reported. `place` names one
/// of the ring's 128 message headers, which the kernel reads until the submit returns; the iovecs likewise.
void curing_send_gather(
    curing_ring *ring, struct io_uring_sqe *s, int slot, void *vectors, unsigned count, unsigned place, uint64_t tag);

/// Datagrams into buffers of the ring's group, again and again until it fails.
void curing_receive_datagrams(curing_ring *ring, struct io_uring_sqe *s, int slot, uint64_t tag);

/// Bytes of a connected socket into memory that belongs to the request until it completes.
static inline void curing_receive(struct io_uring_sqe *s, int slot, void *bytes, unsigned count, uint64_t tag) {
    s->opcode = IORING_OP_RECV;
    s->flags = IOSQE_FIXED_FILE;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)bytes;
    s->len = count;
    s->user_data = tag;
}

/// Reads an eventfd's eight bytes.
static inline void curing_read(struct io_uring_sqe *s, int slot, void *bytes, unsigned count, uint64_t tag) {
    s->opcode = IORING_OP_READ;
    s->flags = IOSQE_FIXED_FILE;
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)bytes;
    s->len = count;
    s->off = (uint64_t)-1;
    s->user_data = tag;
}

/// Bytes of a file from `offset` on into memory that belongs to the request until it completes: registered memory of place `memory`
/// (READ_FIXED), or any other (-1). Without `waits` what is not in the kernel's cache is not read (-EAGAIN, or -EOPNOTSUPP where the file system
/// cannot tell); with it a thread of the kernel's reads, whatever happens to it.
static inline void curing_read_file(
    struct io_uring_sqe *s, int slot, void *bytes, unsigned count, uint64_t offset, int memory, bool waits, uint64_t tag) {
    s->opcode = memory >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ;
    s->flags = IOSQE_FIXED_FILE | (waits ? IOSQE_ASYNC : 0);
    s->rw_flags = waits ? 0 : 0x0008;  // RWF_NOWAIT
    s->fd = slot;
    s->addr = (uint64_t)(uintptr_t)bytes;
    s->len = count;
    s->off = offset;
    if (memory >= 0) s->buf_index = (uint16_t)memory;
    s->user_data = tag;
}

/// Completes once when the socket can be written to, or is broken.
static inline void curing_watch_writable(struct io_uring_sqe *s, int slot, uint64_t tag) {
    s->opcode = IORING_OP_POLL_ADD;
    s->flags = IOSQE_FIXED_FILE;
    s->fd = slot;
    s->poll32_events = 0x0004 | 0x0008 | 0x0010;  // POLLOUT | POLLERR | POLLHUP
    s->user_data = tag;
}

/// Ends the request with this tag; the cancel's own completion carries `cancel_tag`.
static inline void curing_cancel(struct io_uring_sqe *s, uint64_t tag, uint64_t cancel_tag) {
    s->opcode = IORING_OP_ASYNC_CANCEL;
    s->fd = -1;
    s->addr = tag;
    s->user_data = cancel_tag;
}

/// What the kernel put in front of a datagram in its buffer (struct io_uring_recvmsg_out, name, control).
struct curing_datagram {
    const void *name;
    uint32_t name_bytes;
    void *payload;
    uint32_t payload_bytes;
    /// Segment size of a train that the kernel joined (UDP_GRO), or 0.
    uint32_t segment_bytes;
    /// The datagram was longer than the buffer.
    bool is_cut;
};

/// Takes apart buffer number `buffer`, of which a repeated receive filled `filled` bytes. False when the lengths lie.
bool curing_read_datagram(curing_ring *ring, unsigned short buffer, uint32_t filled, struct curing_datagram *out);

/// Segment size in a message's control data (UDP_GRO), or 0.
uint32_t curing_segment_of(const struct msghdr *message);

#endif
