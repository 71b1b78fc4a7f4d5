"""A GStreamer RTSP server with one shared medium. Needs the system's python (gi).

python3 gst_origin.py PORT PATH "( launch line with name=pay0 … )" [ADDRESS [GROUP]]

With a GROUP it is sent to that group alone (ports from 5000 on).
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def main():
    port, path, launch = sys.argv[1:4]
    address = sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1"
    group = sys.argv[5] if len(sys.argv) > 5 else None
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(address)
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    if group:
        pool = GstRtspServer.RTSPAddressPool()
        pool.add_range(group, group, 5000, 5020, 4)
        factory.set_address_pool(pool)
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP_MCAST)
    server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {port}")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
