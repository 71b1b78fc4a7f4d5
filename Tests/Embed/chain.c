/*
 * Every kind of source and reader in one chain: pushed → TCP → TCP → UDP (the program's sockets) → UDP (one peer only) → multicast →
 * multicast → TCP, four streams of one engine: chain BACKEND. What comes out at the end is what went in, packet by packet, and then
 * everything is taken down one by one.
 */
#define _GNU_SOURCE
#include <fastpath.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PACKETS 600

static fp_engine *engine;
static unsigned seen[FP_EVENT_STOPPED + 1];

static void check(int result, const char *what) {
    if (result >= 0) return;
    fprintf(stderr, "chain.c: %s: %s: %s (%d)\n", what, fp_error_text(result), fp_last_error(engine), fp_last_errno(engine));
    exit(1);
}

static void must(int condition, const char *what, long value) {
    if (condition) return;
    fprintf(stderr, "chain.c: %s (%ld)\n", what, value);
    exit(1);
}

static fp_stream stream(void) {
    fp_stream_config config = fp_stream_config_default();
    fp_stream id = 0;
    config.track_count = 1;
    config.bit_rate = 2000000;
    check(fp_stream_add(engine, &config, &id), "fp_stream_add");
    return id;
}

static struct sockaddr_in address(uint32_t host, uint16_t port) {
    struct sockaddr_in result;
    memset(&result, 0, sizeof result);
    result.sin_family = AF_INET;
    result.sin_addr.s_addr = htonl(host);
    result.sin_port = htons(port);
    return result;
}

/* A UDP socket of the program's, and its port. */
static int datagrams(uint16_t *port) {
    struct sockaddr_in local = address(INADDR_LOOPBACK, 0);
    socklen_t length = sizeof local;
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    must(bind(descriptor, (struct sockaddr *)&local, sizeof local) == 0, "bind", errno);
    getsockname(descriptor, (struct sockaddr *)&local, &length);
    *port = ntohs(local.sin_port);
    return descriptor;
}

static void take_events(int milliseconds) {
    struct pollfd waiting = {fp_event_fd(engine), POLLIN, 0};
    fp_event event = fp_event_default();
    poll(&waiting, 1, milliseconds);
    while (fp_next_event(engine, &event) == 1) {
        must(event.type >= 1 && event.type <= FP_EVENT_STOPPED, "an event of no type", (long)event.type);
        must(event.type != FP_EVENT_READER_FAILED && event.type != FP_EVENT_REFUSED && event.type != FP_EVENT_SOURCE_ENDED,
            "an event that must not be", (long)event.type);
        must(event.type != FP_EVENT_STOPPED || event.leaks == 0, "leaks", (long)event.leaks);
        seen[event.type]++;
    }
}

static void wait_for(uint32_t type, unsigned wanted) {
    for (int tries = 0; seen[type] < wanted; tries++) {
        must(tries < 500, "an event did not come", (long)type);
        take_events(10);
    }
    must(seen[type] == wanted, "an event came too often", (long)type);
}

static size_t make(unsigned char *packet, unsigned number) {
    size_t length = 12 + 1 + number * 97 % 1300;
    unsigned char high = (unsigned char)(number >> 8), low = (unsigned char)number;
    unsigned char head[12] = {0x80, 96, high, low, 0, 0, high, low, 9, 9, 9, 9};
    memcpy(packet, head, 12);
    for (size_t place = 12; place < length; place++) packet[place] = (unsigned char)(number * 31 + place * 7);
    return length;
}

