"""`weir load rtsp://` and `weir probe rtsp://` of Windows Media (MS-RTSP)."""
import json

from cases.windowsmedia import BROADCAST
from cases.windowsmedia_load import load
from harness.registry import check, test
from harness.windowsmedia import ASFClip


def rtsp(weir, path):
    return f"rtsp://{weir.host}:{weir.port}/{path}"


@test(seconds_max=30, alone=True, transport=["udp", "tcp"])
def msrtsp_load_of_a_broadcast(context, transport):
    """Fifty readers of a broadcast, and twenty that join meanwhile: all play, nothing is lost, in real time; beside them one of WMSP."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    result = load(context, rtsp(weir, "tv"), "-n", "50", "--joiners", "20", "--join-rate", "20", "--duration", "4", "--settling", "1",
                  "--server-pid", str(weir.pid), "--transport", transport)
    check((result["playing"], result["lost"], result["lossy_sessions"], result["duplicates"]) == (50, 0, 0, 0), lambda: f"{result}")
    check(result["joiners"]["playing"] == 20 and result["joiners"]["lost"] == 0, lambda: f"joiners: {result['joiners']}")
    check(abs(result["real_time_ratio"] - 1) < 0.05, lambda: f"{result['real_time_ratio']} of real time")
    check((result["protocol"], result["transport"]) == ("ms-rtsp", transport), lambda: f"{result}")
    check(result["server_cpu_us_per_packet"] > 0 and result["lateness_ms"]["p99"] is not None, lambda: f"{result}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=30, kind=["broadcast", "demand"])
def msrtsp_probe(context, kind):
    """`weir probe rtsp://` says that it is Windows Media, and of what streams; the same as over HTTP."""
    clip = ASFClip(context.cache)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path)) if kind == "broadcast" else context.weir("relay", clip.path, "--as", "tv")
    code, out, err = context.run_weir("probe", rtsp(weir, "tv"), "--duration", "2", "--json", name="probe")
    check(code == 0, lambda: f"weir probe ended with code {code}: {err[-300:]}")
    found = json.loads(out)
    check(found["container"] == "asf" and found["transport"] == "tcp" and found["server"].startswith("WMServer/"), lambda: f"{found}")
    streams = {stream["kind"]: stream for stream in found["streams"]}
    check(set(streams) == {"video", "audio"}, lambda: f"streams: {found['streams']}")
    check((streams["video"]["codec"], streams["video"]["width"]) == ("WMV2", 320), lambda: f"video: {streams['video']}")
    check(streams["video"]["objects"] >= 25 and streams["audio"]["objects"] > 0, lambda: f"{found['streams']}")
    check(found["played"]["packets"] > 20 and found["played"]["lost"] == 0 and found["played"]["broken"] == 0, lambda: f"{found['played']}")
    check(found["broadcast"] == (kind == "broadcast") and found["seekable"] != found["broadcast"], lambda: f"{found}")
