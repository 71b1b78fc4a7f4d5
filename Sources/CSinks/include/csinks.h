/// What the measuring tools ask of the kernel: sinks that count a stream without costing the sender more than the network
/// stack costs anyway, and the few socket calls that Swift cannot spell without pointer ceremony.
///
/// Every function that can fail returns a negative errno; none prints, none keeps state outside its arguments.
#ifndef CSINKS_H
#define CSINKS_H

#include <stdbool.h>
#include <stdint.h>

// MARK: Addresses

/// An IPv4 or IPv6 socket address.
struct csinks_address {
    uint8_t bytes[28];
    uint32_t length;
};

/// The first address of `host` (a name or a numeric address) with `port`.
int csinks_address_resolve(const char *host, uint16_t port, struct csinks_address *address);
/// 127.0.0.0/8, ::1 and 127.0.0.0/8 mapped into IPv6.
bool csinks_address_is_loopback(const struct csinks_address *address);
uint16_t csinks_address_port(const struct csinks_address *address);
void csinks_address_set_port(struct csinks_address *address, uint16_t port);
/// The numeric host, without port, at most 63 characters and a terminator.
int csinks_address_host(const struct csinks_address *address, char text[64]);
/// The local address of a socket.
int csinks_address_of(int descriptor, struct csinks_address *address);

// MARK: Process

/// Raises the soft limit on descriptors to the hard one; the soft limit afterwards.
int64_t csinks_descriptors_raise(void);

/// One thread of a process; io_uring's kernel workers are threads of the process they work for.
struct csinks_thread {
    int32_t id;
    char name[16];
    /// Time on a CPU, ns (`schedstat`).
    uint64_t cpu_ns;
};

/// The threads of a process that run now, at most `threads_max`; how many, or -ESRCH.
int csinks_threads(int process, struct csinks_thread *threads, uint32_t threads_max);
/// Resident memory of a process in bytes.
int64_t csinks_resident_bytes(int process);
/// The calling thread's number.
int32_t csinks_thread_id(void);
/// CPU time of the calling process, all its threads, so far, ns.
uint64_t csinks_process_cpu_ns(void);

/// Starts this program again. `arguments` ends with a null pointer and its first is the program's name. The child's standard
/// input and output are pipes, whose other ends are left in `to_child` and `from_child`; its standard error is ours. Returns its
/// number.
int csinks_spawn_self(char *const arguments[], int *to_child, int *from_child);
/// Waits for a child's end: its exit status, 128 and more plus the number of the signal that ended it, or a negative errno.
int csinks_wait(int process);
/// Makes a descriptor non-blocking.
int csinks_unblock(int descriptor);
/// Waits until one of the descriptors is readable or at its end, or for the time; how many are. Negative ones are left out.
int csinks_wait_readable(const int *descriptors, uint32_t count, bool *ready, uint64_t timeout_ns);

// MARK: The counting filter

/// What the filter knows of one destination port. One cache line, written by the kernel as packets arrive and read here at
/// any time. A port's packets are handled by one CPU at a time as long as one thread sends them; the fields are not atomic.
struct csinks_counts {
    /// RTP packets. A train that arrives whole (`UDP_GRO`) counts by its segments.
    uint64_t packets;
    /// UDP payload bytes of those packets.
    uint64_t bytes;
    /// Which of the 64 newest sequence numbers arrived; bit 0 is the newest.
    uint64_t seen;
    /// CLOCK_MONOTONIC of the first packet, ns.
    uint64_t first_ns;
    /// Sequence numbers that were skipped and have not come since.
    uint32_t lost;
    uint32_t duplicates;
    uint32_t reordered;
    /// Jumps back by more than 3,000: a new sequence, not an old packet.
    uint32_t restarts;
    /// RTP timestamp of the newest packet (of a train: of its first).
    uint32_t timestamp_last;
    uint32_t sequence_next;
    /// The filter's verdict: 0 discards, 0xfffffffe lets a sampled reader have the packet. Bit 0: the port counts for the
    /// spread (`csinks_filter_watch`).
    uint32_t verdict;
    /// Buffers that arrived; packets divided by this is the mean train as received.
    uint32_t buffers;
};

/// Of every `csinks_spread_step` sequence numbers one has a row for the spread; numbers wrap around, and rows with them.
enum { csinks_spread_step = 8, csinks_spread_rows = 65536 / csinks_spread_step };

/// When one packet came to the watched ports: row n is of sequence number n × `csinks_spread_step`. Who has read a row sets
/// `readers` to 0, so that the number can come again. Of a train only the newest number with a row is noted.
struct csinks_spread {
    /// CLOCK_MONOTONIC at the first reader and at the last one so far, ns.
    uint64_t first_ns;
    uint64_t last_ns;
    /// How many watched ports had it.
    uint64_t readers;
    uint64_t unused;
};

/// An eBPF socket filter with a row of counts per port. The first and the last sequence number of a train are looked at, not
/// those between: a packet missing inside a train is counted, two that swapped places inside it are not.
struct csinks_filter {
    int map_descriptor;
    int spread_descriptor;
    int program_descriptor;
    struct csinks_counts *counts; // 65,536 rows, by port
    struct csinks_spread *spreads; // `csinks_spread_rows`
};

