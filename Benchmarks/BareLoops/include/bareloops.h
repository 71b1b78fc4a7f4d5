/// The limits the engine is measured against: the shortest loops over the same system calls, in C, with nothing around them.
#ifndef BARELOOPS_H
#define BARELOOPS_H

#include <stdbool.h>
#include <stdint.h>

/// The frame that is sent again and again: `packets` RTP packets of `packet_bytes`, whose sequence numbers the loop goes on
/// counting and whose timestamp advances by 3,000 a frame.
struct bare_frame {
    uint32_t packets;
    uint32_t packet_bytes;
    uint16_t sequence;
    uint32_t timestamp;
};

/// Where a loop stops, whichever comes first; 0: no such bound. The deadline is looked at once per frame.
struct bare_bounds {
    uint64_t frames;
    /// CLOCK_MONOTONIC, ns.
    uint64_t deadline_ns;
};

struct bare_result {
    uint64_t frames;
    /// Packets that the kernel took.
    uint64_t packets;
    /// Packets that it refused.
    uint64_t refused;
    uint64_t system_calls;
    /// CPU time of the calling thread, ns.
    uint64_t cpu_ns;
    uint64_t wall_ns;
    /// 0, or the negative errno that ended the loop before its bounds.
    int error;
};

/// The segments a train may have and the bytes it may hold: what the kernel takes in one message.
enum { bare_train_segments_max = 64, bare_train_bytes_max = 65507 };

/// Every frame to every address, by `sendmmsg`, 64 messages a call, each a train (`UDP_SEGMENT`). `gather`: the train's bytes
/// come from one iovec per packet instead of from one piece of memory. `addresses`: one sockaddr of `address_bytes` each.
/// The frame's counting is left in `frame`, so that another loop can go on.
struct bare_result bare_fanout_udp(
    int descriptor, const void *addresses, uint32_t address_bytes, uint32_t subscribers, struct bare_frame *frame, bool gather,
    struct bare_bounds bounds);

/// Every frame to every connected, non-blocking TCP socket: one `send` each of all its packets with their interleaved headers.
struct bare_result bare_fanout_tcp(const int *descriptors, uint32_t subscribers, struct bare_frame *frame, struct bare_bounds bounds);

/// A thread that takes whatever arrives on the sockets by `recvmmsg` with `UDP_GRO`, waiting in epoll. The sockets have the
/// option set already and are the caller's; they must live until the end.
struct bare_ingest;

/// Starts the thread; null without memory.
struct bare_ingest *bare_ingest_start(const int *descriptors, uint32_t streams);
/// Packets taken so far, for the one who feeds it.
uint64_t bare_ingest_packets(const struct bare_ingest *ingest);
/// Ends the thread, frees it and tells what it did.
struct bare_result bare_ingest_end(struct bare_ingest *ingest);

/// CPU time of the calling thread, ns.
uint64_t bare_thread_cpu_ns(void);

#endif
