/*
 * Many UDP readers in one process: sinks FIRST_PORT COUNT SAVE_FILE. Reads RTP at every second port from FIRST_PORT on until its standard
 * input closes, then prints one line for all: how many readers there are, how many packets each got (fewest, most), how many saw a gap,
 * a packet twice or in wrong order, how many differ from the first reader in any byte, first sequence numbers. The packets of the first
 * and of the last reader are saved, each behind its reader (one byte) and length (two bytes).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct sink {
    int descriptor;
    unsigned packets, jumps;
    uint16_t first, last;
    /* FNV-1a of all its bytes. */
    uint64_t sum;
} sink;

static void read_all(sink *one, int saved_as, FILE *save) {
    unsigned char bytes[65536];
    ssize_t length;
    while ((length = recv(one->descriptor, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        uint16_t sequence = (uint16_t)(bytes[2] << 8 | bytes[3]);
        if (one->packets == 0) one->first = sequence, one->sum = 14695981039346656037u;
        else if (sequence != (uint16_t)(one->last + 1)) one->jumps++;
        one->last = sequence;
        one->packets++;
        for (ssize_t place = 0; place < length; place++) one->sum = (one->sum ^ bytes[place]) * 1099511628211u;
        if (saved_as < 0) continue;
        unsigned char head[3] = {(unsigned char)saved_as, (unsigned char)(length >> 8), (unsigned char)length};
        if (fwrite(head, 1, 3, save) != 3 || fwrite(bytes, 1, (size_t)length, save) != (size_t)length) exit(1);
    }
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    unsigned first = (unsigned)atoi(arguments[1]), wanted = (unsigned)atoi(arguments[2]);
    FILE *save = fopen(arguments[3], "wb");
    sink *sinks = calloc(wanted, sizeof *sinks);
    int poller = epoll_create1(0), input_ended = 0;
    if (save == NULL || sinks == NULL || poller < 0) return 1;
    for (unsigned number = 0; number < wanted; number++) {
        struct sockaddr_in address;
        memset(&address, 0, sizeof address);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons((uint16_t)(first + 2 * number));
        struct epoll_event event = {EPOLLIN, {.u32 = number}};
        sinks[number].descriptor = socket(AF_INET, SOCK_DGRAM, 0);
        /* The default receive buffer: what an ordinary player has. */
        if (bind(sinks[number].descriptor, (struct sockaddr *)&address, sizeof address) != 0
            || epoll_ctl(poller, EPOLL_CTL_ADD, sinks[number].descriptor, &event) != 0) {
            fprintf(stderr, "sinks: port %u: %s\n", first + 2 * number, strerror(errno));
            return 1;
        }
    }
    puts("ready sinks=1");
    fflush(stdout);
    while (!input_ended) {
        struct epoll_event ready[256];
        struct pollfd input = {STDIN_FILENO, POLLIN, 0};
        char byte;
        if (poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0) input_ended = 1;
        for (int number = epoll_wait(poller, ready, 256, 20) - 1; number >= 0; number--) {
            unsigned place = ready[number].data.u32;
            read_all(&sinks[place], place == 0 ? 0 : place == wanted - 1 ? 1 : -1, save);
        }
    }
    unsigned fewest = UINT32_MAX, most = 0, gaps = 0, different = 0, elsewhere = 0;
    unsigned long long all = 0;
    for (unsigned number = 0; number < wanted; number++) {
        sink *one = &sinks[number];
        fewest = one->packets < fewest ? one->packets : fewest;
        most = one->packets > most ? one->packets : most;
        all += one->packets;
        gaps += one->jumps > 0;
        different += one->sum != sinks[0].sum;
        elsewhere += one->first != sinks[0].first;
    }
    printf("readers=%u fewest=%u most=%u all=%llu gaps=%u different=%u began_elsewhere=%u first=%u\n", wanted, fewest, most, all, gaps,
        different, elsewhere, sinks[0].first);
    return fclose(save) != 0;
}
