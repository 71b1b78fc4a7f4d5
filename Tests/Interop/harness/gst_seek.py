"""Plays by GStreamer from a place on, which gst-launch cannot: gst_seek.py 'PIPELINE' SECONDS. Ends with the stream; exit code 1 if it breaks."""
import ctypes
import sys

PAUSED, PLAYING, NULL = 3, 4, 1
SECOND = 1_000_000_000
FLUSH, KEY_UNIT = 1, 4
EOS, ERROR = 1, 2


def main():
    gst = ctypes.CDLL("libgstreamer-1.0.so.0")
    for name in ("gst_parse_launch", "gst_element_get_bus", "gst_bus_timed_pop_filtered"):
        getattr(gst, name).restype = ctypes.c_void_p
    gst.gst_init(None, None)
    pipeline = ctypes.c_void_p(gst.gst_parse_launch(sys.argv[1].encode(), None))
    if not pipeline:
        return 2
    bus = ctypes.c_void_p(gst.gst_element_get_bus(pipeline))
    gst.gst_element_set_state(pipeline, PLAYING)
    # The pads are there when it plays; then it goes elsewhere.
    gst.gst_element_get_state(pipeline, None, None, ctypes.c_uint64(10 * SECOND))
    seconds = float(sys.argv[2])
    if not gst.gst_element_seek_simple(pipeline, 3, FLUSH | KEY_UNIT, ctypes.c_int64(int(seconds * SECOND))):
        print("the seek was refused", flush=True)
        return 1
    print("sought", flush=True)
    message = gst.gst_bus_timed_pop_filtered(bus, ctypes.c_uint64(30 * SECOND), EOS | ERROR)
    gst.gst_element_set_state(pipeline, NULL)
    # The kind stands behind the mini object (64 bytes).
    kind = ctypes.c_int.from_address(message + 64).value if message else None
    print({EOS: "end", ERROR: "error", None: "nothing came"}.get(kind, kind), flush=True)
    return 0 if kind == EOS else 1


sys.exit(main())
