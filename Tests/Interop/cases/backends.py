"""The same promises where io_uring is not to be had, or not wanted."""
import contextlib
import os
import sys

from cases import codecs, crowd, demo, frames, joinburst, overload, pacing, pull, sessions, workers
from harness.clip import demo_hashes
from harness.players import check_run, ffmpeg_pictures
from harness.registry import check, test

HELPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "forbidding.py")
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
    "newcomers_begin_at_once": joinburst.newcomers_begin_at_once,
}
# What a sandbox forbids: the backend that is chosen there, and what its reason names.
SANDBOXES = {
    "io_uring": ("epoll", ("io_uring", "EPERM", "allow io_uring_setup")),
    "io_uring_enter": ("epoll", ("io_uring_enter", "EPERM")),
    "io_uring,sendmmsg": ("plain", ("io_uring", "sendmmsg", "ENOSYS")),
    "io_uring,recvmmsg": ("plain", ("io_uring", "recvmmsg", "ENOSYS")),
    "io_uring,UDP_SEGMENT,UDP_GRO": ("plain", ("io_uring", "UDP_SEGMENT")),
    "UDP_SEGMENT": ("io_uring", ("UDP_SEGMENT", "one packet a message")),
}


@test(seconds_max=90, which=[(backend, name) for backend in ("epoll", "plain") for name in CHOSEN])
def another_backend_does_the_same(context, which):
    """A chosen test again with --backend epoll or plain."""
    backend, name = which
    context.engine_options = ("--backend", backend)
    CHOSEN[name](context)


@test(seconds_max=90, alone=True, backend=["epoll", "plain"])
def another_backend_serves_a_crowd(context, backend):
    """200 readers come and go while 50 stay, with --backend epoll or plain."""
    context.engine_options = ("--backend", backend)
    crowd.come_and_go(context, "udp")


@test(seconds_max=90, alone=True, backend=["epoll", "plain"])
def another_backend_keeps_policies(context, backend):
    """Readers that fall behind go on as told, with --backend epoll or plain."""
    context.engine_options = ("--backend", backend)
    overload.readers_behind_go_on_as_told(context)


@test(seconds_max=120, alone=True)
def epoll_paces_large_frames(context):
    """Large key frames reach players whole, with --backend epoll."""
    context.engine_options = ("--backend", "epoll")
    pacing.large_key_frames_overrun_nobody(context)


@test(seconds_max=60, what=list(SANDBOXES))
def sandboxes_are_probed(context, what):
    """Where calls are forbidden Weir takes what works by itself, says so in one line and every status, and plays."""
    backend, words = SANDBOXES[what]
    weir = context.weir("demo", wrapper=(sys.executable, HELPER, what))
    check_run(ffmpeg_pictures(context, weir.url("demo"), "udp", 40), demo_hashes(context.cache), 40, "ffmpeg over UDP")
    check_run(ffmpeg_pictures(context, weir.url("demo"), "tcp", 40), demo_hashes(context.cache), 40, "ffmpeg over TCP")
    lines = [line for line in weir.log().splitlines() if f"Backend {backend}" in line]
    check(len(lines) == 1, f"{len(lines)} log lines name the backend")
    status = weir.wait_for_status(lambda line: "backend" in line, 5, "a status")
    check(status["backend"] == backend, f"the status says {status['backend']}")
    for word in words:
        check(word in lines[0], f"the log line does not say {word}: {lines[0]}")
        check(word in status["backend_reason"], f"the status does not say {word}: {status['backend_reason']}")


@test(seconds_max=30)
def sandboxed_sources_arrive(context):
    """A publisher over UDP, whose packets come one a call: every frame arrives, where batches and trains are forbidden."""
    start = context.weir
    context.weir = lambda *arguments, **options: start(
        *arguments, wrapper=(sys.executable, HELPER, "io_uring,sendmmsg,recvmmsg,UDP_SEGMENT,UDP_GRO"), **options)
    frames.published_frames_arrive(context, "udp")


@test(seconds_max=30)
def required_uring_is_required(context):
    """--require-io-uring where it is forbidden: exit code 1, the reason and the remedy."""
    process = context.spawn(
        "refused", [sys.executable, HELPER, "io_uring", context.weir_path, "demo", "--listen", "127.0.0.1:0", "--require-io-uring"])
    code = process.wait(10)
    check(code == 1, f"ended with code {code}")
    for word in ("io_uring", "EPERM", "allow io_uring_setup", "--require-io-uring"):
        check(word in process.err(), f"the error does not say {word}: {process.err()}")


@test(seconds_max=30, backend=["io_uring", "epoll"])
def a_backend_asked_for_is_taken_or_refused(context, backend):
    """--backend names one that does not work here: exit code 1 and the reason, not another backend."""
    process = context.spawn("refused", [sys.executable, HELPER, "io_uring,UDP_SEGMENT", context.weir_path, "demo",
                                        "--listen", "127.0.0.1:0", "--backend", backend])
    code = process.wait(10)
    check(code == 1, f"ended with code {code}")
    check(f"backend {backend} cannot be used" in process.err(), process.err())


def descriptors(weir):
    """What the process has open."""
    links, folder = [], f"/proc/{weir.pid}/fd"
    for name in os.listdir(folder):
        # Some are closed again meanwhile.
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(os.path.join(folder, name)))
    return links


@test(seconds_max=30)
def uring_is_the_default(context):
    """Where io_uring works it is used: the process holds a ring; with another backend it holds none."""
    weir = context.weir("demo")
    check(any("io_uring" in link for link in descriptors(weir)), "the process has no ring")
    for backend in ("epoll", "plain"):
        other = context.weir("demo", "--backend", backend)
        check(not any("io_uring" in link for link in descriptors(other)), f"with --backend {backend} the process has a ring")
