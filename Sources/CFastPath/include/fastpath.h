/*
 * fastpath.h: Weir's media engine for programs in C and C++ (C99, C++11). Linux, x86-64 and arm64, 64-bit.
 *
 * An engine takes in RTP and RTCP (from UDP sockets, multicast groups, interleaved TCP connections, or pushed by hand) and sends
 * every packet to each reader of its stream (UDP, multicast, interleaved TCP) from worker threads of its own. The program keeps
 * its sockets, its protocol and its event loop, and tells the engine what to do:
 *
 *     fp_engine *engine;  fp_stream stream;  fp_source source;  fp_sender sender;  fp_reader reader;
 *     fp_engine_create(NULL, &engine, NULL, 0);
 *     fp_stream_config config = fp_stream_config_default();
 *     config.track_count = 1;
 *     config.tracks[0].clock_rate = 90000;  config.tracks[0].codec = FP_CODEC_H264;
 *     fp_stream_add(engine, &config, &stream);
 *     fp_source_add_udp(engine, stream, descriptor, 0, NULL, 0, &source);
 *     fp_sender_open(engine, NULL, 0, &sender);
 *     fp_reader_add_udp(engine, stream, sender, address, address_length, NULL, 0, FP_BEGIN_KEY_FRAME, &reader);
 *     fp_flush(engine);
 *     // add fp_event_fd(engine) to the event loop; whenever it is readable:
 *     while (fp_next_event(engine, &event) == 1) { ... }
 *
 * Threads.   All calls on one engine belong to one thread at a time: either one thread makes them all, or the program holds a
 *            lock of its own around them. Different engines are independent. Functions without an engine, and fp_counter() on a
 *            live engine, may be called from any thread at any time.
 * Blocking.  No call waits for the network, for another thread or for a lock; no call calls back. (fp_engine_create() probes the
 *            kernel, and it and fp_stream_add() allocate and touch their memory, which takes time by its size.) The engine's threads
 *            take none of the program's signals.
 * Effect.    What is called is collected, and takes effect in the order of the calls at the next fp_flush() or fp_next_event().
 * Errors.    Functions that return int return FP_OK (0; where said, a count) or a negative FP_ERROR_...; an output is written
 *            only on success. NULL, bad numbers and ids of things that are gone are errors, never undefined behaviour; only an
 *            fp_engine pointer must be NULL or alive.
 * Ids.       Numbers that are never used again while the engine lives. 0 is never an id. The id of something removed stays
 *            valid for nothing: it is answered with FP_ERROR_STALE.
 * Channels.  Track t of a stream has its RTP on channel 2t and its RTCP on channel 2t+1, as in interleaved RTSP.
 * Sockets.   A descriptor that is given to the engine stays the caller's property; the caller closes it after the event that ends
 *            its use (FP_EVENT_SOURCE_REMOVED, FP_EVENT_READER_REMOVED, FP_EVENT_SENDER_REMOVED), never before.
 * Growth.    Structures begin with their size; the fp_..._default() functions set it, and zero everywhere else means "the default".
 *            A library takes structures of older headers, and of newer ones as long as what it does not know is zero.
 */
#ifndef FASTPATH_H
#define FASTPATH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---------------------------------------------------------------------------------------------------------- */

/* The version of this header (semantic versioning). Below 1.0 a new minor number may change what a program must write; programs that are
 * built already go on running with every library of the same soname. */
#define FP_VERSION_MAJOR 0
#define FP_VERSION_MINOR 1
#define FP_VERSION_PATCH 0
#define FP_VERSION_NUMBER (FP_VERSION_MAJOR * 1000000 + FP_VERSION_MINOR * 1000 + FP_VERSION_PATCH)
#define FP_VERSION_STRING "0.1.0"

/* FP_VERSION_NUMBER and FP_VERSION_STRING of the library that runs. */
uint32_t fp_version(void);
const char *fp_version_string(void);

/* ---- Errors ----------------------------------------------------------------------------------------------------------- */

enum {
    FP_OK = 0,
    FP_ERROR_ARGUMENT = -1, /* a NULL, a number out of range, an address family that is not IPv4 or IPv6 */
    FP_ERROR_SIZE = -2,     /* a structure's size is too small, or it sets something that this library does not know */
    FP_ERROR_STALE = -3,    /* the id names nothing that exists (any more), or something of another kind */
    FP_ERROR_LIMIT = -4,    /* a limit of fp_limits is reached */
    FP_ERROR_AGAIN = -5,    /* the engine's queue is full: take events, then call again */
    FP_ERROR_MEMORY = -6,   /* fp_limits.packet_log_bytes_max does not allow the stream */
    FP_ERROR_SYSTEM = -7,   /* the system refused; fp_last_errno() says how */
    FP_ERROR_BACKEND = -8,  /* the backend that was asked for does not work here */
    FP_ERROR_STATE = -9,    /* not now: the thing is in another state */
    FP_ERROR_STOPPED = -10  /* the engine was shut down */
};

