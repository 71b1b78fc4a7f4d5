/// Calls that Swift's Glibc module does not show: batches of datagrams, epoll, eventfd, a thread's name.
#ifndef WEIR_CURING_SOCKETS_H
#define WEIR_CURING_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Datagrams that one call will send, or has received. Opaque; of fixed room.
typedef struct curing_batch curing_batch;

/// Room for `room` datagrams, or NULL when there is no memory.
curing_batch *curing_batch_create(unsigned room);
void curing_batch_destroy(curing_batch *batch);

/// Makes place `place` a datagram to send. `address` is copied.
void curing_batch_put(
    curing_batch *batch, unsigned place, const void *bytes, size_t count, const void *address, unsigned address_bytes);
/// Sends places `first ..< end` with sendmmsg, without waiting. How many went, or a negative error number when none did.
int curing_batch_send(curing_batch *batch, int descriptor, unsigned first, unsigned end);
/// The same with one sendmsg for each datagram.
int curing_batch_send_singly(curing_batch *batch, int descriptor, unsigned first, unsigned end);

/// Lends `count` bytes at `bytes` to place `place` for receiving.
void curing_batch_lend(curing_batch *batch, unsigned place, void *bytes, size_t count);
/// Receives into places `0 ..< room` with recvmmsg, without waiting. How many came, or a negative error number.
int curing_batch_receive(curing_batch *batch, int descriptor, unsigned room);
/// The same with one recvmsg for each datagram.
int curing_batch_receive_singly(curing_batch *batch, int descriptor, unsigned room);

/// A received datagram.
struct curing_received {
    const void *name;
    uint32_t name_bytes;
    uint32_t payload_bytes;
    uint32_t segment_bytes;
    bool is_cut;
};
void curing_batch_received(curing_batch *batch, unsigned place, struct curing_received *out);

/// Sends gathered bytes on a connected socket without waiting. How many went, or a negative error number.
int64_t curing_send_gathered(int descriptor, void *vectors, unsigned count);

/// Resets a TCP connection and drops what it still had to send; the descriptor stays open.
void curing_reset_connection(int descriptor);

/// Has what a TCP connection received acknowledged at once (TCP_QUICKACK; holds until the kernel thinks otherwise).
void curing_acknowledge(int descriptor);

/// Bytes that a TCP connection's peer has not acknowledged, or 0 when that is not known.
int curing_unsent_bytes(int descriptor);

/// An eventfd, close-on-exec. A descriptor, or a negative error number.
int curing_eventfd(bool nonblocking);
/// Names the calling thread for whoever looks at the process; at most 15 bytes.
void curing_name_thread(const char *name);
/// Keeps the calling thread on one processor, if that is allowed.
void curing_pin_thread(int processor);
/// The numbers of the processors that the process may run on, at most `room`. How many, or a negative error number.
int curing_allowed_processors(int *numbers, int room);

/// epoll: what is watched for.
enum { CURING_READABLE = 1, CURING_WRITABLE = 2 };
struct curing_ready {
    uint32_t slot;
    uint32_t events;
};
int curing_epoll_create(void);
/// Watches `descriptor` for `wanted` (0: no longer) where it was watched for `now`. 0 or a negative error number.
int curing_epoll_watch(int epoll, int descriptor, uint32_t slot, uint32_t now, uint32_t wanted);
/// Waits at most `milliseconds`. How many are ready, at most 256. Errors and hang-ups count as both.
int curing_epoll_wait(int epoll, struct curing_ready *out, int milliseconds);

#endif
