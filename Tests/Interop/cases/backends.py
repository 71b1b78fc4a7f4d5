"""The same promises where io_uring is not to be had, or not wanted."""
import os
import sys

from cases import codecs, crowd, demo, frames, pull, sessions, workers
from harness.clip import demo_hashes
from harness.players import check_run, ffmpeg_pictures
from harness.registry import check, test

HELPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "without_uring.py")
CHOSEN = {
    "demo_plays-ffmpeg-udp": lambda context: demo.demo_plays(context, ("ffmpeg", "udp", "127.0.0.1")),
    "demo_plays-gstreamer-tcp": lambda context: demo.demo_plays(context, ("gstreamer", "tcp", "127.0.0.1")),
    "published_frames_arrive-udp": lambda context: frames.published_frames_arrive(context, "udp"),
    "published_frames_arrive-tcp": lambda context: frames.published_frames_arrive(context, "tcp"),
    "origin_returns-tcp": lambda context: pull.origin_returns(context, "tcp"),
    "begins_with_the_named_key_frame-tcp": lambda context: sessions.begins_with_the_named_key_frame(context, "tcp"),
    "one_visible_port": workers.one_visible_port,
    "key_frames_are_known-H.264": lambda context: codecs.key_frames_are_known(context, "H.264"),
    "pauses_and_plays-udp": lambda context: sessions.pauses_and_plays(context, "udp"),
}


@test(seconds_max=90, name=list(CHOSEN))
def epoll_does_the_same(context, name):
    """A chosen test again with --backend epoll."""
    context.engine_options = ("--backend", "epoll")
    CHOSEN[name](context)


@test(seconds_max=90, alone=True)
def epoll_serves_a_crowd(context):
    """200 readers come and go while 50 stay, with --backend epoll."""
    context.engine_options = ("--backend", "epoll")
    crowd.come_and_go(context, "udp")


@test(seconds_max=40)
def forbidden_uring_means_epoll(context):
    """Where io_uring is forbidden Weir takes epoll by itself, says so in one line, and plays."""
    weir = context.weir("demo", wrapper=(sys.executable, HELPER))
    check_run(ffmpeg_pictures(context, weir.url("demo"), "udp", 40), demo_hashes(context.cache), 40, "ffmpeg")
    lines = [line for line in weir.log().splitlines() if "epoll" in line]
    check(len(lines) == 1, f"{len(lines)} log lines speak of epoll")
    check("io_uring" in lines[0], f"the line does not say what is missing: {lines[0]}")


@test(seconds_max=30)
def required_uring_is_required(context):
    """--require-io-uring where it is forbidden: refused with a reason."""
    process = context.spawn("refused", [sys.executable, HELPER, context.weir_path, "demo", "--listen", "127.0.0.1:0", "--require-io-uring"])
    check(process.wait(10) not in (0, -11, -6, -4), f"ended with code {process.child.returncode}")
    check("io_uring" in process.err(), "the reason does not name io_uring")


@test(seconds_max=30)
def uring_is_the_default(context):
    """Where io_uring works it is used: the process holds a ring."""
    weir = context.weir("demo")
    links = [os.readlink(f"/proc/{weir.pid}/fd/{name}") for name in os.listdir(f"/proc/{weir.pid}/fd")]
    check(any("io_uring" in link for link in links), "the process has no ring")
    epoll = context.weir("demo", "--backend", "epoll")
    links = [os.readlink(f"/proc/{epoll.pid}/fd/{name}") for name in os.listdir(f"/proc/{epoll.pid}/fd")]
    check(not any("io_uring" in link for link in links), "with --backend epoll the process has a ring")