typedef struct fp_engine fp_engine;

/* One short sentence for an error code; never NULL, the text lives for ever. */
const char *fp_error_text(int code);
/* What was wrong in the last call on this engine that failed, and what to do about it. Never NULL ("" before the first failure, or
 * for a NULL engine). The text stays as it is until the next call that fails. */
const char *fp_last_error(const fp_engine *engine);
/* The error number (errno.h) of the last call that failed with FP_ERROR_SYSTEM; 0 if none did. */
int fp_last_errno(const fp_engine *engine);

/* ---- Engine ----------------------------------------------------------------------------------------------------------- */

/* fp_limits.delay_microseconds_max: packets leave at once. */
#define FP_NO_DELAY 0xFFFFFFFFu

/* Every capacity of an engine. Zero: the default. */
typedef struct fp_limits {
    uint32_t size;
    uint32_t streams_max;                 /* at a time; 1,024 */
    uint32_t sources_max;                 /* 8,192 */
    uint32_t readers_max;                 /* 20,000 */
    uint64_t packet_log_bytes_max;        /* of all streams together; 2 GiB */
    uint64_t bit_rate_default;            /* of a stream that names none; 8,000,000 bit/s */
    uint32_t window_milliseconds;         /* of media that a stream keeps; 2,000 */
    uint32_t delay_microseconds_max;      /* the longest that a packet waits for more to go with it; 2,000; FP_NO_DELAY */
    uint64_t write_stall_nanoseconds;     /* a TCP reader that takes nothing for so long is given up; 10 s */
    uint64_t sender_silence_nanoseconds;  /* a latched sender is let go after so long without a packet; 2 s */
    uint32_t queued_sends_max;            /* fp_reader_send() waiting on one reader; 16 */
    uint32_t interleaved_buffer_bytes;    /* of a TCP source; 196,608 */
    uint32_t datagram_buffers;            /* receive buffers of each worker; 128 */
    uint32_t datagram_buffer_bytes;       /* 65,792 */
} fp_limits;

/* What carries the media. */
enum {
    FP_BACKEND_AUTO = 0, /* the best that works here */
    FP_BACKEND_IO_URING = 1,
    FP_BACKEND_EPOLL = 2,
    FP_BACKEND_PLAIN = 3 /* no offload: works everywhere */
};

enum { FP_ZERO_COPY_AUTO = 0, FP_ZERO_COPY_OFF = 1, FP_ZERO_COPY_ON = 2 };

/* fp_options.flags */
#define FP_REQUIRE_IO_URING 0x1u /* fail rather than fall back to another backend */
/* fp_options.workers: one for each processor that the process may use. */
#define FP_WORKERS_PER_PROCESSOR 0xFFFFFFFFu

typedef struct fp_options {
    uint32_t size;
    uint32_t backend;        /* FP_BACKEND_... */
    uint32_t workers;        /* threads that carry media, 1 to 64; 0: 1 */
    uint32_t zero_copy;      /* FP_ZERO_COPY_... */
    uint32_t flags;          /* FP_REQUIRE_IO_URING */
    uint32_t reserved;       /* 0 */
    const fp_limits *limits; /* NULL: the defaults; read during fp_engine_create() only */
} fp_options;

/* Makes an engine and starts its threads. `options` may be NULL. If it fails, `*engine` becomes NULL and the reason is put into `why`
 * (`why_size` bytes, cut and terminated; may be NULL). FP_ERROR_ARGUMENT, FP_ERROR_SIZE, FP_ERROR_BACKEND, FP_ERROR_SYSTEM. */
int fp_engine_create(const fp_options *options, fp_engine **engine, char *why, size_t why_size);
/* Ends everything: removes streams, sources, readers and senders (each is reported) and stops the threads; FP_EVENT_STOPPED is the
 * last event, a few seconds later at most, as long as events are taken. Calls that add or change something answer FP_ERROR_STOPPED from
 * now on. Twice is no error. */
int fp_engine_shutdown(fp_engine *engine);
/* Frees the engine: the pointer, the texts it gave out and its event descriptor are invalid afterwards. To be called after
 * FP_EVENT_STOPPED was taken. Before that it is allowed, does not wait either, and the engine ends in the background; but nothing then
 * says when the program's descriptors are no longer used (some seconds), so it is for programs that end. NULL does nothing. */
