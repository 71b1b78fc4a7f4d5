#define _GNU_SOURCE
#include "curing.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

int curing_set_segment(int descriptor, int bytes) {
    return setsockopt(descriptor, IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof bytes) < 0 ? -errno : 0;
}

uint32_t curing_segment_of(const struct msghdr *message) {
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR((struct msghdr *)message, control)) {
        if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) continue;
        int bytes;
        if (control->cmsg_len < CMSG_LEN(sizeof bytes)) continue;
        memcpy(&bytes, CMSG_DATA(control), sizeof bytes);
        return bytes > 0 ? (uint32_t)bytes : 0;
    }
    return 0;
}
