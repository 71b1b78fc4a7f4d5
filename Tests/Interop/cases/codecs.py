"""Every video codec's key frames are known: newcomers begin with one, at once as well as at the next."""
import concurrent.futures
import os

from cases.joinburst import is_key_frame
from harness.av1 import AV1Clip, depacketise
from harness.clip import cached, ffmpeg, framemd5
from harness.origin import Origin
from harness.players import check_run, ffmpeg_pictures
from harness.process import free_port
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

HELPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")
SECONDS, KEY_EVERY = 12, 50
SOURCE = ["-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d={SECONDS}", "-pix_fmt", "yuv420p"]
KEYS = ["-g", KEY_EVERY, "-keyint_min", KEY_EVERY]
LIVE = ["-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-b:v", "600k"]


def h265_begins(payload):
    kind = payload[0] >> 1 & 0x3F
    if kind == 48:  # an aggregate: its first unit
        kind = payload[4] >> 1 & 0x3F
    if kind == 49:  # a fragment
        kind = payload[2] & 0x3F if payload[2] & 0x80 else -1
    return 16 <= kind <= 23 or 32 <= kind <= 34


def vp8_begins(payload):
    at = 1
    if payload[0] & 0x80:
        extension, at = payload[1], 2
        if extension & 0x80:
            at += 2 if payload[at] & 0x80 else 1
        at += bool(extension & 0x40) + bool(extension & 0x30)
    return payload[0] & 0x17 == 0x10 and payload[at] & 1 == 0


def mpeg4_begins(payload):
    at = payload.find(b"\0\0\1\xb6")
    return payload[:3] == b"\0\0\1" and payload[3] in (0xB0, 0xB3, 0xB5, 0x20, 0x00, 0xB6) and at >= 0 and payload[at + 4] >> 6 == 0


# Name: what encodes it, its file, what GStreamer makes RTP of it with, and whether a payload begins a key frame.
CODECS = {
    "H.264": (["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", *KEYS, "-sc_threshold", "0"], "mp4",
              "qtdemux ! h264parse ! rtph264pay config-interval=-1", lambda payload: is_key_frame([None] * 5 + [payload[:2]])),
    "H.265": (["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:log-level=1"],
              "mp4", "qtdemux ! h265parse ! rtph265pay config-interval=-1", h265_begins),
    "VP8": (["-c:v", "libvpx", *LIVE, *KEYS], "webm", "matroskademux ! rtpvp8pay", vp8_begins),
    "VP9": (["-c:v", "libvpx-vp9", *LIVE, *KEYS], "webm", "matroskademux ! vp9parse ! rtpvp9pay", lambda payload: payload[0] & 0x48 == 0x08),
    "MPEG-4": (["-c:v", "mpeg4", "-q:v", "4", *KEYS, "-sc_threshold", "1000000000"], "mp4", "qtdemux ! mpeg4videoparse ! rtpmp4vpay", mpeg4_begins),
    "JPEG": (["-c:v", "mjpeg", "-q:v", "6", "-huffman", "default", "-pix_fmt", "yuvj420p"], "mkv", "matroskademux ! jpegparse ! rtpjpegpay",
             lambda payload: payload[1:4] == b"\0\0\0"),
    "AV1": (["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-b:v", "600k", *KEYS], "ivf", None,
            lambda payload: payload[0] & 0x88 == 0x08),
}


def pictures_of(*source):
    text = ffmpeg(*source, "-map", "0:v", "-f", "framemd5", "-c:v", "rawvideo", "-").decode()
    return [row[5] for row in framemd5(text)]


def start_origin(context, codec, file):
    """One for each who pulls: GStreamer's server leaves out a frame for the first client when a second one comes."""
    launch = CODECS[codec][2]
    if launch is None:
        return context.closing(Origin(clip=AV1Clip(file, 25))).url()
    port = free_port()
    origin = context.spawn("gst-origin", ["/usr/bin/python3", HELPER, port, "/clip",
                                          f"( filesrc location={file} ! {launch} name=pay0 pt=96 )"])
    origin.wait_for(lambda: "ready" in origin.out(), 15, "it was ready")
    return f"rtsp://127.0.0.1:{port}/clip"


@test(seconds_max=60, codec=list(CODECS))
def key_frames_are_known(context, codec):
    """Whoever joins begins with a key frame, now (join burst) or at the next one, and decodes the origin's pictures from there."""
    arguments, extension, _, begins = CODECS[codec]
    file = cached(context.cache, f"{codec}.{extension}", lambda path: ffmpeg(*SOURCE, *arguments, path))
    original = pictures_of("-i", file)
    check(len(set(original)) == SECONDS * 25, f"{len(set(original))} different pictures in the clip")
    urls = [start_origin(context, codec, file) for _ in range(2)]
    weir = context.weir("serve", config=f"paths:\n  now:\n    source: {urls[0]}\n    transport: tcp\n    window: 4s\n"
                                        f"  next:\n    source: {urls[1]}\n    transport: tcp\n    join-burst: off\n")
    loop = context.closing(ReaderLoop())
    firsts = {path: Reader(loop, weir.url(path), "tcp", keep=True) for path in ("now", "next")}
    for reader in firsts.values():
        reader.start()
        reader.wait_for_packets(0, 60, 10)  # some pictures after the first key frame

    def join(path, transport):
        reader = Reader(loop, weir.url(path), transport, keep="all")
        return path, transport, reader, reader.start()
    ways = [(path, transport) for path in ("now", "next") for transport in ("udp", "tcp")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        joined = [pool.submit(join, *way) for way in ways]
        seen = []
        if codec != "AV1":  # which ffmpeg 5 cannot take from RTP
            seen = [pool.submit(ffmpeg_pictures, context, weir.url(path), "tcp", 60, name=f"ffmpeg-{path}") for path in ("now", "next")]
        for path, transport, reader, info in (future.result() for future in joined):
            # As many as make twenty pictures, however large the encoder made the key frame before them.
            reader.wait_for_packets(0, 120 if codec == "AV1" else 60, 10)
            payload = reader.flows[0].first[3][12:]
            check(begins(payload), f"{path} over {transport}: the first packet begins no key frame: {payload[:8].hex()}")
            check(reader.flows[0].kept[0][1:3] == info[0], f"{path} over {transport}: RTP-Info names another packet")
            check(reader.flows[0].lost == 0, f"{path} over {transport}: {reader.flows[0].lost} lost")
            if codec == "AV1":
                received = context.path(f"{path}-{transport}.obu")
                with open(received, "wb") as out:
                    out.write(depacketise(list(reader.flows[0].whole)))
                check_run(pictures_of("-f", "obu", "-i", received), original, 20, f"{path} over {transport}")
        for future in seen:
            got = future.result()
            check_run(got, original, 60, "ffmpeg")
            check(codec == "JPEG" or original.index(got[0]) % KEY_EVERY == 0, f"ffmpeg began with picture {original.index(got[0])}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")