void fp_engine_free(fp_engine *engine);

/* The backend chosen (FP_BACKEND_..., FP_ERROR_ARGUMENT for NULL), its name, one sentence why. The texts ("" for NULL) live as it does. */
int fp_backend(const fp_engine *engine);
const char *fp_backend_name(const fp_engine *engine);
const char *fp_backend_reason(const fp_engine *engine);
/* Writes the limits that the engine was made with, as far as `limits->size` reaches (set it with fp_limits_default()). */
int fp_engine_limits(const fp_engine *engine, fp_limits *limits);
/* How many workers carry media. */
int fp_engine_workers(const fp_engine *engine);

/* ---- Ids -------------------------------------------------------------------------------------------------------------- */

typedef uint64_t fp_id; /* any of the following */
typedef uint64_t fp_stream;
typedef uint64_t fp_source;
typedef uint64_t fp_reader;
typedef uint64_t fp_sender;

/* Keeps a pointer of the program with a stream, source, reader or sender; its events carry it (fp_event.user). The engine does not look
 * at it. It is forgotten after the event that ends the thing. */
int fp_set_user(fp_engine *engine, fp_id id, void *user);

/* ---- Streams ---------------------------------------------------------------------------------------------------------- */

#define FP_TRACKS_MAX 8
#define FP_CHANNELS_MAX 16

/* How key frames are found in a track. FP_CODEC_OPAQUE: they are not (audio, unknown codecs); readers begin at any packet. */
enum {
    FP_CODEC_OPAQUE = 0,
    FP_CODEC_H264 = 1,
    FP_CODEC_H265 = 2,
    FP_CODEC_AV1 = 3,
    FP_CODEC_VP8 = 4,
    FP_CODEC_VP9 = 5,
    FP_CODEC_MPEG4_PART2 = 6,
    FP_CODEC_MPEG12_VIDEO = 7,
    FP_CODEC_JPEG = 8,
    FP_CODEC_MP2T = 9
};

typedef struct fp_track {
    uint32_t clock_rate; /* of the RTP timestamps, Hz; 0: 90,000 */
    uint32_t codec;      /* FP_CODEC_... */
    uint32_t ssrc;       /* that readers see for the life of the stream; 0: one is drawn */
    uint32_t reserved;   /* 0 */
} fp_track;

/* How fast packets leave once they are due. */
enum {
    FP_PACING_ADAPTIVE = 0, /* large frames are spread over most of the frame interval */
    FP_PACING_OFF = 1,      /* as fast as the kernel takes them */
    FP_PACING_FIXED = 2     /* at most pacing_bit_rate to each reader */
};

/* What becomes of a reader that is too far behind. */
enum {
    FP_OVERLOAD_DEFAULT = 0,           /* as FP_OVERLOAD_SKIP_TO_KEY_FRAME */
    FP_OVERLOAD_SKIP_TO_KEY_FRAME = 1, /* it goes on at the newest key frame, else at the next one */
    FP_OVERLOAD_DROP_OLDEST = 2,       /* it goes on at the oldest packet within bounds */
    FP_OVERLOAD_DISCONNECT = 3         /* as DROP_OLDEST for so many nanoseconds, then FP_EVENT_READER_FAILED */
};

/* fp_stream_config.flags */
#define FP_NO_JOIN_BURST 0x1u /* newcomers wait for the next key frame instead of being sent the last one and what followed */
#define FP_ORIGIN_CLOCK 0x2u  /* sender reports tell the source's wall clock; without it they tell this host's */

typedef struct fp_stream_config {
    uint32_t size;
    uint32_t track_count; /* 1 to FP_TRACKS_MAX */
    fp_track tracks[FP_TRACKS_MAX];
    uint64_t bit_rate;                    /* that memory is laid out for, bit/s; 0: fp_limits.bit_rate_default */
    uint32_t window_milliseconds;         /* of media kept; 0: fp_limits.window_milliseconds */
    uint32_t flags;                       /* FP_NO_JOIN_BURST, FP_ORIGIN_CLOCK */
    uint32_t pacing;                      /* FP_PACING_... */
    uint32_t overload;                    /* FP_OVERLOAD_... */
    uint64_t pacing_bit_rate;             /* for FP_PACING_FIXED, bit/s */
    uint64_t overload_nanoseconds;        /* for FP_OVERLOAD_DISCONNECT */
    uint64_t lag_nanoseconds;             /* how far behind a reader may be; 0: as far as the window reaches */
    uint64_t lag_bytes;                   /* the same in bytes of the stream */
    uint64_t join_burst_nanoseconds;      /* no key frame older than this is gone back to; 0: 10 s */
    uint64_t join_burst_bytes;            /* no more than this is sent over again; 0: 32 MiB */
    uint32_t join_burst_speed_tenths;     /* how much faster than it was made, in tenths, at least 11; 0: 40 */
    uint32_t reserved;                    /* 0 */
} fp_stream_config;

