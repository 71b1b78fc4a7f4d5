/*
 * Random calls, good and bad, against one engine: random SEED STEPS [BACKEND]. What must hold whatever is called: codes are codes of the
 * header, what was removed is stale, every thing ends in exactly one event and is heard of no more, nothing leaks.
 */
#define _GNU_SOURCE
#include <fastpath.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THINGS 400

enum kind { NOTHING, STREAM, SOURCE, SENDER, READER };

/* What the program made. A thing's place is its user pointer. */
typedef struct thing {
    enum kind kind;
    fp_id id, stream;
    int is_leaving, is_pushed, is_tcp;
    /* The engine's descriptor and our end of it, or -1. */
    int descriptor, other;
    uint16_t sequence;
    uint16_t port;
} thing;

static fp_engine *engine;
static thing things[THINGS];
/* Ids of things that are gone. */
static fp_id gone[64];
static unsigned long made, ended, refused, again, events, steps;
static uint64_t state;

static uint32_t chance(uint32_t below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

static void broken(int line, const char *what, long value) {
    fprintf(stderr, "random.c:%d: step %lu: %s (%ld; %s)\n", line, steps, what, value, fp_last_error(engine));
    exit(1);
}
#define MUST(condition, value) \
    do { \
        if (!(condition)) broken(__LINE__, #condition, (long)(value)); \
    } while (0)

/* A result, and whether the call did something. */
static int took(int result) {
    MUST(result <= FP_OK && result >= FP_ERROR_STOPPED, result);
    MUST(result == FP_OK || *fp_last_error(engine), result);
    refused += result != FP_OK;
    again += result == FP_ERROR_AGAIN;
    return result == FP_OK;
}

static thing *some(enum kind kind) {
    uint32_t first = chance(THINGS);
    for (uint32_t step = 0; step < THINGS; step++) {
        thing *one = &things[(first + step) % THINGS];
        if (one->kind == kind) return one;
    }
    return NULL;
}

static int owner_is_leaving(const thing *one) {
    for (int place = 0; place < THINGS; place++)
        if (things[place].kind == STREAM && things[place].id == one->stream) return things[place].is_leaving;
    return one->kind != SENDER && one->kind != STREAM;
}

/* An id of a kind, seldom one that names nothing. */
static fp_id id_of(enum kind kind) {
    thing *one = some(kind);
    switch (chance(40)) {
    case 0: return gone[chance(64)];
    case 1: return (uint64_t)chance(UINT32_MAX) << 32 | chance(UINT32_MAX);
    case 2: return one ? one->id + 1 : 0;
    case 3: return (one = some((enum kind)(1 + chance(4)))) ? one->id : 0;
    default: return one ? one->id : 0;
    }
}

static void note(enum kind kind, fp_id id, fp_id stream, thing like) {
    for (int place = 0; place < THINGS; place++) {
        if (things[place].kind != NOTHING) continue;
        things[place] = like;
        things[place].kind = kind, things[place].id = id, things[place].stream = stream;
        MUST(fp_set_user(engine, id, &things[place]) == FP_OK, id);
        made++;
        return;
    }
    MUST(!"room for another thing", THINGS);
}

static int is_full(void) {
    int used = 0;
    for (int place = 0; place < THINGS; place++) used += things[place].kind != NOTHING;
    return used > THINGS - 8;
}

static struct sockaddr_in loopback(uint16_t port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

static void add_stream(void) {
    fp_stream_config config = fp_stream_config_default();
    fp_stream id;
    config.track_count = 1 + chance(3);
    config.bit_rate = chance(2) ? 0 : 1000 + chance(2000000);
    config.window_milliseconds = chance(3) ? 0 : chance(3000);
    config.pacing = chance(3);
    config.pacing_bit_rate = chance(10) ? 5000000 : 0;
    config.overload = chance(5);
    config.overload_nanoseconds = chance(1000000000);
    config.flags = chance(2);
    config.lag_bytes = chance(4) ? 0 : chance(100000);
    config.lag_nanoseconds = chance(4) ? 0 : chance(1000000000);
    for (int track = 0; track < 3; track++) config.tracks[track].codec = chance(20) ? chance(3) : chance(20);
    if (!chance(20)) config.size = chance(500);
    if (took(fp_stream_add(engine, &config, &id))) note(STREAM, id, id, (thing){.descriptor = -1, .other = -1});
}

static void add_source(void) {
    thing like = {.descriptor = -1, .other = -1};
    fp_stream stream = id_of(STREAM);
    fp_source id;
    struct sockaddr_in address = loopback(0);
    int pair[2], result;
    uint32_t channel = chance(20) ? chance(2) : chance(20);
    switch (chance(4)) {
    case 0:
        like.is_pushed = 1;
        result = fp_source_add_pushed(engine, stream, &id);
        break;
    case 1:
        result = fp_source_open_udp(engine, stream, channel, (struct sockaddr *)&address, sizeof address, &id);
        break;
    case 2:
        like.descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        MUST(bind(like.descriptor, (struct sockaddr *)&address, sizeof address) == 0, errno);
        result = fp_source_add_udp(engine, stream, like.descriptor, channel, chance(2) ? NULL : (struct sockaddr *)&address, sizeof address, &id);
        break;
    default:
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, errno);
        like.descriptor = pair[0], like.other = pair[1], like.is_tcp = 1;
        result = fp_source_add_tcp(engine, stream, pair[0], NULL, 0, "hello$", chance(7), &id);
    }
    if (took(result)) {
        if (!like.is_tcp && !like.is_pushed) MUST(fp_source_port(engine, id, &like.port) == FP_OK && like.port, like.port);
        note(SOURCE, id, stream, like);
    } else {
        if (like.descriptor >= 0) close(like.descriptor);
        if (like.other >= 0) close(like.other);
    }
}

static void add_sender(void) {
    fp_sender id;
    thing like = {.descriptor = -1, .other = -1};
    int result;
    if (chance(3) == 0) {
        like.descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        result = fp_sender_add(engine, like.descriptor, like.descriptor, &id);
    } else {
        result = chance(2) ? fp_sender_open(engine, NULL, 0, &id) : fp_sender_open_multicast(engine, AF_INET, "lo", chance(300), 1, &id);
    }
    if (took(result)) note(SENDER, id, 0, like);
    else if (like.descriptor >= 0) close(like.descriptor);
}

static void add_reader(int sink) {
    fp_stream stream = id_of(STREAM);
    thing like = {.descriptor = -1, .other = -1};
    fp_reader id;
    int pair[2], result;
    uint32_t begin = (chance(30) ? chance(2) : chance(10)) | (chance(5) ? 0 : FP_BEGIN_WAITS);
    if (chance(2)) {
        struct sockaddr_in address = loopback(0);
        socklen_t length = sizeof address;
        getsockname(sink, (struct sockaddr *)&address, &length);
        uint16_t port = ntohs(address.sin_port), ports[4] = {port, port, port, port};
        result = fp_reader_add_udp(engine, stream, id_of(SENDER), (struct sockaddr *)&address, length, ports, chance(6), begin, &id);
    } else {
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, errno);
        like.descriptor = pair[0], like.other = pair[1], like.is_tcp = 1;
        result = fp_reader_add_tcp(engine, stream, pair[0], NULL, 0, begin, &id);
    }
    if (took(result)) note(READER, id, stream, like);
    else if (like.is_tcp) close(pair[0]), close(pair[1]);
}

/* A packet: mostly RTP, sometimes anything. */
static size_t make_packet(unsigned char *packet, thing *from) {
    size_t length = 12 + chance(chance(8) ? 1400 : 60000);
    for (size_t place = 0; place < 40; place++) packet[place] = (unsigned char)chance(256);
    if (chance(10)) {
        /* One sender, unless it was restarted; its clock goes on. */
        if (chance(100)) memset(packet + 8, (int)(from - things), 4);
        packet[4] = packet[5] = 0, packet[6] = (unsigned char)(from->sequence >> 4);
        packet[0] = 0x80, packet[1] = 96 | (chance(4) ? 0 : 0x80);
        packet[2] = (unsigned char)(from->sequence >> 8), packet[3] = (unsigned char)from->sequence, from->sequence++;
        packet[12] = chance(5) ? 0x41 : 0x65; /* a slice, an IDR slice of H.264 */
    }
    return chance(20) ? length : 1 + chance(12);
}

static void feed(int sender) {
    static unsigned char bytes[65600];
    thing *from = some(SOURCE);
    if (from == NULL) return;
    for (uint32_t count = chance(40); count > 0; count--) {
        size_t length = make_packet(bytes + 4, from);
        if (from->is_pushed) {
            took(fp_source_push(engine, chance(50) ? from->id : id_of(SOURCE), chance(2), bytes + 4, chance(60) ? length : chance(70000)));
        } else if (from->is_tcp) {
            bytes[0] = chance(30) ? '$' : 'G', bytes[1] = (unsigned char)chance(3);
            bytes[2] = (unsigned char)(length >> 8), bytes[3] = (unsigned char)length;
            (void)!send(from->other, bytes, length + 4, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else {
            struct sockaddr_in address = loopback(from->port);
            (void)!sendto(sender, bytes + 4, length, MSG_DONTWAIT, (struct sockaddr *)&address, sizeof address);
        }
    }
}

static void take_one(const fp_event *event) {
    thing *one = event->user;
    events++;
    if (event->type == FP_EVENT_REFUSED || event->type == FP_EVENT_STOPPED) return;
    MUST(one != NULL && one->kind != NOTHING && one->id == event->id, event->type);
    int ends = event->type == FP_EVENT_READER_REMOVED || event->type == FP_EVENT_SOURCE_REMOVED || event->type == FP_EVENT_STREAM_REMOVED
               || event->type == FP_EVENT_SENDER_REMOVED;
    if (event->type == FP_EVENT_SOURCE_TEXT) {
        MUST(event->text != NULL && event->text_length > 0, event->text_length);
        unsigned sum = 0;
        for (size_t place = 0; place < event->text_length; place++) sum += event->text[place];
        const void *frame = memchr(event->text, '$', event->text_length);
        size_t consumed = frame ? (size_t)((const uint8_t *)frame - event->text) : event->text_length;
        took(fp_source_resume(engine, one->id, chance(20) ? consumed : chance(sum + 1)));
    }
    if (!ends) return;
    if (one->kind == STREAM)
        for (int place = 0; place < THINGS; place++)
            MUST(things[place].kind == NOTHING || &things[place] == one || things[place].stream != one->id, things[place].kind);
    gone[chance(64)] = one->id;
    if (one->descriptor >= 0) close(one->descriptor);
    if (one->other >= 0) close(one->other);
    one->kind = NOTHING;
    ended++;
    MUST(fp_set_user(engine, event->id, one) == FP_ERROR_STALE, event->type);
}

static void take_events(unsigned most) {
    fp_event event = fp_event_default();
    int result = 1;
    while (most-- > 0 && (result = fp_next_event(engine, &event)) == 1) take_one(&event);
    MUST(result >= 0, result);
}

static void remove_one(enum kind kind) {
    thing *one = some(kind);
    fp_id id = chance(8) && one ? one->id : id_of(kind);
    int result = kind == STREAM   ? fp_stream_remove(engine, id)
                 : kind == SOURCE ? fp_source_remove(engine, id)
                 : kind == SENDER ? fp_sender_remove(engine, id)
                                  : fp_reader_remove(engine, id);
    int done = took(result);
    MUST(result == FP_OK || result == FP_ERROR_STALE, result);
    for (int place = 0; place < THINGS; place++) {
        thing *other = &things[place];
        if (other->kind == NOTHING || other->id != id) continue;
        /* What is there can be removed, once; what is not cannot. */
        if (other->kind == kind) MUST(done == (!other->is_leaving && !owner_is_leaving(other)), result);
        else MUST(!done, result);
        if (done) other->is_leaving = 1;
        return;
    }
    MUST(!done, result);
}

static void use_reader(void) {
    static char bytes[3000];
    fp_reader reader = id_of(READER);
    switch (chance(6)) {
    case 0: took(fp_reader_pause(engine, reader)); break;
    case 1: took(fp_reader_resume(engine, reader, chance(3))); break;
    case 2: took(fp_reader_start(engine, reader)); break;
    case 3: took(fp_reader_set_overload(engine, reader, chance(5), chance(2000000000))); break;
    default: took(fp_reader_send(engine, reader, bytes, chance(50) ? 1 + chance(sizeof bytes) : 0));
    }
}

/* The far ends read, or stop, or leave. */
static void peers(int sink) {
    static char bytes[70000];
    while (recv(sink, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
    for (int place = 0; place < THINGS; place++) {
        thing *one = &things[place];
        if (one->kind == NOTHING || one->other < 0) continue;
        if (chance(4) == 0) (void)!recv(one->other, bytes, 1 + chance(sizeof bytes), MSG_DONTWAIT);
        if (chance(300) == 0) shutdown(one->other, (int)chance(3));
    }
}

static void read_counters(void) {
    uint64_t value;
    MUST(fp_counter(engine, chance((uint32_t)fp_counter_count(FP_COUNTERS_ENGINE)), &value) == FP_OK, 0);
    took(fp_stream_counter(engine, id_of(STREAM), chance(12), &value));
    took(fp_track_counter(engine, id_of(STREAM), chance(10), chance(15), &value));
}

static int descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void one_step(int sink, int sender) {
    switch (chance(16)) {
    case 0: if (!is_full() && chance(4) == 0) add_stream(); break;
    case 1: if (!is_full()) add_source(); break;
    case 2: if (!is_full() && chance(3) == 0) add_sender(); break;
    case 3: case 4: if (!is_full()) add_reader(sink); break;
    case 5: if (chance(40) == 0) remove_one(STREAM); break;
    case 6: if (chance(4) == 0) remove_one(SOURCE); break;
    case 7: if (chance(12) == 0) remove_one(SENDER); break;
    case 8: if (chance(3) == 0) remove_one(READER); break;
    case 9: use_reader(); break;
    case 10: took(fp_stream_begin_epoch(engine, id_of(STREAM))); break;
    case 11: read_counters(); break;
    case 12: peers(sink); break;
    case 13: take_events(chance(5) ? 1000 : chance(5)); break;
    case 14: fp_flush(engine); if (chance(10) == 0) usleep(chance(3000)); break;
    default: feed(sender);
    }
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    state = strtoull(arguments[1], NULL, 10) * 0x9E3779B97F4A7C15u + 1;
    unsigned long steps_wanted = strtoul(arguments[2], NULL, 10);
    fp_options options = fp_options_default();
    fp_limits limits = fp_limits_default();
    limits.streams_max = 6, limits.readers_max = 60, limits.sources_max = 20, limits.window_milliseconds = 200;
    limits.packet_log_bytes_max = 20 << 20, limits.queued_sends_max = 1 + chance(16), limits.write_stall_nanoseconds = 300000000;
    options.limits = &limits;
    options.workers = 1 + chance(3);
    if (count > 3 && strcmp(arguments[3], "epoll") == 0) options.backend = FP_BACKEND_EPOLL;
    if (count > 3 && strcmp(arguments[3], "plain") == 0) options.backend = FP_BACKEND_PLAIN;

    int before = descriptors();
    char why[300];
    if (fp_engine_create(&options, &engine, why, sizeof why) != FP_OK) {
        fprintf(stderr, "random.c: %s\n", why);
        return 1;
    }
    struct sockaddr_in address = loopback(0);
    int sink = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(bind(sink, (struct sockaddr *)&address, sizeof address) == 0, errno);
    for (; steps < steps_wanted; steps++) one_step(sink, sender);

    MUST(fp_engine_shutdown(engine) == FP_OK, 0);
    fp_event event = fp_event_default();
    for (int waited = 0;;) {
        int result = fp_next_event(engine, &event);
        if (result == 1) take_one(&event);
        if (result == 1 && event.type == FP_EVENT_STOPPED) break;
        struct pollfd waiting = {fp_event_fd(engine), POLLIN, 0};
        if (result == 0) poll(&waiting, 1, 100), waited++;
        MUST(result >= 0 && waited < 200, result);
    }
    MUST(event.leaks == 0 && made == ended, (long)made - (long)ended);
    uint64_t received = 0, sent = 0;
    fp_counter(engine, FP_COUNTER_PACKETS_RECEIVED, &received), fp_counter(engine, FP_COUNTER_PACKETS_SENT, &sent);
    printf("seed %s %s: %lu steps, %lu things, %lu refusals (%lu: again), %lu events, %llu packets in, %llu out\n", arguments[1],
        fp_backend_name(engine), steps, made, refused, again, events, (unsigned long long)received, (unsigned long long)sent);
    fp_engine_free(engine);
    close(sink), close(sender);
    /* The threads close what is theirs as they end. */
    for (int waited = 0; descriptors() != before && waited < 1000; waited++) usleep(10000);
    if (descriptors() != before) fprintf(stderr, "random.c: %d descriptors before, %d after\n", before, descriptors());
    return descriptors() != before;
}