int main(int count, char **arguments) {
    fp_options options = fp_options_default();
    const char *backend = count > 1 ? arguments[1] : "auto";
    options.workers = 2;
    options.backend = strcmp(backend, "epoll") == 0 ? FP_BACKEND_EPOLL : strcmp(backend, "plain") == 0 ? FP_BACKEND_PLAIN : FP_BACKEND_AUTO;
    char why[200];
    must(fp_engine_create(&options, &engine, why, sizeof why) == FP_OK, why, 0);
    fp_stream a = stream(), b = stream(), c = stream(), d = stream();
    fp_source pushed, tcp, udp, group;
    fp_sender own, multicast;
    fp_reader to_b, to_c, to_d, out;
    int one[2], two[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, one) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0, "socketpair", errno);

    /* a → b over a connection, on channel 6 of it. */
    int16_t channels[2] = {6, 7};
    check(fp_source_add_pushed(engine, a, &pushed), "pushed");
    check(fp_source_add_tcp(engine, b, one[1], channels, 2, NULL, 0, &tcp), "tcp source");
    check(fp_reader_add_tcp(engine, a, one[0], channels, 2, FP_BEGIN_NOW, &to_b), "tcp reader");
    /* b → c by datagrams, from the program's socket, and c takes them from that one only. */
    uint16_t from, to;
    int sending = datagrams(&from), receiving = datagrams(&to);
    struct sockaddr_in peer = address(INADDR_LOOPBACK, from), far = address(INADDR_LOOPBACK, to);
    uint16_t ports[2] = {to, 0};
    check(fp_source_add_udp(engine, c, receiving, 0, (struct sockaddr *)&peer, sizeof peer, &udp), "udp source");
    check(fp_sender_add(engine, sending, sending, &own), "own sender");
    check(fp_reader_add_udp(engine, b, own, (struct sockaddr *)&far, sizeof far, ports, 2, FP_BEGIN_NOW, &to_c), "udp reader");
    /* c → d by a group on the loopback. */
    struct sockaddr_in at = address(0xEFFF0000 | ((uint32_t)getpid() & 0xFFFF), (uint16_t)(10000 + getpid() % 10000));
    ports[0] = ntohs(at.sin_port);
    check(fp_source_add_multicast(engine, d, 0, (struct sockaddr *)&at, sizeof at, NULL, 0, "lo", &group), "multicast source");
    check(fp_sender_open_multicast(engine, AF_INET, "lo", 1, 1, &multicast), "multicast sender");
    check(fp_reader_add_udp(engine, c, multicast, (struct sockaddr *)&at, sizeof at, ports, 1, FP_BEGIN_NOW, &to_d), "multicast reader");
    /* d → the program. */
    check(fp_reader_add_tcp(engine, d, two[0], NULL, 0, FP_BEGIN_NOW, &out), "the last reader");
    check(fp_flush(engine), "fp_flush");

    unsigned char packet[2000], frame[2000];
    size_t held = 0;
    unsigned sent = 0, got = 0, idle = 0;
    uint16_t first = 0;
    while (got < PACKETS) {
        for (int more = 0; more < 4 && sent < PACKETS && sent - got < 60; more++) {
            size_t length = make(packet, sent++);
            check(fp_source_push(engine, pushed, 0, packet, length), "fp_source_push");
        }
        /* Somebody else's datagrams: not taken. */
        if (sent % 10 == 0) {
            uint16_t unused;
            int stranger = datagrams(&unused);
            (void)!sendto(stranger, packet, 40, 0, (struct sockaddr *)&far, sizeof far);
            close(stranger);
        }
        take_events(2);
        for (;;) {
            size_t wanted = held < 4 ? 4 : 4u + (size_t)(frame[2] << 8 | frame[3]);
            if (held == wanted && held > 4) {
                size_t length = make(packet, got);
                uint16_t sequence = (uint16_t)(frame[6] << 8 | frame[7]);
                if (got == 0) first = sequence;
                must(frame[0] == '$' && frame[1] == 0 && held == length + 4, "another frame than was pushed", (long)got);
                must(memcmp(frame + 4, packet, 2) == 0 && memcmp(frame + 16, packet + 12, length - 12) == 0, "other bytes than were pushed",
                    (long)got);
                must(sequence == (uint16_t)(first + got), "a sequence number is missing", (long)got);
                got++, held = 0, idle = 0;
                continue;
            }
            ssize_t more = recv(two[1], frame + held, wanted - held, MSG_DONTWAIT);
            if (more <= 0) break;
            held += (size_t)more;
        }
        must(++idle < 3000, "packets were lost on the way; got", (long)got);
    }
    uint64_t foreign = 0;
    fp_counter(engine, FP_COUNTER_DATAGRAMS_FOREIGN, &foreign);
    must(foreign > 0, "strangers' datagrams were not counted", 0);
    must(seen[FP_EVENT_READER_JOINED] == 4 && seen[FP_EVENT_SOURCE_ACTIVE] == 4, "readers joined", (long)seen[FP_EVENT_READER_JOINED]);

    /* Down again, from different ends. */
    check(fp_sender_remove(engine, multicast), "fp_sender_remove");
    check(fp_reader_remove(engine, out), "fp_reader_remove");
    wait_for(FP_EVENT_READER_REMOVED, 1);
    must(seen[FP_EVENT_SENDER_REMOVED] == 0, "a sender ended before its reader", 0);
    check(fp_stream_remove(engine, c), "fp_stream_remove");
    wait_for(FP_EVENT_STREAM_REMOVED, 1);
    wait_for(FP_EVENT_SENDER_REMOVED, 1);
    must(seen[FP_EVENT_READER_REMOVED] == 2 && seen[FP_EVENT_SOURCE_REMOVED] == 1, "what the stream had did not end with it", 0);
    close(receiving);
    check(fp_source_remove(engine, tcp), "fp_source_remove");
    wait_for(FP_EVENT_SOURCE_REMOVED, 2);
    close(one[1]);
    check(fp_engine_shutdown(engine), "fp_engine_shutdown");
    wait_for(FP_EVENT_STOPPED, 1);
    must(seen[FP_EVENT_READER_REMOVED] == 4 && seen[FP_EVENT_SOURCE_REMOVED] == 4 && seen[FP_EVENT_STREAM_REMOVED] == 4
             && seen[FP_EVENT_SENDER_REMOVED] == 2, "not everything ended once", 0);
    printf("%s: %u packets through eight ends\n", fp_backend_name(engine), got);
    fp_engine_free(engine);
    close(one[0]), close(two[0]), close(two[1]), close(sending);
    return 0;
}