/* Opens a stream. FP_ERROR_ARGUMENT, FP_ERROR_SIZE, FP_ERROR_LIMIT, FP_ERROR_MEMORY, FP_ERROR_AGAIN, FP_ERROR_STOPPED. */
int fp_stream_add(fp_engine *engine, const fp_stream_config *config, fp_stream *stream);
/* Removes a stream with its sources and readers. Each of them is reported removed, then comes FP_EVENT_STREAM_REMOVED. The id is stale for
 * calls at once. Removals are never refused for want of room. FP_ERROR_STALE. */
int fp_stream_remove(fp_engine *engine, fp_stream stream);
/* The source began a new time line (it was dialled again): readers keep their sequence numbers and time, and video goes on at a key
 * frame. FP_ERROR_STALE, FP_ERROR_AGAIN. */
int fp_stream_begin_epoch(fp_engine *engine, fp_stream stream);

/* ---- Sources: all end in FP_EVENT_SOURCE_REMOVED, after fp_source_remove() or fp_stream_remove() ------------------------ */

/* Receives one channel from a bound UDP socket. Only datagrams from `peer` are taken (IPv4 or IPv6; port 0: the first port of that
 * host is latched). `peer` NULL: the first sender is latched, and let go after fp_limits.sender_silence_nanoseconds without a packet. */
int fp_source_add_udp(
    fp_engine *engine, fp_stream stream, int descriptor, uint32_t channel, const struct sockaddr *peer, socklen_t peer_length,
    fp_source *source);
/* The same with a socket that the library opens at `local` (NULL: any address; port 0: the system chooses; see fp_source_port()) and
 * closes; any sender is taken. FP_ERROR_SYSTEM when the port is taken. */
int fp_source_open_udp(
    fp_engine *engine, fp_stream stream, uint32_t channel, const struct sockaddr *local, socklen_t local_length, fp_source *source);
/* The port that a UDP or multicast source receives on. FP_ERROR_STATE for other sources. */
int fp_source_port(fp_engine *engine, fp_source source, uint16_t *port);
/* Joins a multicast group (address and port) and receives one channel of it. `origin`: the only sender wanted (RFC 4607), or NULL.
 * `interface_name` ("eth0"): NULL for what the routes say. The library opens, joins and closes the socket. */
int fp_source_add_multicast(
    fp_engine *engine, fp_stream stream, uint32_t channel, const struct sockaddr *group, socklen_t group_length,
    const struct sockaddr *origin, socklen_t origin_length, const char *interface_name, fp_source *source);
/* Receives interleaved frames (RFC 2326 section 10.12) from a connected TCP socket. `channels[c]` is the connection's channel for
 * channel c of the stream, -1 for none, `channel_count` of them; NULL: each its own number. `prefix` holds what was read from the
 * socket already; it is copied, and may be NULL. What is no frame comes as FP_EVENT_SOURCE_TEXT. */
int fp_source_add_tcp(
    fp_engine *engine, fp_stream stream, int descriptor, const int16_t *channels, size_t channel_count, const void *prefix,
    size_t prefix_length, fp_source *source);
/* The answer to FP_EVENT_SOURCE_TEXT: so many bytes were text, what follows is a frame or text again. 0: wait for more bytes. */
int fp_source_resume(fp_engine *engine, fp_source source, size_t consumed);
/* A source without a socket: packets come by fp_source_push(). */
int fp_source_add_pushed(fp_engine *engine, fp_stream stream, fp_source *source);
/* Gives one RTP or RTCP packet (1 to 65,535 bytes, copied) to a pushed source. FP_ERROR_AGAIN: not taken. */
int fp_source_push(fp_engine *engine, fp_source source, uint32_t channel, const void *packet, size_t length);
/* Stops receiving. What was received before is still sent to the readers. FP_ERROR_STALE. */
int fp_source_remove(fp_engine *engine, fp_source source);

/* ---- Senders: sockets that UDP readers are sent from -------------------------------------------------------------------- */

