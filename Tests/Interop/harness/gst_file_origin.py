"""A GStreamer RTSP server with files of known length, which each client plays from its own place. Needs the system's python (gi).

python3 gst_file_origin.py PORT PATH FILE [PATH FILE …]       (MP4 with H.264 and AAC)

Says each client's requests on standard output, one a line: METHOD, and the Range of a PLAY.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = ("( filesrc location={file} ! qtdemux name=d "
          "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 "
          "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )")


def say(*words):
    print(*words, flush=True)


def connected(_, client):
    for method in ("describe", "play", "teardown"):
        client.connect(f"{method}-request", lambda _client, _state, name=method.upper(): say(name))


def main():
    port, *places = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for path, file in zip(places[::2], places[1::2]):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(LAUNCH.format(file=file))
        factory.set_shared(False)
        server.get_mount_points().add_factory(path, factory)
    server.connect("client-connected", connected)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {port}")
    say("ready")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
