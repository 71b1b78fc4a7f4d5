/* What fastpath.h promises of arguments, sizes, ids and texts, asked of the library that runs. Prints the first broken promise. */
#define _GNU_SOURCE
#include <fastpath.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static fp_engine *engine;
static unsigned checks;

#define CHECK(condition) \
    do { \
        checks++; \
        if (!(condition)) { \
            fprintf(stderr, "contract.c:%d: %s (last error: %s)\n", __LINE__, #condition, fp_last_error(engine)); \
            exit(1); \
        } \
    } while (0)
/* A call that must fail so, and say why in words of its own. */
#define REFUSED(code, call) \
    do { \
        CHECK((call) == (code)); \
        CHECK(strlen(fp_last_error(engine)) > 10); \
    } while (0)

static void texts(void) {
    CHECK(fp_version() == FP_VERSION_NUMBER);
    CHECK(strcmp(fp_version_string(), FP_VERSION_STRING) == 0);
    for (int code = FP_ERROR_STOPPED - 3; code < 3; code++) {
        CHECK(fp_error_text(code) != NULL && strlen(fp_error_text(code)) > 3);
        for (int other = FP_ERROR_STOPPED; other < code && code <= 0; other++) CHECK(strcmp(fp_error_text(code), fp_error_text(other)) != 0);
    }
    for (uint32_t family = 0; family < 3; family++) {
        CHECK(fp_counter_count(family) > 5);
        for (uint32_t number = 0; number < (uint32_t)fp_counter_count(family); number++) {
            const char *name = fp_counter_name(family, number);
            CHECK(name != NULL && fp_counter_find(family, name) == (int)number);
        }
        CHECK(fp_counter_name(family, (uint32_t)fp_counter_count(family)) == NULL);
        CHECK(fp_counter_name(family, UINT32_MAX) == NULL);
        CHECK(fp_counter_find(family, "packets") == (family == FP_COUNTERS_TRACK ? FP_TRACK_COUNTER_PACKETS : FP_ERROR_ARGUMENT));
        CHECK(fp_counter_find(family, "") == FP_ERROR_ARGUMENT && fp_counter_find(family, NULL) == FP_ERROR_ARGUMENT);
        CHECK(fp_counter_find(family, "packets_received_and_more") == FP_ERROR_ARGUMENT);
    }
    CHECK(fp_counter_count(3) == FP_ERROR_ARGUMENT && fp_counter_name(3, 0) == NULL && fp_counter_find(3, "packets") == FP_ERROR_ARGUMENT);
    CHECK(fp_counter_find(FP_COUNTERS_ENGINE, "fan_outs") == FP_COUNTER_FAN_OUTS);
    CHECK(fp_counter_find(FP_COUNTERS_STREAM, "packets_logged") == FP_STREAM_COUNTER_PACKETS_LOGGED);
    CHECK(fp_counter_find(FP_COUNTERS_TRACK, "timestamp_step") == FP_TRACK_COUNTER_TIMESTAMP_STEP);
}

/* The engine's threads leave the program's signals to the program's. */
static void signals(void) {
    int workers = 0;
    for (int tries = 0; workers == 0 && tries < 5000; tries++) {
        DIR *tasks = opendir("/proc/self/task");
        CHECK(tasks != NULL);
        for (struct dirent *task; (task = readdir(tasks));) {
            char path[300], line[200];
            int is_worker = 0;
            snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
            FILE *status = fopen(path, "r");
            while (status && fgets(line, sizeof line, status)) {
                unsigned long long blocked;
                is_worker |= strncmp(line, "Name:\tweir-worker", 17) == 0;
                if (is_worker && sscanf(line, "SigBlk: %llx", &blocked) == 1) {
                    workers++;
                    CHECK(blocked >> (SIGTERM - 1) & 1 && blocked >> (SIGUSR1 - 1) & 1 && blocked >> (SIGPIPE - 1) & 1);
                    CHECK(!(blocked >> (SIGSEGV - 1) & 1));
                }
            }
            if (status) fclose(status);
        }
        closedir(tasks);
        usleep(1000);
    }
    CHECK(workers > 0);
    sigset_t mine;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mine) == 0 && !sigismember(&mine, SIGTERM));
}

