/*
 * Sits behind GStreamer, or anything else that sends RTP to a UDP port, and sends the stream on to many UDP readers.
 *
 *     gst-launch-1.0 videotestsrc is-live=true ! x264enc tune=zerolatency ! rtph264pay ! udpsink host=127.0.0.1 port=5004
 *     fanout --rtp 5004 --readers 127.0.0.1:20000+1000 [--reader HOST:PORT]... [--backend NAME] [--seconds N]
 *
 * `--readers HOST:PORT+N` means N readers at every second port from PORT on. The program keeps its own socket and a poll() loop. Each
 * second it prints a line of figures. Ends at SIGINT, at SIGTERM or after --seconds. Exit codes: 0 ended as asked, 1 failed, 2 usage.
 */
#define _GNU_SOURCE
#include <fastpath.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static fp_engine *engine;
static volatile sig_atomic_t is_asked_to_end;

static void end(int number) {
    (void)number;
    is_asked_to_end = 1;
}

static void check(int result, const char *what) {
    if (result >= 0) return;
    fprintf(stderr, "fanout: %s: %s: %s\n", what, fp_error_text(result), fp_last_error(engine));
    exit(1);
}

static int usage(void) {
    fputs("fanout --rtp PORT --readers HOST:PORT+COUNT [--reader HOST:PORT]... [--backend NAME] [--seconds N]\n", stderr);
    return 2;
}

static int open_port(uint16_t port, uint16_t *bound) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = 4 << 20;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0
        || getsockname(descriptor, (struct sockaddr *)&address, &length) != 0) {
        fprintf(stderr, "fanout: port %u: %s\n", port, strerror(errno));
        exit(1);
    }
    *bound = ntohs(address.sin_port);
    return descriptor;
}

/* "HOST:PORT" or "HOST:PORT+COUNT"; how many readers were added. */
static unsigned add_readers(fp_stream stream, fp_sender sender, const char *text) {
    char host[64];
    unsigned first, count = 1;
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    if (sscanf(text, "%63[^:]:%u+%u", host, &first, &count) < 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1 || first == 0
        || count > 32767 || first + 2 * count > 65536)
        exit(usage());
    for (unsigned number = 0; number < count; number++) {
        /* RTP only: the reader has no port for RTCP. */
        uint16_t ports[2] = {(uint16_t)(first + 2 * number), 0};
        fp_reader reader;
        int result;
        /* The engine may be behind with what it was told: it says so, and is asked again. */
        while ((result = fp_reader_add_udp(engine, stream, sender, (struct sockaddr *)&address, sizeof address, ports, 2,
                    FP_BEGIN_KEY_FRAME, &reader)) == FP_ERROR_AGAIN)
            usleep(1000);
        check(result, text);
    }
    return count;
}

static double seconds_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void print_figures(const char *word, fp_stream stream, unsigned joined, const fp_start *start) {
    /* By name: the program needs no list of what the library counts. */
    static const char *const names[] = {"packets_received", "packets_sent", "packets_dropped", "readers_live", NULL};
    printf("%s joined=%u", word, joined);
    for (int place = 0; names[place]; place++) {
        uint64_t value = 0;
        int number = fp_counter_find(FP_COUNTERS_STREAM, names[place]);
        if (number >= 0 && fp_stream_counter(engine, stream, (uint32_t)number, &value) == FP_OK)
            printf(" %s=%llu", names[place], (unsigned long long)value);
    }
    /* What each reader should have by now, in sequence numbers. */
    uint64_t last = 0;
    if (start->is_known && fp_track_counter(engine, stream, 0, FP_TRACK_COUNTER_SEQUENCE_OUT, &last) == FP_OK)
        printf(" first=%u last=%llu", start->sequence, (unsigned long long)last);
    putchar('\n');
    fflush(stdout);
}

int main(int count, char **arguments) {
    const char *rtp = NULL, *readers[64];
    int reader_count = 0;
    double limit = 0;
    fp_options options = fp_options_default();
    options.workers = FP_WORKERS_PER_PROCESSOR;
    for (int place = 1; place < count; place += 2) {
        const char *name = arguments[place], *value = place + 1 < count ? arguments[place + 1] : "";
        if (strcmp(name, "--rtp") == 0) rtp = value;
        else if ((strcmp(name, "--readers") == 0 || strcmp(name, "--reader") == 0) && reader_count < 64) readers[reader_count++] = value;
        else if (strcmp(name, "--seconds") == 0) limit = strtod(value, NULL);
        else if (strcmp(name, "--backend") == 0 && strcmp(value, "epoll") == 0) options.backend = FP_BACKEND_EPOLL;
        else if (strcmp(name, "--backend") == 0 && strcmp(value, "plain") == 0) options.backend = FP_BACKEND_PLAIN;
        else return usage();
    }
    if (rtp == NULL || reader_count == 0) return usage();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = end;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    char why[256];
    if (fp_engine_create(&options, &engine, why, sizeof why) != FP_OK) {
        fprintf(stderr, "fanout: %s\n", why);
        return 1;
    }
    fp_stream_config config = fp_stream_config_default();
    config.track_count = 1;
    config.tracks[0].codec = FP_CODEC_H264;
    fp_stream stream;
    fp_source source;
    fp_sender sender;
    uint16_t port;
    int descriptor = open_port((uint16_t)strtoul(rtp, NULL, 10), &port);
    unsigned wanted = 0, joined = 0;
    check(fp_stream_add(engine, &config, &stream), "the stream");
    check(fp_source_add_udp(engine, stream, descriptor, 0, NULL, 0, &source), "the source");
    check(fp_sender_open(engine, NULL, 0, &sender), "the sender");
    for (int place = 0; place < reader_count; place++) wanted += add_readers(stream, sender, readers[place]);
    check(fp_flush(engine), "fp_flush");
    printf("ready rtp=%u readers=%u backend=%s workers=%d\n", port, wanted, fp_backend_name(engine), fp_engine_workers(engine));
    fflush(stdout);

    double begun = seconds_now(), next = begun + 1;
    fp_start start = {0, 0, 0};
    int is_ending = 0;
    for (;;) {
        struct pollfd waiting = {fp_event_fd(engine), POLLIN, 0};
        poll(&waiting, 1, 100);
        double now = seconds_now();
        if (!is_ending && (is_asked_to_end || (limit > 0 && now - begun > limit))) {
            print_figures("last", stream, joined, &start);
            is_ending = 1;
            fp_engine_shutdown(engine);
        }
        if (!is_ending && now >= next) {
            print_figures("now", stream, joined, &start);
            next = now + 1;
        }
        fp_event event = fp_event_default();
        int has_stopped = 0;
        while (fp_next_event(engine, &event) == 1) {
            if (event.type == FP_EVENT_READER_JOINED && joined++ == 0) start = event.starts[0];
            if (event.type == FP_EVENT_SOURCE_REMOVED) close(descriptor);
            if (event.type == FP_EVENT_READER_LAGGED) fprintf(stderr, "fanout: a reader missed %u packets\n", event.packets);
            if (event.type == FP_EVENT_STOPPED) has_stopped = 1;
        }
        if (has_stopped) {
            fp_engine_free(engine);
            return event.leaks != 0;
        }
    }
}