/* Opens sockets (RTP and RTCP, for each worker) at `local`: an even port, RTCP at the next one; port 0: the system chooses.
 * `local` NULL: any address, any port. The library closes them. FP_ERROR_SYSTEM when the ports are taken. */
int fp_sender_open(fp_engine *engine, const struct sockaddr *local, socklen_t local_length, fp_sender *sender);
/* Opens sockets for sending to multicast groups of a family (AF_INET, AF_INET6). `interface_name` NULL: what the routes say; `ttl` 1 to
 * 255, 0: 16; `loop`: not 0 if this machine is to hear it, too. */
int fp_sender_open_multicast(
    fp_engine *engine, int family, const char *interface_name, uint32_t ttl, int loop, fp_sender *sender);
/* Sends from the caller's own bound UDP sockets, which may be one and the same, and which the caller may read from. */
int fp_sender_add(fp_engine *engine, int rtp_descriptor, int rtcp_descriptor, fp_sender *sender);
/* The port that a sender's RTP comes from. */
int fp_sender_port(fp_engine *engine, fp_sender sender, uint16_t *rtp_port);
/* Forgets a sender: no new reader may name it, and FP_EVENT_SENDER_REMOVED follows after its last reader was removed. */
int fp_sender_remove(fp_engine *engine, fp_sender sender);

/* ---- Readers: all end in FP_EVENT_READER_REMOVED, after fp_reader_remove() or fp_stream_remove() ------------------------ */

/* Where a reader begins. A reader begins when its FP_EVENT_READER_JOINED is taken, or fp_reader_start() is called after that. */
enum {
    FP_BEGIN_KEY_FRAME = 0, /* the newest key frame held (FP_NO_JOIN_BURST: not), else the next one */
    FP_BEGIN_NOW = 1        /* the next packet of any kind */
};
/* Added to it: nothing is sent before fp_reader_start(), so that the reader can be told where it begins (RTP-Info of RTSP). */
#define FP_BEGIN_WAITS 0x100u

/* Sends a stream to a host or to a multicast group (then by a sender of fp_sender_open_multicast()). `ports[c]` is the port for
 * channel c, 0 for none, `port_count` of them; NULL: channel c goes to the address's own port + c. */
int fp_reader_add_udp(
    fp_engine *engine, fp_stream stream, fp_sender sender, const struct sockaddr *address, socklen_t address_length, const uint16_t *ports,
    size_t port_count, uint32_t begin, fp_reader *reader);
/* Sends a stream to a connected TCP socket in interleaved frames; `channels` as for fp_source_add_tcp(). From here until
 * FP_EVENT_READER_REMOVED only the engine writes to the socket; the program may go on reading from it. */
int fp_reader_add_tcp(
    fp_engine *engine, fp_stream stream, int descriptor, const int16_t *channels, size_t channel_count, uint32_t begin, fp_reader *reader);
/* Has a reader that was added with FP_BEGIN_WAITS begin. FP_ERROR_STATE before FP_EVENT_READER_JOINED. */
int fp_reader_start(fp_engine *engine, fp_reader reader);
/* Sends no more media to the reader until fp_reader_resume(); a frame that was begun is sent to its end. */
int fp_reader_pause(fp_engine *engine, fp_reader reader);
/* Has a paused reader begin anew (FP_BEGIN_KEY_FRAME or FP_BEGIN_NOW); FP_EVENT_READER_JOINED follows. FP_ERROR_STATE if it is not
 * paused. */
int fp_reader_resume(fp_engine *engine, fp_reader reader, uint32_t begin);
/* Treats this reader otherwise than the stream's configuration says when it is behind. FP_OVERLOAD_..., `nanoseconds` for DISCONNECT. */
int fp_reader_set_overload(fp_engine *engine, fp_reader reader, uint32_t overload, uint64_t nanoseconds);
/* Sends 1 to 1,048,576 bytes to a TCP reader, in the order of the calls, between two frames. Copied. FP_ERROR_AGAIN while
 * fp_limits.queued_sends_max of them wait. */
int fp_reader_send(fp_engine *engine, fp_reader reader, const void *bytes, size_t length);
/* Removes a reader. What was queued with fp_reader_send() is sent if it can leave at once; a frame that was begun may stay unfinished. No
 * packet leaves after FP_EVENT_READER_REMOVED. FP_ERROR_STALE. */
int fp_reader_remove(fp_engine *engine, fp_reader reader);

/* ---- Events ----------------------------------------------------------------------------------------------------------- */

