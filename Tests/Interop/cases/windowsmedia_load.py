"""`weir load mmsh://` and `weir probe mmsh://`: measuring servers of Windows Media, Weir and others."""
import json
import os

from cases.windowsmedia import BROADCAST, mms
from harness.process import free_port
from harness.registry import check, test
from harness.windowsmedia import ASFClip, Removal, as_nobody


def start_origin(context, clip, kind):
    """A server of Windows Media that is not ours, or Weir; its URL."""
    if kind == "weir":
        weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
        return mms(weir, "tv")
    port = free_port()
    if kind == "ffmpeg":
        context.spawn("origin", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i",
                                 clip.path, "-c", "copy", "-f", "asf_stream", "-listen", "1", f"http://127.0.0.1:{port}/tv"])
    else:
        shared = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-load.asf", clip.path)).path
        context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--loop", shared, "--sout",
                                        f"#std{{access=mmsh,mux=asfh,dst=127.0.0.1:{port}/tv}}", "--sout-keep"]))
    return f"mmsh://127.0.0.1:{port}/tv"


def load(context, url, *arguments, seconds=25.0, code=0):
    ended, out, err = context.run_weir("load", url, *arguments, "--json", seconds=seconds, name="load")
    check(ended == code, lambda: f"weir load ended with code {ended}: {err[-400:]}")
    return json.loads(out)


@test(seconds_max=30, agent=["NSPlayer/9.0.0.2980", "NSPlayer/4.1.0.3856"])
def wmsp_load_of_a_broadcast(context, agent):
    """Fifty players of a broadcast, and twenty that join meanwhile: all play, nothing is lost, in real time; old players and new ones."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    result = load(context, mms(weir, "tv"), "-n", "50", "--joiners", "20", "--join-rate", "20", "--duration", "4", "--settling", "1",
                  "--server-pid", str(weir.pid), "--user-agent", agent)
    check((result["playing"], result["lost"], result["lossy_sessions"], result["duplicates"]) == (50, 0, 0, 0), lambda: f"{result}")
    check(result["joiners"]["playing"] == 20 and result["joiners"]["lost"] == 0, lambda: f"joiners: {result['joiners']}")
    check(abs(result["real_time_ratio"] - 1) < 0.05, lambda: f"{result['real_time_ratio']} of real time")
    check(result["protocol"] == "wmsp" and result["bytes"] > 0 and result["server_cpu_ns_per_byte"] > 0, lambda: f"{result}")
    check(result["spread_readers"] == 16 and result["lateness_ms"]["p99"] is not None, lambda: f"{result}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=30)
def wmsp_load_at_many_places(context):
    """Thirty players of a file, each at a place of its own: nothing is lost, nothing comes behind its send time."""
    clip = ASFClip(context.cache, seconds=30)
    weir = context.weir("relay", clip.path, "--as", "a")
    result = load(context, mms(weir, "a"), "-n", "30", "--positions", "spread", "--duration", "4", "--settling", "2")
    check((result["playing"], result["lost"]) == (30, 0), lambda: f"{result}")
    check(result["behind_ms"]["max"] is not None and result["behind_ms"]["p99"] <= 100, lambda: f"behind: {result['behind_ms']}")
    # A file that is too short for the run says so.
    result = load(context, mms(weir, "a"), "-n", "2", "--positions", "spread", "--duration", "30", code=1)
    check(any("longer file" in reason for reason in result["failures"]), lambda: f"{result['failures']}")


@test(seconds_max=30)
def wmsp_load_tells_of_ends(context):
    """Sessions that end before the window does are told with their reason; a path that is not there, too."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("relay", clip.path, "--as", "a")
    result = load(context, mms(weir, "a"), "-n", "5", "--duration", "8", "--settling", "0", code=1)
    check(result["playing"] == 0 and result["failures"] == {"the media came to its end": 5}, lambda: f"{result}")
    result = load(context, mms(weir, "nowhere"), "-n", "3", "--duration", "2", code=1)
    check(result["playing"] == 0 and any("404" in reason for reason in result["failures"]), lambda: f"{result['failures']}")


@test(seconds_max=30)
def wmsp_load_of_vlc(context):
    """Ten players of VLC's mmsh server: all play in real time, and its numbers have no gaps."""
    clip = ASFClip(context.cache)
    url = start_origin(context, clip, "vlc")
    # VLC's port is open before it has a header.
    ready = None
    for _ in range(20):
        code, out, _ = context.run_weir("load", url, "-n", "1", "--duration", "0.2", "--settling", "0", "--join-timeout", "2", "--json", name="try")
        if code == 0:
            ready = out
            break
    check(ready, "VLC does not serve")
    result = load(context, url, "-n", "10", "--duration", "3", "--settling", "2")
    check(result["playing"] == 10 and result["lost"] == 0, lambda: f"{result}")
