// The demonstration broadcast, carried inside the program so that it needs no file beside it. tools/make-demo-clip makes it.
#ifndef WEIR_DEMO_CLIP_H
#define WEIR_DEMO_CLIP_H

#include <stddef.h>
#include <stdint.h>

/// The packets in rtpdump form; `*count` becomes their number of bytes.
const uint8_t *weir_demo_rtpdump(size_t *count);
/// Their description (SDP); `*count` becomes its number of bytes.
const uint8_t *weir_demo_sdp(size_t *count);

#endif