/* No engine, no outputs. */
static void nulls(void) {
    fp_id id = 0;
    struct sockaddr_in any;
    memset(&any, 0, sizeof any);
    CHECK(fp_engine_create(NULL, NULL, NULL, 0) == FP_ERROR_ARGUMENT);
    fp_engine_free(NULL);
    int codes[] = {
        fp_engine_shutdown(NULL), fp_backend(NULL), fp_engine_limits(NULL, NULL), fp_engine_workers(NULL), fp_set_user(NULL, 1, NULL),
        fp_stream_add(NULL, NULL, NULL), fp_stream_remove(NULL, 1), fp_stream_begin_epoch(NULL, 1),
        fp_source_add_udp(NULL, 1, 0, 0, NULL, 0, NULL), fp_source_open_udp(NULL, 1, 0, NULL, 0, NULL), fp_source_port(NULL, 1, NULL),
        fp_source_add_multicast(NULL, 1, 0, NULL, 0, NULL, 0, NULL, NULL), fp_source_add_tcp(NULL, 1, 0, NULL, 0, NULL, 0, NULL),
        fp_source_resume(NULL, 1, 0), fp_source_add_pushed(NULL, 1, NULL), fp_source_push(NULL, 1, 0, NULL, 0), fp_source_remove(NULL, 1),
        fp_sender_open(NULL, NULL, 0, NULL), fp_sender_open_multicast(NULL, 0, NULL, 0, 0, NULL), fp_sender_add(NULL, 0, 0, NULL),
        fp_sender_port(NULL, 1, NULL), fp_sender_remove(NULL, 1), fp_reader_add_udp(NULL, 1, 1, NULL, 0, NULL, 0, 0, NULL),
        fp_reader_add_tcp(NULL, 1, 0, NULL, 0, 0, NULL), fp_reader_start(NULL, 1), fp_reader_pause(NULL, 1), fp_reader_resume(NULL, 1, 0),
        fp_reader_set_overload(NULL, 1, 0, 0), fp_reader_send(NULL, 1, NULL, 0), fp_reader_remove(NULL, 1), fp_event_fd(NULL),
        fp_next_event(NULL, NULL), fp_flush(NULL), fp_counter(NULL, 0, NULL), fp_stream_counter(NULL, 1, 0, NULL),
        fp_track_counter(NULL, 1, 0, 0, NULL)};
    for (size_t place = 0; place < sizeof codes / sizeof *codes; place++) CHECK(codes[place] == FP_ERROR_ARGUMENT);
    CHECK(*fp_last_error(NULL) == 0 && fp_last_errno(NULL) == 0 && *fp_backend_name(NULL) == 0 && *fp_backend_reason(NULL) == 0);

    REFUSED(FP_ERROR_ARGUMENT, fp_stream_add(engine, NULL, &id));
    REFUSED(FP_ERROR_ARGUMENT, fp_engine_limits(engine, NULL));
    REFUSED(FP_ERROR_ARGUMENT, fp_next_event(engine, NULL));
    REFUSED(FP_ERROR_ARGUMENT, fp_sender_open(engine, NULL, 0, NULL));
    CHECK(fp_counter(engine, 0, NULL) == FP_ERROR_ARGUMENT);
    CHECK(id == 0);
}

/* Structures of programs that are older, newer or wrong. */
static void sizes(void) {
    struct { fp_stream_config config; uint64_t more; } newer = {fp_stream_config_default(), 0};
    fp_stream stream = 0;
    newer.config.track_count = 1;
    newer.config.size = 0;
    REFUSED(FP_ERROR_SIZE, fp_stream_add(engine, &newer.config, &stream));
    newer.config.size = sizeof newer.config - 1;
    REFUSED(FP_ERROR_SIZE, fp_stream_add(engine, &newer.config, &stream));
    newer.config.size = UINT32_MAX;
    REFUSED(FP_ERROR_SIZE, fp_stream_add(engine, &newer.config, &stream));
    newer.config.size = sizeof newer;
    newer.more = 1;
    REFUSED(FP_ERROR_SIZE, fp_stream_add(engine, &newer.config, &stream));
    CHECK(stream == 0);
    newer.more = 0;
    CHECK(fp_stream_add(engine, &newer.config, &stream) == FP_OK && stream != 0);
    CHECK(fp_stream_remove(engine, stream) == FP_OK);
    REFUSED(FP_ERROR_STALE, fp_stream_remove(engine, stream));

    struct { fp_limits limits; uint64_t more; } limits = {fp_limits_default(), 7};
    limits.limits.size = sizeof limits;
    CHECK(fp_engine_limits(engine, &limits.limits) == FP_OK);
    CHECK(limits.limits.size == sizeof limits && limits.more == 0);
    CHECK(limits.limits.streams_max == 4 && limits.limits.readers_max == 20000 && limits.limits.queued_sends_max == 16);
    CHECK(limits.limits.delay_microseconds_max == FP_NO_DELAY && limits.limits.datagram_buffer_bytes == (64 << 10) + 256);
    CHECK(limits.limits.write_stall_nanoseconds == 10000000000u && limits.limits.packet_log_bytes_max == 64u << 20);

    fp_event event;
    memset(&event, 0xAA, sizeof event);
    event.size = 3;
    REFUSED(FP_ERROR_SIZE, fp_next_event(engine, &event));

    fp_engine *other = engine;
    char why[200];
    fp_options options = fp_options_default();
    options.flags = 0x80000000u;
    memset(why, 'x', sizeof why);
    CHECK(fp_engine_create(&options, &other, why, sizeof why) == FP_ERROR_ARGUMENT && other == NULL && strlen(why) > 10);
    CHECK(fp_engine_create(&options, &other, why, 5) == FP_ERROR_ARGUMENT && strlen(why) == 4);
    CHECK(fp_engine_create(&options, &other, why, 0) == FP_ERROR_ARGUMENT);
    options = fp_options_default();
    options.backend = 99;
    CHECK(fp_engine_create(&options, &other, NULL, 100) == FP_ERROR_ARGUMENT);
    options = fp_options_default();
    options.workers = 65;
    CHECK(fp_engine_create(&options, &other, NULL, 0) == FP_ERROR_ARGUMENT);
    options.workers = 1;
    fp_limits wrong = fp_limits_default();
    wrong.datagram_buffers = 3;
    options.limits = &wrong;
    CHECK(fp_engine_create(&options, &other, why, sizeof why) == FP_ERROR_ARGUMENT && strstr(why, "limits.datagram_buffers"));
}