enum {
    FP_EVENT_READER_JOINED = 1,  /* id: the reader. starts: where it begins in each track */
    FP_EVENT_READER_FAILED = 2,  /* the engine sends it no more; reason: FP_FAILURE_... Remove it */
    FP_EVENT_READER_LAGGED = 3,  /* it missed `packets`; reason: FP_LAG_... At most once a minute for each reader */
    FP_EVENT_READER_REMOVED = 4, /* its descriptor is the program's alone again */
    FP_EVENT_SOURCE_ACTIVE = 5,  /* id: the source. Its first packet arrived */
    FP_EVENT_SOURCE_TEXT = 6,    /* text, text_length: what came between frames. Answer with fp_source_resume() */
    FP_EVENT_SOURCE_ENDED = 7,   /* the connection ended: error_number 0 at its orderly end. Remove it */
    FP_EVENT_SOURCE_REMOVED = 8, /* its descriptor is the program's alone again */
    FP_EVENT_SENDER_REPORT = 9,  /* id: the stream. track, ssrc, ntp, rtp_time: RFC 3550 section 6.4.1, as the source wrote it */
    FP_EVENT_SOURCE_BYE = 10,    /* id: the stream. The source said goodbye to `track` (RTCP BYE) */
    FP_EVENT_STREAM_REMOVED = 11,
    FP_EVENT_SENDER_REMOVED = 12,
    FP_EVENT_REFUSED = 13, /* the kernel did not do something for the engine; reason: FP_REFUSAL_..., error_number. For the log */
    FP_EVENT_STOPPED = 14  /* the last event; `leaks` things did not come home: 0, or it is a bug of the engine */
};

/* Why a reader failed. */
enum {
    FP_FAILURE_STALLED = 1,         /* it took nothing for fp_limits.write_stall_nanoseconds */
    FP_FAILURE_CONNECTION_LOST = 2, /* reset or closed */
    FP_FAILURE_QUEUE_FULL = 3,      /* more than fp_limits.queued_sends_max waited in the engine */
    FP_FAILURE_TOO_SLOW = 4         /* behind for longer than FP_OVERLOAD_DISCONNECT allows */
};

/* Why a reader missed packets. */
enum {
    FP_LAG_SOCKET_FULL = 1,  /* its connection, or the sender's socket, stayed full */
    FP_LAG_RING_OVERRUN = 2, /* they had left the stream's window */
    FP_LAG_POLICY = 3,       /* it was further behind than lag_nanoseconds or lag_bytes */
    FP_LAG_REFUSED = 4       /* the kernel refuses to send to its address */
};

enum { FP_REFUSAL_REGISTER = 1, FP_REFUSAL_RING = 2, FP_REFUSAL_KIND = 3 };

/* Where a reader begins in one track. */
typedef struct fp_start {
    uint32_t timestamp; /* RTP timestamp */
    uint16_t sequence;  /* of the first packet */
    uint16_t is_known;  /* 0: the track has not sent a packet yet */
} fp_start;

typedef struct fp_event {
    uint32_t size;
    uint32_t type;       /* FP_EVENT_... */
    fp_id id;            /* what it is about; 0 for FP_EVENT_REFUSED and FP_EVENT_STOPPED */
    void *user;          /* of fp_set_user(); NULL before */
    uint32_t reason;
    int32_t error_number;
    uint32_t packets;
    uint32_t leaks;
    uint32_t track;
    uint32_t ssrc;
    uint64_t ntp;
    uint32_t rtp_time;
    uint32_t reserved;
    const uint8_t *text; /* valid until the next fp_next_event() of this engine */
    size_t text_length;
    fp_start starts[FP_TRACKS_MAX];
} fp_event;

/* A descriptor that is readable while events wait; for poll, epoll and the like, level- or edge-triggered. Do not read, write or close
 * it: fp_next_event() resets it. FP_ERROR_ARGUMENT for NULL. */
int fp_event_fd(const fp_engine *engine);
/* Takes the oldest event: 1; 0 when none waits (then `*event` is as it was). Flushes as fp_flush() does. `event->size` must be set, once
 * (fp_event_default()). Take events until it returns 0: readers begin as their events are taken, and an engine whose events nobody
 * takes answers calls with FP_ERROR_AGAIN in the end. */
int fp_next_event(fp_engine *engine, fp_event *event);
/* Has what was called before take effect. */
int fp_flush(fp_engine *engine);

/* ---- Counters: 64-bit, never reset ------------------------------------------------------------------------------------ */

