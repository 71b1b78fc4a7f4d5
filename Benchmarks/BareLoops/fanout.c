#define _GNU_SOURCE
#include "bareloops.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { messages_per_call = 64, ticks_per_frame = 3000 };

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

uint64_t bare_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

// MARK: The frame's memory

static void write_header(uint8_t *packet, struct bare_frame *frame, bool last) {
    packet[0] = 0x80;
    packet[1] = (uint8_t)(96 | (last ? 0x80 : 0));
    packet[2] = (uint8_t)(frame->sequence >> 8);
    packet[3] = (uint8_t)frame->sequence;
    packet[4] = (uint8_t)(frame->timestamp >> 24);
    packet[5] = (uint8_t)(frame->timestamp >> 16);
    packet[6] = (uint8_t)(frame->timestamp >> 8);
    packet[7] = (uint8_t)frame->timestamp;
    frame->sequence++;
}

static void next_frame(uint8_t *memory, uint32_t stride, uint32_t offset, struct bare_frame *frame) {
    for (uint32_t i = 0; i < frame->packets; i++) write_header(memory + (size_t)i * stride + offset, frame, i + 1 == frame->packets);
    frame->timestamp += ticks_per_frame;
}

static bool more(const struct bare_bounds *bounds, uint64_t frames) {
    if (bounds->frames && frames >= bounds->frames) return false;
    return !bounds->deadline_ns || clock_ns(CLOCK_MONOTONIC) < bounds->deadline_ns;
}

static bool wait_writable(int descriptor) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLOUT};
    return poll(&wanted, 1, 1000) > 0;
}

// MARK: UDP

union segment_control {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
};

static uint32_t segments_per_train(uint32_t packet_bytes) {
    uint32_t fit = bare_train_bytes_max / packet_bytes;
    return fit < bare_train_segments_max ? fit : bare_train_segments_max;
}

struct bare_result bare_fanout_udp(
    int descriptor, const void *addresses, uint32_t address_bytes, uint32_t subscribers, struct bare_frame *frame, bool gather,
    struct bare_bounds bounds) {
    struct bare_result result = {0};
    if (frame->packet_bytes < 12 || frame->packet_bytes > bare_train_bytes_max || frame->packets == 0 || subscribers == 0) {
        result.error = -EINVAL;
        return result;
    }
    uint32_t per_train = segments_per_train(frame->packet_bytes);
    uint32_t trains = (frame->packets + per_train - 1) / per_train;
    uint8_t *memory = calloc(frame->packets, frame->packet_bytes);
    struct iovec *parts = calloc(gather ? frame->packets : trains, sizeof *parts);
    struct mmsghdr *messages = calloc((size_t)trains * subscribers, sizeof *messages);
    if (!memory || !parts || !messages) {
        result.error = -ENOMEM;
        goto done;
    }

    union segment_control control;
    memset(&control, 0, sizeof control);
    struct msghdr shaped = {.msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&shaped);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    memcpy(CMSG_DATA(header), &(uint16_t){(uint16_t)frame->packet_bytes}, sizeof(uint16_t));

    for (uint32_t t = 0; t < trains; t++) {
        uint32_t first = t * per_train, count = frame->packets - first < per_train ? frame->packets - first : per_train;
        if (gather)
            for (uint32_t i = first; i < first + count; i++)
                parts[i] = (struct iovec){memory + (size_t)i * frame->packet_bytes, frame->packet_bytes};
        else
            parts[t] = (struct iovec){memory + (size_t)first * frame->packet_bytes, (size_t)count * frame->packet_bytes};
        for (uint32_t s = 0; s < subscribers; s++) {
            struct msghdr *message = &messages[(size_t)t * subscribers + s].msg_hdr;
            message->msg_name = (uint8_t *)(uintptr_t)addresses + (size_t)s * address_bytes;
            message->msg_namelen = address_bytes;
            message->msg_iov = gather ? &parts[first] : &parts[t];
            message->msg_iovlen = gather ? count : 1;
            if (count > 1) {
                message->msg_control = control.bytes;
                message->msg_controllen = sizeof control.bytes;
            }
        }
    }

    uint64_t cpu = bare_thread_cpu_ns(), wall = clock_ns(CLOCK_MONOTONIC);
    size_t total = (size_t)trains * subscribers;
    while (result.error == 0 && more(&bounds, result.frames)) {
        next_frame(memory, frame->packet_bytes, 0, frame);
        for (size_t sent = 0; sent < total;) {
            size_t count = total - sent < messages_per_call ? total - sent : messages_per_call;
            int took = sendmmsg(descriptor, messages + sent, (unsigned)count, MSG_DONTWAIT);
            result.system_calls++;
            if (took > 0) {
                sent += (size_t)took;
            } else if (took < 0 && errno == EAGAIN) {
                if (!wait_writable(descriptor)) {
                    result.error = -ETIMEDOUT;
                    break;
                }
            } else if (took < 0 && errno != EINTR) {
                size_t train = sent / subscribers;
                uint32_t left = frame->packets - (uint32_t)train * per_train;
                result.refused += left < per_train ? left : per_train;
                sent++;
            }
        }
        if (result.error == 0) result.frames++;
    }
    result.cpu_ns = bare_thread_cpu_ns() - cpu;
    result.wall_ns = clock_ns(CLOCK_MONOTONIC) - wall;
    result.packets = result.frames * frame->packets * subscribers - result.refused;

done:
    free(memory);
    free(parts);
    free(messages);
    return result;
}

// MARK: TCP

struct bare_result bare_fanout_tcp(const int *descriptors, uint32_t subscribers, struct bare_frame *frame, struct bare_bounds bounds) {
    struct bare_result result = {0};
    if (frame->packet_bytes < 12 || frame->packet_bytes > 65535 || frame->packets == 0 || subscribers == 0) {
        result.error = -EINVAL;
        return result;
    }
    uint32_t stride = frame->packet_bytes + 4;
    size_t total = (size_t)stride * frame->packets;
    uint8_t *memory = calloc(frame->packets, stride);
    if (!memory) {
        result.error = -ENOMEM;
        return result;
    }
    for (uint32_t i = 0; i < frame->packets; i++) {
        uint8_t *header = memory + (size_t)i * stride;
        header[0] = '$';
        header[2] = (uint8_t)(frame->packet_bytes >> 8);
        header[3] = (uint8_t)frame->packet_bytes;
    }
    uint64_t cpu = bare_thread_cpu_ns(), wall = clock_ns(CLOCK_MONOTONIC);
    while (result.error == 0 && more(&bounds, result.frames)) {
        next_frame(memory, stride, 4, frame);
        for (uint32_t s = 0; s < subscribers && result.error == 0; s++) {
            for (size_t sent = 0; sent < total;) {
                ssize_t took = send(descriptors[s], memory + sent, total - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                result.system_calls++;
                if (took > 0) {
                    sent += (size_t)took;
                } else if (took < 0 && errno == EAGAIN) {
                    if (!wait_writable(descriptors[s])) {
                        result.error = -ETIMEDOUT;
                        break;
                    }
                } else if (took < 0 && errno != EINTR) {
                    result.error = -errno;
                    break;
                }
            }
        }
        if (result.error == 0) result.frames++;
    }
    result.cpu_ns = bare_thread_cpu_ns() - cpu;
    result.wall_ns = clock_ns(CLOCK_MONOTONIC) - wall;
    result.packets = result.frames * frame->packets * subscribers;
    free(memory);
    return result;
}