static void next(fp_event *event, uint32_t type) {
    *event = fp_event_default();
    for (int tries = 0; tries < 1000; tries++) {
        int result = fp_next_event(engine, event);
        CHECK(result >= 0);
        if (result == 1 && event->type == type) return;
        struct pollfd waiting = {fp_event_fd(engine), POLLIN, 0};
        if (result == 0) poll(&waiting, 1, 10);
    }
    fprintf(stderr, "contract.c: event %u did not come\n", type);
    exit(1);
}

static void arguments(void) {
    fp_stream_config config = fp_stream_config_default();
    fp_stream stream = 0, unused = 0;
    fp_source source, pushed;
    fp_sender sender;
    fp_reader reader;
    fp_event event;
    int mark, pair[2];
    REFUSED(FP_ERROR_ARGUMENT, fp_stream_add(engine, &config, &unused));
    config.track_count = 9;
    REFUSED(FP_ERROR_ARGUMENT, fp_stream_add(engine, &config, &unused));
    config.track_count = 1;
    config.tracks[0].codec = 77;
    REFUSED(FP_ERROR_ARGUMENT, fp_stream_add(engine, &config, &unused));
    config.tracks[0].codec = FP_CODEC_OPAQUE;
    config.bit_rate = UINT64_MAX;
    REFUSED(FP_ERROR_ARGUMENT, fp_stream_add(engine, &config, &unused));
    config.bit_rate = 10000000000u;
    config.window_milliseconds = 60000;
    REFUSED(FP_ERROR_MEMORY, fp_stream_add(engine, &config, &unused));
    config = fp_stream_config_default();
    config.track_count = 1;
    for (int number = 0; number < 4; number++) CHECK(fp_stream_add(engine, &config, &stream) == FP_OK);
    REFUSED(FP_ERROR_LIMIT, fp_stream_add(engine, &config, &unused));
    CHECK(unused == 0);

    REFUSED(FP_ERROR_STALE, fp_source_add_pushed(engine, 0, &source));
    REFUSED(FP_ERROR_STALE, fp_source_add_pushed(engine, UINT64_MAX, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_udp(engine, stream, -1, 0, NULL, 0, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_udp(engine, stream, 1000000, 0, NULL, 0, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_open_udp(engine, stream, 2, NULL, 0, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_open_udp(engine, stream, UINT32_MAX, NULL, 0, &source));
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    REFUSED(FP_ERROR_ARGUMENT, fp_source_open_udp(engine, stream, 0, (struct sockaddr *)&address, sizeof address, &source));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REFUSED(FP_ERROR_ARGUMENT, fp_source_open_udp(engine, stream, 0, (struct sockaddr *)&address, 1, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_open_udp(engine, stream, 0, (struct sockaddr *)&address, 15, &source));
    CHECK(fp_source_open_udp(engine, stream, 0, (struct sockaddr *)&address, sizeof address, &source) == FP_OK);
    uint16_t port = 0;
    CHECK(fp_source_port(engine, source, &port) == FP_OK && port != 0);
    address.sin_port = htons(port);
    REFUSED(FP_ERROR_SYSTEM, fp_source_open_udp(engine, stream, 1, (struct sockaddr *)&address, sizeof address, &unused));
    CHECK(fp_last_errno(engine) == EADDRINUSE);
    REFUSED(FP_ERROR_STATE, fp_source_resume(engine, source, 1));
    REFUSED(FP_ERROR_STALE, fp_reader_remove(engine, source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_multicast(engine, stream, 0, (struct sockaddr *)&address, sizeof address, NULL, 0, NULL, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_tcp(engine, stream, 0, NULL, 0, NULL, 0, &unused));

    CHECK(fp_source_add_pushed(engine, stream, &pushed) == FP_OK);
    REFUSED(FP_ERROR_STATE, fp_source_port(engine, pushed, &port));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_push(engine, pushed, 0, "", 0));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_push(engine, pushed, 0, "", SIZE_MAX));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_push(engine, pushed, 5, "x", 1));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_push(engine, pushed, 0, NULL, 20));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_push(engine, source, 0, "x", 1));

    CHECK(fp_sender_open(engine, NULL, 0, &sender) == FP_OK);
    CHECK(fp_sender_port(engine, sender, &port) == FP_OK && port % 2 == 0 && port != 0);
    address.sin_port = htons(7777);
    REFUSED(FP_ERROR_ARGUMENT, fp_sender_open(engine, (struct sockaddr *)&address, sizeof address, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_sender_open_multicast(engine, AF_UNIX, NULL, 1, 0, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_sender_open_multicast(engine, AF_INET, "no-such-interface", 1, 0, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_sender_open_multicast(engine, AF_INET, NULL, 256, 0, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_sender_add(engine, 0, -5, &unused));
    uint16_t none[2] = {0, 0};
    const struct sockaddr *to = (struct sockaddr *)&address;
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_add_udp(engine, stream, sender, NULL, 0, NULL, 0, 0, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_add_udp(engine, stream, sender, to, sizeof address, none, 2, 0, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_add_udp(engine, stream, sender, to, sizeof address, none, 17, 0, &unused));
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_add_udp(engine, stream, sender, to, sizeof address, NULL, 0, 9, &unused));
    REFUSED(FP_ERROR_STALE, fp_reader_add_udp(engine, stream, stream, to, sizeof address, NULL, 0, 0, &unused));
    CHECK(fp_reader_add_udp(engine, stream, sender, to, sizeof address, NULL, 0, FP_BEGIN_NOW | FP_BEGIN_WAITS, &reader) == FP_OK);
    CHECK(fp_set_user(engine, reader, &mark) == FP_OK);
    REFUSED(FP_ERROR_STALE, fp_set_user(engine, reader ^ 1, &mark));
    REFUSED(FP_ERROR_STATE, fp_reader_start(engine, reader));
    REFUSED(FP_ERROR_STATE, fp_reader_resume(engine, reader, FP_BEGIN_NOW));
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_send(engine, reader, "x", 1));
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_set_overload(engine, reader, 42, 0));
    REFUSED(FP_ERROR_ARGUMENT, fp_reader_set_overload(engine, reader, FP_OVERLOAD_DISCONNECT, UINT64_MAX));

    /* It joins at the first packet. */
    unsigned char packet[20] = {0x80, 96, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'};
    CHECK(fp_source_push(engine, pushed, 0, packet, sizeof packet) == FP_OK);
    next(&event, FP_EVENT_READER_JOINED);
    CHECK(event.id == reader && event.user == &mark && event.size == sizeof event);
    CHECK(fp_reader_start(engine, reader) == FP_OK && fp_reader_start(engine, reader) == FP_OK);
    CHECK(fp_reader_remove(engine, reader) == FP_OK);
    REFUSED(FP_ERROR_STALE, fp_reader_remove(engine, reader));
    next(&event, FP_EVENT_READER_REMOVED);
    CHECK(event.id == reader && event.user == &mark);
    REFUSED(FP_ERROR_STALE, fp_set_user(engine, reader, NULL));

    /* Text between frames. */
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int16_t channels[2] = {7, 300};
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_tcp(engine, stream, pair[0], channels, 2, NULL, 0, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_tcp(engine, stream, pair[0], NULL, 0, NULL, 9, &source));
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_tcp(engine, stream, pair[0], NULL, 0, "x", SIZE_MAX, &source));
    CHECK(fp_source_add_tcp(engine, stream, pair[0], NULL, 0, "OPTI", 4, &source) == FP_OK);
    REFUSED(FP_ERROR_ARGUMENT, fp_source_add_tcp(engine, stream, pair[0], NULL, 0, NULL, 0, &unused));
    CHECK(write(pair[1], "ONS", 3) == 3);
    fp_flush(engine);
    do {
        next(&event, FP_EVENT_SOURCE_TEXT);
        CHECK(event.id == source && event.text_length <= 7 && memcmp(event.text, "OPTIONS", event.text_length) == 0);
        if (event.text_length < 7) CHECK(fp_source_resume(engine, source, 0) == FP_OK);
    } while (event.text_length < 7);
    REFUSED(FP_ERROR_ARGUMENT, fp_source_resume(engine, source, 8));
    CHECK(fp_source_resume(engine, source, 7) == FP_OK);
    close(pair[1]);
    next(&event, FP_EVENT_SOURCE_ENDED);
    CHECK(event.id == source && fp_source_remove(engine, source) == FP_OK);
    next(&event, FP_EVENT_SOURCE_REMOVED);
    close(pair[0]);

    uint64_t value = 0;
    CHECK(fp_counter(engine, FP_COUNTER_PACKETS_RECEIVED, &value) == FP_OK && value == 1);
    CHECK(fp_stream_counter(engine, stream, FP_STREAM_COUNTER_PACKETS_RECEIVED, &value) == FP_OK && value == 1);
    CHECK(fp_track_counter(engine, stream, 0, FP_TRACK_COUNTER_SSRC, &value) == FP_OK && value == 0x01020304);
    REFUSED(FP_ERROR_ARGUMENT, fp_stream_counter(engine, stream, 1000, &value));
    REFUSED(FP_ERROR_ARGUMENT, fp_track_counter(engine, stream, 8, 0, &value));
    REFUSED(FP_ERROR_STALE, fp_stream_counter(engine, stream ^ 1, 0, &value));
    CHECK(fp_sender_remove(engine, sender) == FP_OK);
    next(&event, FP_EVENT_SENDER_REMOVED);
    CHECK(event.id == sender);

    /* Who takes no events is told so in the end; removals are taken even then, and afterwards all is well. */
    static unsigned char large[1400] = {0x80, 96};
    int result = FP_OK;
    for (int number = 0; number < 20000 && result == FP_OK; number++) {
        large[2] = (unsigned char)(number >> 8), large[3] = (unsigned char)number;
        result = fp_source_push(engine, pushed, 0, large, sizeof large);
    }
    CHECK(result == FP_ERROR_AGAIN && strlen(fp_last_error(engine)) > 10);
    event = fp_event_default();
    for (int tries = 0; result == FP_ERROR_AGAIN && tries < 1000; tries++) {
        while (fp_next_event(engine, &event) == 1) continue;
        usleep(1000);
        result = fp_source_push(engine, pushed, 0, large, sizeof large);
    }
    CHECK(result == FP_OK);
    while (result == FP_OK) result = fp_source_push(engine, pushed, 0, large, sizeof large);
    CHECK(result == FP_ERROR_AGAIN && fp_source_remove(engine, pushed) == FP_OK);
    next(&event, FP_EVENT_SOURCE_REMOVED);
    CHECK(event.id == pushed);
}

int main(int count, char **arguments_of_program) {
    fp_options options = fp_options_default();
    fp_limits limits = fp_limits_default();
    fp_event event;
    limits.streams_max = 4;
    limits.delay_microseconds_max = FP_NO_DELAY;
    limits.packet_log_bytes_max = 64 << 20;
    options.limits = &limits;
    if (count > 1 && strcmp(arguments_of_program[1], "epoll") == 0) options.backend = FP_BACKEND_EPOLL;
    texts();
    CHECK(fp_engine_create(&options, &engine, NULL, 0) == FP_OK && engine != NULL);
    CHECK(fp_backend(engine) > FP_BACKEND_AUTO && *fp_backend_name(engine) != 0 && *fp_backend_reason(engine) != 0);
    CHECK(fp_engine_workers(engine) == 1 && *fp_last_error(engine) == 0);
    signals();
    nulls();
    sizes();
    next(&event, FP_EVENT_STREAM_REMOVED);
    arguments();
    CHECK(fp_engine_shutdown(engine) == FP_OK && fp_engine_shutdown(engine) == FP_OK);
    REFUSED(FP_ERROR_STOPPED, fp_sender_open(engine, NULL, 0, &event.id));
    next(&event, FP_EVENT_STOPPED);
    CHECK(event.leaks == 0 && fp_next_event(engine, &event) == 0);
    fp_engine_free(engine);
    printf("%u promises kept\n", checks);
    return 0;
}
