"""Packets that are too large for UDP: cut, or refused so that players take TCP; parameter sets that a description lacks."""
import concurrent.futures
import copy
import os
import re

from cases.codecs import CODECS, HELPER, SECONDS, pictures_of
from cases.status import status
from harness.clip import cached, demo, demo_hashes, ffmpeg, sprop
from harness.h265 import H265Clip
from harness.origin import Origin
from harness.players import check_run, ffmpeg_pictures
from harness.process import free_port
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

LIMIT = 1_472
NOISE = ["-f", "lavfi", "-i", f"testsrc2=s=640x360:r=25:d={SECONDS},noise=alls=20:allf=t", "-pix_fmt", "yuv420p"]
BARE = "keyint=25:min-keyint=25:scenecut=0:bframes=0:repeat-headers=1:log-level=1"
# One access unit, or one unit, makes one packet of up to 60 kB.
LARGE = {
    "H.264": (CODECS["H.264"][0] + ["-b:v", "4M"], "mp4", "qtdemux ! h264parse ! rtph264pay mtu=60000 config-interval=-1"),
    # Parameter sets and key frame in one. (Of several slices GStreamer makes what ffmpeg does not read, without Weir too.)
    "H.264 aggregates": (CODECS["H.264"][0] + ["-b:v", "4M"], "mp4",
                         "qtdemux ! h264parse ! rtph264pay mtu=60000 config-interval=-1 aggregate-mode=max-stap"),
    "H.265": (CODECS["H.265"][0] + ["-b:v", "4M"], "mp4", "qtdemux ! h265parse ! rtph265pay mtu=60000 config-interval=-1"),
    "H.265 aggregates": (CODECS["H.265"][0] + ["-b:v", "4M"], "mp4",
                         "qtdemux ! h265parse ! rtph265pay mtu=60000 config-interval=-1 aggregate-mode=max"),
    "JPEG": (["-c:v", "mjpeg", "-q:v", "4", "-huffman", "default", "-pix_fmt", "yuvj420p"], "mkv",
             "matroskademux ! jpegparse ! rtpjpegpay mtu=60000"),
}


def start_origin(context, codec):
    """Its URL, and the pictures of its clip, which it plays once."""
    arguments, extension, launch = LARGE[codec]
    file = cached(context.cache, f"large-{codec.replace(' ', '-')}.{extension}", lambda path: ffmpeg(*NOISE, *arguments, path))
    original = pictures_of("-i", file)
    port = free_port()
    origin = context.spawn("gst-origin", ["/usr/bin/python3", HELPER, port, "/clip", f"( filesrc location={file} ! {launch} name=pay0 pt=96 )"])
    origin.wait_for(lambda: "ready" in origin.out(), 15, "it was ready")
    return f"rtsp://127.0.0.1:{port}/clip", original