/// -EPERM and -ENOSYS say that eBPF is not for us: use `csinks_discard_attach`.
int csinks_filter_open(struct csinks_filter *filter);
void csinks_filter_close(struct csinks_filter *filter);
/// Clears the row of the socket's port and puts the filter on the socket. `deliver`: count, but let the reader have it.
int csinks_filter_attach(struct csinks_filter *filter, int descriptor, bool deliver);
/// Whether a port's packets count for the spread. All watched ports must be of the same track.
void csinks_filter_watch(struct csinks_filter *filter, uint16_t port, bool is_watched);

/// A classic filter that rejects every packet; `csinks_drops` then counts what arrived.
int csinks_discard_attach(int descriptor);
/// The socket's drop counter: what a filter rejected or a full queue lost.
int64_t csinks_drops(int descriptor);

// MARK: UDP

/// How a receiving UDP socket is made.
struct csinks_udp_options {
    /// Take trains whole (`UDP_GRO`).
    bool receive_gro;
    /// Ask for kernel receive timestamps.
    bool timestamps;
    /// Receive buffer in bytes; 0 leaves the system's.
    uint32_t receive_bytes;
    /// Send buffer in bytes; 0 leaves the system's.
    uint32_t send_bytes;
};

/// A non-blocking socket bound to `address`; port 0 lets the kernel choose. Returns the descriptor.
int csinks_udp_bind(const struct csinks_address *address, const struct csinks_udp_options *options);
/// An unbound non-blocking socket for sending, of the address's family.
int csinks_udp_sender(const struct csinks_address *address, uint32_t send_bytes);
/// One datagram; -EAGAIN if the socket is full.
int csinks_udp_send(int descriptor, const void *bytes, uint32_t count, uint16_t segment_bytes, const struct csinks_address *to);

/// One received buffer.
struct csinks_arrival {
    /// Where it begins in the caller's memory.
    uint32_t offset;
    /// Bytes there; `bytes_total` may be larger when the slot was too small.
    uint32_t bytes;
    uint32_t bytes_total;
    /// Size of each segment of a train but the last; 0: one packet.
    uint32_t segment_bytes;
    /// CLOCK_REALTIME in ns when the kernel received it; 0 unless asked for.
    uint64_t realtime_ns;
};

/// Takes what has arrived, up to `arrivals_max` (at most 64) buffers, each into its own slot of `slot_bytes`. Returns how
/// many.
int csinks_udp_receive(
    int descriptor, void *memory, uint32_t slot_bytes, struct csinks_arrival *arrivals, uint32_t arrivals_max);

// MARK: TCP

/// Begins to connect, non-blocking, without delay of small writes. Returns the descriptor.
int csinks_tcp_connect(const struct csinks_address *address, bool timestamps, uint32_t receive_bytes);
/// 0 if connected, -EINPROGRESS or the error.
int csinks_tcp_connected(int descriptor);
/// Throws away what has arrived; how much, 0 at the end of the stream, -EAGAIN if nothing is there.
int64_t csinks_tcp_discard(int descriptor);
/// Reads what has arrived; `realtime_ns` is the kernel's time of its newest part, or 0. Result as `csinks_tcp_discard`.
int64_t csinks_tcp_receive(int descriptor, void *memory, uint64_t bytes, uint64_t *realtime_ns);
/// Another descriptor of the same connection, to be closed by itself, with receive timestamps on.
int csinks_duplicate(int descriptor);
/// Writes without waiting.
int64_t csinks_tcp_send(int descriptor, const void *bytes, uint64_t count);

// MARK: Waiting

int csinks_poll_open(void);
/// Bits as in epoll(7); `key` comes back from `csinks_poll_wait`.
int csinks_poll_add(int poll, int descriptor, uint32_t events, uint64_t key);
int csinks_poll_change(int poll, int descriptor, uint32_t events, uint64_t key);
int csinks_poll_remove(int poll, int descriptor);

struct csinks_ready {
    uint64_t key;
    uint32_t events;
};

/// At most 256 at a time; 0 after `timeout_ns`, also when a signal came.
int csinks_poll_wait(int poll, struct csinks_ready *ready, uint32_t ready_max, uint64_t timeout_ns);

uint64_t csinks_monotonic_ns(void);
uint64_t csinks_realtime_ns(void);
void csinks_sleep_ns(uint64_t nanoseconds);

// MARK: A process that reads TCP

/// Connections whose far ends another process reads and throws away, so that the reading is nobody else's CPU time.
struct csinks_tcp_sinks {
    int process;
    uint32_t count;
    /// The ends to send into; non-blocking, owned by the caller from `csinks_tcp_sinks_open` on.
    int *senders;
    /// Far ends that stayed here to be read by the caller: those of the first `sampled` senders.
    int *samples;
    uint32_t sampled;
    struct csinks_tcp_shared *shared;
};

/// `count` loopback connections over IPv4. The reading process sweeps them every `sweep_ns` and dies with this one.
int csinks_tcp_sinks_open(struct csinks_tcp_sinks *sinks, uint32_t count, uint32_t sampled, uint64_t sweep_ns);
/// Bytes that the reading process has thrown away.
uint64_t csinks_tcp_sinks_bytes(const struct csinks_tcp_sinks *sinks);
/// CPU time of the reading process, ns.
uint64_t csinks_tcp_sinks_cpu_ns(const struct csinks_tcp_sinks *sinks);
/// Ends the process, frees the arrays and closes the samples. The senders' descriptors are the caller's: see `close_senders`.
void csinks_tcp_sinks_close(struct csinks_tcp_sinks *sinks, bool close_senders);

#endif