/* Of the whole engine. Packets are RTP and RTCP; bytes are theirs, without framing. */
enum {
    FP_COUNTER_PACKETS_RECEIVED = 0, FP_COUNTER_BYTES_RECEIVED = 1, /* taken from sources into streams */
    FP_COUNTER_PACKETS_SENT = 2, FP_COUNTER_BYTES_SENT = 3, FP_COUNTER_SENDS_SUBMITTED = 4, /* to readers; sends that carried them */
    FP_COUNTER_DATAGRAMS_FOREIGN = 5, FP_COUNTER_DATAGRAMS_MALFORMED = 6, FP_COUNTER_DATAGRAMS_OVERSIZE = 7, /* not taken */
    FP_COUNTER_FRAMES_UNKNOWN_CHANNEL = 8, FP_COUNTER_PACKETS_BEFORE_KEY_FRAME = 9, /* on no mapped channel; held back in an epoch */
    FP_COUNTER_RING_OVERRUNS = 10, FP_COUNTER_PACKETS_OVERRUN = 11, /* readers that fell out of the window, packets missed so */
    FP_COUNTER_SENDS_DEFERRED = 12, FP_COUNTER_PACKETS_DROPPED_NO_ROOM = 13, /* refused for want of room; given up later */
    FP_COUNTER_TRAINS_REFUSED = 14, FP_COUNTER_PACKETS_REFUSED = 15, /* sent again singly; for good: host unreachable and the like */
    FP_COUNTER_SHORT_WRITES = 16, FP_COUNTER_READERS_STALLED = 17, /* TCP sends that took less than offered; readers given up: */
    FP_COUNTER_READERS_CONNECTION_LOST = 18, FP_COUNTER_READERS_QUEUE_FULL = 19, FP_COUNTER_READERS_TOO_SLOW = 20,
    FP_COUNTER_PACKETS_OVER_POLICY = 21, FP_COUNTER_JOIN_BURSTS = 22, /* missed by the policy; newcomers begun at a past key frame */
    FP_COUNTER_PACED_TURNS = 23, FP_COUNTER_HANDOVERS = 24, FP_COUNTER_PACKETS_LOG_PINNED = 25,
    FP_COUNTER_ZC_SENT = 26, FP_COUNTER_ZC_COPIED = 27, FP_COUNTER_ZC_PENDING = 28, /* zero-copy sends; copied all the same; out */
    FP_COUNTER_RECEIVE_BUFFERS_EXHAUSTED = 29, FP_COUNTER_COMPLETION_OVERFLOWS = 30,
    FP_COUNTER_STALE_COMMANDS = 31, FP_COUNTER_REPORTS_DROPPED = 32, FP_COUNTER_TURNS = 33, FP_COUNTER_SYSTEM_CALLS = 34,
    FP_COUNTER_FAN_OUT_NANOSECONDS = 35, FP_COUNTER_FAN_OUTS = 36, /* from arrival to the last send, summed; how many */
    FP_COUNTER_PACKETS_BEFORE_SPLICE = 37, FP_COUNTER_PARAMETER_SETS_TOO_LONG = 42, /* audio from before what was heard; not learnt */
    FP_COUNTER_PACKETS_FRAGMENTED = 38, FP_COUNTER_PACKETS_OVERSIZE = 39, /* larger than the stream's limit: cut; left as they are */
    FP_COUNTER_PACKETS_OVER_DATAGRAM = 40, FP_COUNTER_PACKETS_BEHIND_CUT = 41, /* no datagram holds them; late, before one cut */
    FP_COUNTER_PACKETS_RESENT = 43, FP_COUNTER_RESENDS_TOO_LATE = 44, FP_COUNTER_RESENDS_REFUSED = 45, /* of verbatim streams */
    FP_COUNTER_STORED_READS = 46, FP_COUNTER_STORED_READ_BYTES = 47, FP_COUNTER_STORED_READ_NANOSECONDS = 48,
    FP_COUNTER_STORED_BLOCKS_SHARED = 49, FP_COUNTER_STORED_READS_FAILED = 50, FP_COUNTER_STORED_BLOCKS_SHORT = 51,
    FP_COUNTER_STORED_READS_OVERDUE = 52, FP_COUNTER_STORED_READERS_OVERDUE = 53 /* none here */
};

