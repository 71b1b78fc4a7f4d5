/*
 * Splits one RTP stream to many readers: an epoll server around fastpath.h.
 *
 *     splitter --rtp 5004 [--tcp 8554] [--udp HOST:PORT]... [--codec h264] [--backend epoll] [--workers 2]
 *
 * RTP comes in at a UDP port (RTCP at the next one). Whoever connects to the TCP port is sent the stream in `$` frames (RFC 2326
 * section 10.12) and may say "pause\n" and "play\n"; each --udp reader (numeric address) gets RTP at its port, RTCP at the next one.
 * Ends at SIGINT or SIGTERM, after everything was given back. Exit codes: 0 ended as asked, 1 failed, 2 usage.
 */
#define _GNU_SOURCE
#include <fastpath.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Somebody who connected. */
typedef struct connection {
    int descriptor;
    fp_reader reader;
    int is_leaving;
} connection;

static fp_engine *engine;
static fp_stream stream;
static int poller, listener = -1;
static unsigned long joined, left;
/* What epoll tells apart from connections by address. */
static char engine_ready, listener_ready, signal_ready;

static void fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("splitter: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(1);
}

static void check(int result, const char *what) {
    if (result < 0) fail("%s: %s (%s)", what, fp_error_text(result), fp_last_error(engine));
}

static void watch(int descriptor, uint32_t events, void *about) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.ptr = about;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

/* "127.0.0.1:5004", "[::1]:5004" or "5004" */
static socklen_t parse_address(const char *text, struct sockaddr_storage *storage) {
    char host[64] = "127.0.0.1";
    const char *colon = strrchr(text, ':');
    long port = strtol(colon ? colon + 1 : text, NULL, 10);
    if (colon) {
        size_t skip = text[0] == '[', length = (size_t)(colon - text) - 2 * skip;
        if (length >= sizeof host || colon - text < (long)(2 * skip)) fail("no address: %s", text);
        memcpy(host, text + skip, length);
        host[length] = 0;
    }
    memset(storage, 0, sizeof *storage);
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)storage;
    if (port < 0 || port > 65535) fail("no port: %s", text);
    if (inet_pton(AF_INET, host, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons((uint16_t)port);
        return sizeof *ipv4;
    }
    if (inet_pton(AF_INET6, host, &ipv6->sin6_addr) != 1) fail("no numeric address: %s", text);
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons((uint16_t)port);
    return sizeof *ipv6;
}

static uint16_t listen_at(const char *port) {
    struct sockaddr_storage address;
    socklen_t length = parse_address(port, &address);
    int yes = 1;
    listener = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) fail("socket: %s", strerror(errno));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail("listening at %s: %s", port, strerror(errno));
    watch(listener, EPOLLIN, &listener_ready);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static void accept_readers(void) {
    int descriptor;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        connection *one = calloc(1, sizeof *one);
        if (one == NULL) fail("no memory");
        one->descriptor = descriptor;
        int result = fp_reader_add_tcp(engine, stream, descriptor, NULL, 0, FP_BEGIN_NOW, &one->reader);
        if (result != FP_OK) {
            /* Too many, or too fast: this one is turned away, the others do not notice. */
            fprintf(stderr, "splitter: a reader was refused: %s\n", fp_last_error(engine));
            close(descriptor);
            free(one);
            continue;
        }
        check(fp_set_user(engine, one->reader, one), "fp_set_user");
        watch(descriptor, EPOLLIN | EPOLLRDHUP, one);
    }
}

/* The engine writes to the connection; reading from it stays ours. */
static void read_from(connection *one) {
    char text[512];
    ssize_t count = recv(one->descriptor, text, sizeof text - 1, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
        /* It left. No more of it is wanted from epoll, but the descriptor is the engine's until FP_EVENT_READER_REMOVED. */
        epoll_ctl(poller, EPOLL_CTL_DEL, one->descriptor, NULL);
        if (!one->is_leaving) fp_reader_remove(engine, one->reader);
        one->is_leaving = 1;
        return;
    }
    text[count] = 0;
    int result = FP_OK;
    if (strcmp(text, "pause\n") == 0) result = fp_reader_pause(engine, one->reader);
    if (strcmp(text, "play\n") == 0) result = fp_reader_resume(engine, one->reader, FP_BEGIN_NOW);
    const char *answer = result == FP_OK ? "OK\n" : "NO\n";
    /* Between two frames, in order. */
    if (!one->is_leaving) fp_reader_send(engine, one->reader, answer, strlen(answer));
}

/* 1 when the engine has ended. */
static int take_events(void) {
    fp_event event = fp_event_default();
    while (fp_next_event(engine, &event) == 1) {
        connection *one = event.user;
        switch (event.type) {
        case FP_EVENT_READER_JOINED:
            joined++;
            break;
        case FP_EVENT_READER_FAILED:
            if (one == NULL || !one->is_leaving) fp_reader_remove(engine, event.id);
            if (one) one->is_leaving = 1;
            break;
        case FP_EVENT_READER_REMOVED:
            left++;
            if (one) {
                close(one->descriptor);
                free(one);
            }
            break;
        case FP_EVENT_REFUSED:
            fprintf(stderr, "splitter: the kernel refused something: %s\n", strerror(event.error_number));
            break;
        case FP_EVENT_STOPPED:
            if (event.leaks) fail("the engine lost %u things", event.leaks);
            return 1;
        default:
            break;
        }
    }
    return 0;
}

