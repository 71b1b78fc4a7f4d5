// The layout that programs were built for. A size or a place that changes here breaks them: new fields go to the end.
#include "fastpath.h"

#define HAS(structure, field, place) \
    _Static_assert(offsetof(structure, field) == (place), #structure "." #field " has moved")
#define SIZE(structure, bytes) _Static_assert(sizeof(structure) == (bytes), #structure " has changed its size")

SIZE(fp_options, 32);
HAS(fp_options, workers, 8);
HAS(fp_options, limits, 24);

SIZE(fp_limits, 72);
HAS(fp_limits, packet_log_bytes_max, 16);
HAS(fp_limits, window_milliseconds, 32);
HAS(fp_limits, write_stall_nanoseconds, 40);
HAS(fp_limits, datagram_buffer_bytes, 68);

SIZE(fp_track, 16);
SIZE(fp_stream_config, 216);
HAS(fp_stream_config, tracks, 8);
HAS(fp_stream_config, bit_rate, 136);
HAS(fp_stream_config, pacing, 152);
HAS(fp_stream_config, pacing_bit_rate, 160);
HAS(fp_stream_config, join_burst_speed_tenths, 208);

SIZE(fp_start, 8);
SIZE(fp_event, 144);
HAS(fp_event, id, 8);
HAS(fp_event, user, 16);
HAS(fp_event, ntp, 48);
HAS(fp_event, text, 64);
HAS(fp_event, starts, 80);
