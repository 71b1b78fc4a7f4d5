"""Plays by GStreamer: gst_player.py 'PIPELINE' [SECONDS], from a place on, which gst-launch cannot. Exit code 0 when everything that came has gone
through to the end. gst-launch stops at the first error: rtspsrc says one when the server closes the connection behind the last packet, while
pictures are still on their way through the decoder."""
import ctypes
import signal
import sys

PLAYING, NULL = 4, 1
SECOND = 1_000_000_000
FLUSH, KEY_UNIT = 1, 4
EOS, ERROR = 1, 2


def main():
    # It waits within GStreamer, where Python does not hear of signals.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gst = ctypes.CDLL("libgstreamer-1.0.so.0")
    for name in ("gst_parse_launch", "gst_element_get_bus", "gst_bus_timed_pop_filtered"):
        getattr(gst, name).restype = ctypes.c_void_p
    gst.gst_init(None, None)
    pipeline = ctypes.c_void_p(gst.gst_parse_launch(sys.argv[1].encode(), None))
    if not pipeline:
        return 2
    bus = ctypes.c_void_p(gst.gst_element_get_bus(pipeline))
    gst.gst_element_set_state(pipeline, PLAYING)
    if len(sys.argv) > 2:
        # The pads are there when it plays; then it goes elsewhere.
        gst.gst_element_get_state(pipeline, None, None, ctypes.c_uint64(10 * SECOND))
        if not gst.gst_element_seek_simple(pipeline, 3, FLUSH | KEY_UNIT, ctypes.c_int64(int(float(sys.argv[2]) * SECOND))):
            print("the seek was refused", flush=True)
            return 1
        print("sought", flush=True)
    kind = next_kind(gst, bus, 30)
    if kind == ERROR:
        # What came before it is still on its way through the decoder, on a busy machine for seconds.
        kind = next_kind(gst, bus, 10, EOS)
    gst.gst_element_set_state(pipeline, NULL)
    print("end" if kind == EOS else "no end came", flush=True)
    return 0 if kind == EOS else 1


def next_kind(gst, bus, seconds, kinds=EOS | ERROR):
    """What the pipeline says next; None for nothing in so many seconds. Of an error it prints the details."""
    message = gst.gst_bus_timed_pop_filtered(bus, ctypes.c_uint64(seconds * SECOND), kinds)
    # The kind stands behind the mini object (64 bytes).
    kind = ctypes.c_int.from_address(message + 64).value if message else None
    if kind == ERROR:
        details = ctypes.c_char_p()
        gst.gst_message_parse_error(ctypes.c_void_p(message), None, ctypes.byref(details))
        print("error:", (details.value or b"").decode(errors="replace"), flush=True)
    return kind


sys.exit(main())
