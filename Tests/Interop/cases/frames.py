"""Picture for picture and sound for sound: what is decoded behind the relay is what the origin has."""
import concurrent.futures
import os
import pwd
import shutil

from cases.status import pictures_cut
from harness.clip import Numbered
from harness.players import check_run, ffmpeg_audio_units, ffmpeg_pictures, pictures, start_publisher
from harness.process import free_port
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

GST_LAUNCH = ("( filesrc location={path} ! qtdemux name=d d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 "
              "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )")


def compare_all(context, clip, url, frames=100):
    """Every player over UDP and TCP at the same time, pictures; and the sound by ffmpeg."""
    ways = [(player, transport) for player in ("ffmpeg", "gstreamer", "mplayer") for transport in ("udp", "tcp")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = {pool.submit(pictures, context, player, url, transport, frames, 640, 360, name=f"{player}-{transport}"):
                (player, transport) for player, transport in ways}
        sounds = [pool.submit(ffmpeg_audio_units, context, url, transport, 150, name=f"sound-{transport}")
                  for transport in ("udp", "tcp")]
        for future, (player, transport) in seen.items():
            check_run(future.result(), clip.pictures, frames - 15, f"{player} over {transport}")
        for future in sounds:
            check_run(future.result(), clip.audio_units, 150, "sound")


def wait_for_path(context, url, seconds=15):
    """Until a DESCRIBE is answered with a description."""
    loop = context.closing(ReaderLoop())
    reader = Reader(loop, url)
    reader.describe(seconds=seconds)
    reader.close()


@test(seconds_max=75, transport=["udp", "tcp"])
def published_frames_arrive(context, transport):
    """ffmpeg publishes; six readers decode exactly its pictures and receive exactly its sound."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", config="paths:\n  live:\n    source: publish\n    source-wait: 15s\n")
    publisher = start_publisher(context, clip.path, weir.url("live"), transport)
    wait_for_path(context, weir.url("live"))
    compare_all(context, clip, weir.url("live"))
    check(publisher.running, "the publisher ended")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=75, transport=["udp", "tcp"])
def pulled_frames_arrive(context, transport):
    """GStreamer's RTSP server is pulled; six readers decode exactly its pictures and receive exactly its sound."""
    clip = Numbered(context.cache)
    port = free_port()
    helper = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")
    origin = context.spawn("gst-origin", ["/usr/bin/python3", helper, port, "/clip", GST_LAUNCH.format(path=clip.path)])
    origin.wait_for(lambda: "ready" in origin.out(), 15, "it was ready")
    weir = context.weir("serve", config=f"paths:\n  live:\n    source: rtsp://127.0.0.1:{port}/clip\n    transport: {transport}\n")
    compare_all(context, clip, weir.url("live"))
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=60)
def vlc_is_pulled(context):
    """VLC as RTSP origin over UDP: weir relay takes it, and ffmpeg decodes VLC's pictures."""
    clip = Numbered(context.cache)
    port = free_port()
    argv = ["cvlc", "-I", "dummy", "--loop", clip.path, "--sout", f"#rtp{{sdp=rtsp://127.0.0.1:{port}/clip}}", "--sout-keep"]
    if os.getuid() == 0:
        # VLC refuses to run as root; the other user must be able to read the clip.
        shared = f"/var/tmp/weir-interop-{os.getpid()}.mp4"
        shutil.copyfile(clip.path, shared)
        os.chmod(shared, 0o644)
        context.closing(Removal(shared))
        argv[argv.index(clip.path)] = shared
        nobody = pwd.getpwnam("nobody")
        # Not runuser: that would stand between us and VLC, and VLC would outlive it.
        argv = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
                "env", "HOME=/nonexistent", *argv]
    context.spawn("vlc", argv)
    # It takes its time until it listens.
    weir = context.weir("serve", config=f"paths:\n  vlc:\n    source: rtsp://127.0.0.1:{port}/clip\n    source-wait: 30s\n")
    wait_for_path(context, weir.url("vlc"), 30)
    check_run(ffmpeg_pictures(context, weir.url("vlc"), "tcp", 60), clip.pictures, 50, "ffmpeg behind VLC")


class Removal:
    def __init__(self, path):
        self.path = path

    def close(self):
        os.remove(self.path)


@test(seconds_max=40)
def second_publisher_is_refused(context):
    """A path has one publisher; another one is told so, and the first is not disturbed."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", config="paths:\n  live:\n    source: publish\n    source-wait: 15s\n")
    start_publisher(context, clip.path, weir.url("live"), "tcp", name="first")
    wait_for_path(context, weir.url("live"))
    second = start_publisher(context, clip.path, weir.url("live"), "tcp", name="second")
    check(second.wait(15) != 0, "the second publisher was not refused")
    check_run(ffmpeg_pictures(context, weir.url("live"), "udp", 50), clip.pictures, 50, "ffmpeg behind the first")


@test(seconds_max=40)
def publishing_needs_a_path_for_it(context):
    """ANNOUNCE to a path that has a source of its own, or to none, is refused."""
    clip = Numbered(context.cache)
    weir = context.weir("demo")
    for path in ("demo", "nowhere"):
        publisher = start_publisher(context, clip.path, weir.url(path), "tcp", name=f"to-{path}")
        check(publisher.wait(15) != 0, f"publishing to /{path} was not refused")
    weir.check_alive()


@test(seconds_max=45, transport=["udp", "tcp"])
def publisher_comes_back(context, transport):
    """A publisher is killed and starts again: its readers stay and see one line of SSRC, sequence and time."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", config="paths:\n  live:\n    source: publish\n    source-wait: 15s\n")
    first = start_publisher(context, clip.path, weir.url("live"), transport, name="first")
    wait_for_path(context, weir.url("live"))
    loop = context.closing(ReaderLoop())
    readers = [Reader(loop, weir.url("live"), way, keep=True) for way in ("udp", "tcp")]
    for reader in readers:
        reader.start()
        reader.wait_for_packets(0, 50, 10)
    first.kill()
    start_publisher(context, clip.path, weir.url("live"), transport, name="again")
    for reader in readers:
        reader.wait_for_packets(0, 200, 20)
    cut = pictures_cut(context, 1)
    for reader in readers:
        for track, flow in reader.flows.items():
            check(len(flow.ssrcs) == 1, f"{reader.transport} track {track}: {len(flow.ssrcs)} SSRCs")
            check(flow.lost == (cut if track == 0 else 0), f"{reader.transport} track {track}: {flow.lost} missing sequence numbers, {cut} pictures cut")