static uint32_t one_of(const char *word, const char *const *words, const char *what) {
    for (uint32_t number = 0; words[number]; number++)
        if (strcmp(word, words[number]) == 0) return number;
    fprintf(stderr, "splitter: no such %s: %s\n", what, word);
    exit(2);
}

int main(int count, char **arguments) {
    static const char *const backends[] = {"auto", "io_uring", "epoll", "plain", NULL};
    static const char *const codecs[] = {"opaque", "h264", "h265", "av1", "vp8", "vp9", NULL};
    const char *rtp = NULL, *tcp = NULL, *udp[64];
    int udp_count = 0;
    fp_options options = fp_options_default();
    fp_stream_config config = fp_stream_config_default();
    config.track_count = 1;
    for (int place = 1; place < count; place += 2) {
        const char *name = arguments[place], *value = place + 1 < count ? arguments[place + 1] : "";
        if (strcmp(name, "--rtp") == 0) rtp = value;
        else if (strcmp(name, "--tcp") == 0) tcp = value;
        else if (strcmp(name, "--udp") == 0 && udp_count < 64) udp[udp_count++] = value;
        else if (strcmp(name, "--workers") == 0) options.workers = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--backend") == 0) options.backend = one_of(value, backends, "backend");
        else if (strcmp(name, "--codec") == 0) config.tracks[0].codec = one_of(value, codecs, "codec");
        else rtp = NULL, place = count;
    }
    if (rtp == NULL) {
        fputs("splitter --rtp PORT [--tcp PORT] [--udp HOST:PORT]... [--codec NAME] [--backend NAME] [--workers N]\n", stderr);
        return 2;
    }

    /* Signals come by a descriptor; those of broken connections not at all. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int ending = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(ending, EPOLLIN, &signal_ready);

    char why[256];
    if (fp_engine_create(&options, &engine, why, sizeof why) != FP_OK) fail("%s", why);
    watch(fp_event_fd(engine), EPOLLIN, &engine_ready);
    check(fp_stream_add(engine, &config, &stream), "the stream");

    struct sockaddr_storage address;
    fp_source sources[2];
    uint16_t rtp_port = 0, tcp_port = 0;
    socklen_t length = parse_address(rtp, &address);
    check(fp_source_open_udp(engine, stream, 0, (struct sockaddr *)&address, length, &sources[0]), "the RTP port");
    check(fp_source_port(engine, sources[0], &rtp_port), "the RTP port");
    ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)(rtp_port + 1));
    check(fp_source_open_udp(engine, stream, 1, (struct sockaddr *)&address, length, &sources[1]), "the RTCP port");

    fp_sender sender;
    check(fp_sender_open(engine, NULL, 0, &sender), "the sender");
    for (int place = 0; place < udp_count; place++) {
        fp_reader reader;
        length = parse_address(udp[place], &address);
        check(fp_reader_add_udp(engine, stream, sender, (struct sockaddr *)&address, length, NULL, 0, FP_BEGIN_NOW, &reader), udp[place]);
    }
    if (tcp) tcp_port = listen_at(tcp);
    check(fp_flush(engine), "fp_flush");
    printf("ready rtp=%u tcp=%u backend=%s reason=%s\n", rtp_port, tcp_port, fp_backend_name(engine), fp_backend_reason(engine));
    fflush(stdout);

    for (int has_ended = 0; !has_ended;) {
        struct epoll_event ready[64];
        int number = epoll_wait(poller, ready, 64, -1);
        /* Events of the engine free connections: they come after those of connections. */
        int has_events = 0;
        for (int place = 0; place < number; place++) {
            void *about = ready[place].data.ptr;
            if (about == &engine_ready) has_events = 1;
            else if (about == &listener_ready) accept_readers();
            else if (about == &signal_ready) {
                struct signalfd_siginfo info;
                if (read(ending, &info, sizeof info) > 0) fp_engine_shutdown(engine);
            } else read_from(about);
        }
        if (number > 0) fp_flush(engine);
        if (has_events) has_ended = take_events();
    }

    uint64_t received = 0, sent = 0;
    fp_counter(engine, FP_COUNTER_PACKETS_RECEIVED, &received);
    fp_counter(engine, FP_COUNTER_PACKETS_SENT, &sent);
    printf("ended joined=%lu left=%lu received=%llu sent=%llu\n", joined, left, (unsigned long long)received, (unsigned long long)sent);
    fp_engine_free(engine);
    close(ending);
    close(poller);
    if (listener >= 0) close(listener);
    return 0;
}
