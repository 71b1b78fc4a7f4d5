#include "demo_clip.h"

// #embed is C23; the compiler takes it in older modes too and would only warn.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t rtpdump[] = {
#embed "demo.rtpdump"
};

static const uint8_t sdp[] = {
#embed "demo.sdp"
};

const uint8_t *weir_demo_rtpdump(size_t *count) {
    *count = sizeof rtpdump;
    return rtpdump;
}

const uint8_t *weir_demo_sdp(size_t *count) {
    *count = sizeof sdp;
    return sdp;
}