@test(seconds_max=60, codec=[name for name in LARGE if name != "JPEG"])
def large_packets_are_cut(context, codec):
    """The origin sends packets of up to 60 kB over TCP: over UDP and TCP nothing larger than a datagram should be, and every picture is right."""
    url, original = start_origin(context, codec)
    weir = context.weir("serve", config=f"paths:\n  live:\n    source: {url}\n    transport: tcp\n    dial: always\n    join-burst: off\n")
    loop = context.closing(ReaderLoop())
    readers = {way: Reader(loop, weir.url("live"), way, keep="all") for way in ("udp", "tcp")}
    for reader in readers.values():
        reader.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        seen = [pool.submit(ffmpeg_pictures, context, weir.url("live"), way, 60, name=f"ffmpeg-{way}") for way in ("udp", "tcp")]
        for future in seen:
            check_run(future.result(), original, 60, "ffmpeg")
    for way, reader in readers.items():
        flow = reader.flows[0]
        sizes = [len(packet) for packet in list(flow.whole)]
        check(flow.packets > 500, f"{way}: {flow.packets} packets")
        check(max(sizes) <= LIMIT, f"{way}: a packet of {max(sizes)} bytes")
        check(sizes.count(LIMIT) > len(sizes) / 2, f"{way}: few packets are as large as they may be")
        check(flow.lost == flow.repeated == 0 and len(flow.ssrcs) == 1, f"{way}: {flow.lost} lost, {flow.repeated} repeated")
    track = status(context)["paths"][0]["tracks"][0]
    check(track["packets_fragmented"] > 60 and track["packets_oversize"] == 0, f"{track}")
    check(track["packet_bytes_max"] == LIMIT and track["lost"] == 0, f"{track}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=60)
def large_pictures_go_over_tcp(context):
    """JPEG in packets of up to 60 kB cannot be cut: UDP is answered 461 with the transport that would do, and players take that by themselves."""
    url, original = start_origin(context, "JPEG")
    weir = context.weir("serve", config=f"paths:\n  live:\n    source: {url}\n    transport: tcp\n    dial: always\n"
                                        f"  passed:\n    source: {url}\n    transport: tcp\n    dial: always\n    oversize: pass\n")
    loop = context.closing(ReaderLoop())
    first = Reader(loop, weir.url("live"), "tcp")
    first.start()
    first.wait_for_packets(0, 10, 15)
    refused = Reader(loop, weir.url("live"), "udp")
    refused.describe()
    answer = refused.setup(0, expect=461)
    check(answer.headers.get("transport") == "RTP/AVP/TCP;unicast", f"Transport: {answer.headers.get('transport')}")
    check("udp-packet-max" in answer.body.decode(), answer.body.decode())

    passed = Reader(loop, weir.url("passed"), "udp", keep="all")
    passed.start()
    passed.wait_for_packets(0, 30, 15)
    check(max(len(packet) for packet in list(passed.flows[0].whole)) > 10_000, "no large packet over UDP with oversize: pass")

    player = context.spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "verbose", "-y", "-i", weir.url("live"),
                                      "-map", "0:v", "-frames:v", "30", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])
    gstreamer = context.spawn("gstreamer", ["gst-launch-1.0", "-q", "rtspsrc", f"location={weir.url('live')}", "!", "rtpjpegdepay", "!",
                                            "jpegparse", "!", "identity", "eos-after=31", "!", "filesink",
                                            f"location={context.path('gst.mjpeg')}"])
    check(player.wait(30) == 0, "ffmpeg failed")
    rows = [line.split(",")[5].strip() for line in player.out().splitlines() if line and not line.startswith("#")]
    check_run(rows, original, 30, "ffmpeg")
    gstreamer.wait(30)
    check_run(pictures_of("-f", "mjpeg", "-i", context.path("gst.mjpeg")), original, 25, "GStreamer")
    check(weir.log().count("too large for UDP") == 2, "the log does not say it once for each path")


@test(seconds_max=45, codec=["demo", "H.265"])
def missing_parameter_sets_are_learnt(context, codec):
    """A source whose description has no parameter sets: once it plays, DESCRIBE shows them, and players that need them start."""
    if codec == "demo":
        clip = copy.copy(demo())
        clip.sdp = re.sub(r"a=fmtp:96 .*\r?\n", "a=fmtp:96 packetization-mode=1\r\n", clip.sdp)
        check(not sprop(clip.sdp) and sprop(demo().sdp), "the clip's own description has no parameter sets to be left out")
        url = context.closing(Origin(clip=clip)).url()
        original = demo_hashes(context.cache)
    else:
        file = cached(context.cache, "bare.h265", lambda path: ffmpeg(*NOISE, *CODECS["H.265"][0][:4], "-x265-params", BARE, path))
        original = pictures_of("-i", file)
        url = context.closing(Origin(clip=H265Clip(file, 25))).url()
    weir = context.weir("serve", config=f"paths:\n  live:\n    source: {url}\n    transport: tcp\n")
    loop = context.closing(ReaderLoop())
    first = Reader(loop, weir.url("live"), "tcp")
    first.describe()
    before = first.sdp
    for track in range(len(first.controls)):
        first.setup(track)
    first.play()
    first.wait_for_packets(0, 30, 15)
    second = Reader(loop, weir.url("live"), "udp")
    second.describe()
    if codec == "demo":
        check(not sprop(before), f"the first description has sets:\n{before}")
        check(sprop(second.sdp) == sprop(demo().sdp), f"learnt {sprop(second.sdp)}, not {sprop(demo().sdp)}")
        check("profile-level-id=" in second.sdp and "packetization-mode=1" in second.sdp, second.sdp)
        versions = [int(re.search(r"o=- \d+ (\d+)", text).group(1)) for text in (before, second.sdp)]
        check(versions == [1, 2], f"versions {versions}")
    else:
        for name in ("sprop-vps", "sprop-sps", "sprop-pps"):
            check(name in second.sdp, f"no {name} in\n{second.sdp}")
    for way in ("udp", "tcp"):
        check_run(ffmpeg_pictures(context, weir.url("live"), way, 40, name=f"ffmpeg-{way}"), original, 40, f"ffmpeg over {way}")