enum {
    FP_STREAM_COUNTER_PACKETS_RECEIVED = 0, FP_STREAM_COUNTER_BYTES_RECEIVED = 1, FP_STREAM_COUNTER_PACKETS_SENT = 2,
    FP_STREAM_COUNTER_BYTES_SENT = 3, FP_STREAM_COUNTER_READERS_LIVE = 4, FP_STREAM_COUNTER_RING_OVERRUNS = 5,
    FP_STREAM_COUNTER_PACKETS_DROPPED = 6, FP_STREAM_COUNTER_LAST_ARRIVAL_NANOSECONDS = 7, /* CLOCK_MONOTONIC; 0: none yet */
    FP_STREAM_COUNTER_EPOCHS = 8, FP_STREAM_COUNTER_PACKETS_LOGGED = 9, FP_STREAM_COUNTER_SLATE_FRAMES = 10,
    FP_STREAM_COUNTER_SLATE_PACKETS = 11, FP_STREAM_COUNTER_FRAMES_CUT = 14, /* by their source's end */
    FP_STREAM_COUNTER_PREFACE_PACKETS = 15, FP_STREAM_COUNTER_PICTURES_NOT_HELD = 16, /* parameter sets put in front; not kept back */
    FP_STREAM_COUNTER_CLOCK_STEPS = 12, FP_STREAM_COUNTER_REPORTS_UNUSABLE = 13, FP_STREAM_COUNTER_PACKETS_RESENT = 17
};

/* What a receiver report needs (RFC 3550 section 6.4). */
enum {
    FP_TRACK_COUNTER_PACKETS = 0, FP_TRACK_COUNTER_BYTES = 1, FP_TRACK_COUNTER_SEQUENCE_HIGHEST = 2, FP_TRACK_COUNTER_EXPECTED = 3,
    FP_TRACK_COUNTER_RECEIVED_IN_EPOCH = 4, FP_TRACK_COUNTER_JITTER = 5, FP_TRACK_COUNTER_SSRC = 6, FP_TRACK_COUNTER_SEQUENCE_OUT = 7,
    FP_TRACK_COUNTER_TIMESTAMP_OUT = 8, FP_TRACK_COUNTER_LAST_SENDER_REPORT = 9, FP_TRACK_COUNTER_LAST_SENDER_REPORT_ARRIVAL = 10,
    FP_TRACK_COUNTER_KEY_FRAMES = 11, FP_TRACK_COUNTER_TIMESTAMP_STEP = 12,
    FP_TRACK_COUNTER_SENDER_REPORT_OUT = 13, FP_TRACK_COUNTER_SENDER_REPORT_OUT_AT = 14, /* the last one to readers */
    FP_TRACK_COUNTER_PACKET_BYTES_MAX = 15, FP_TRACK_COUNTER_PACKETS_FRAGMENTED = 16, FP_TRACK_COUNTER_PACKETS_OVERSIZE = 17
};

/* Reads a counter of the whole engine, from any thread. FP_ERROR_ARGUMENT for a number that this library does not know. */
int fp_counter(const fp_engine *engine, uint32_t counter, uint64_t *value);
/* Reads a counter of a stream, FP_STREAM_COUNTER_... */
int fp_stream_counter(fp_engine *engine, fp_stream stream, uint32_t counter, uint64_t *value);
/* Reads a counter of a track, FP_TRACK_COUNTER_...; 0 for a track that the stream does not have. */
int fp_track_counter(fp_engine *engine, fp_stream stream, uint32_t track, uint32_t counter, uint64_t *value);

/* Which family of counters a name belongs to. */
enum { FP_COUNTERS_ENGINE = 0, FP_COUNTERS_STREAM = 1, FP_COUNTERS_TRACK = 2 };
/* How many counters this library has in a family: their numbers are 0 and up. */
int fp_counter_count(uint32_t family);
/* The name of a counter ("packets_received"), or NULL. The text lives for ever. */
const char *fp_counter_name(uint32_t family, uint32_t counter);
/* The number of a counter by its name, FP_ERROR_ARGUMENT if there is none. */
int fp_counter_find(uint32_t family, const char *name);

#ifdef __cplusplus
}
#endif

/* ---- Structures with their size set and everything else at its default ------------------------------------------------- */

static inline fp_options fp_options_default(void) {
    fp_options options;
    memset(&options, 0, sizeof options);
    options.size = (uint32_t)sizeof options;
    return options;
}

static inline fp_limits fp_limits_default(void) {
    fp_limits limits;
    memset(&limits, 0, sizeof limits);
    limits.size = (uint32_t)sizeof limits;
    return limits;
}

static inline fp_stream_config fp_stream_config_default(void) {
    fp_stream_config config;
    memset(&config, 0, sizeof config);
    config.size = (uint32_t)sizeof config;
    return config;
}

static inline fp_event fp_event_default(void) {
    fp_event event;
    memset(&event, 0, sizeof event);
    event.size = (uint32_t)sizeof event;
    return event;
}

#endif /* FASTPATH_H */
