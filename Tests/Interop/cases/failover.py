"""Several sources for one path: who stands in when one fails, and what readers see of it."""
import json
import os

from harness.clip import Numbered, demo_hashes, framemd5
from harness.origin import Origin, Splice
from harness.players import complain, start_ffmpeg
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

HELPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")


def serve(context, sources, **settings):
    lines = [f"    source: {sources[0]}", "    backups: [" + ", ".join(sources[1:]) + "]", "    silence: 2s", "    source-wait: 15s"]
    lines += [f"    {key.replace('_', '-')}: {value}" for key, value in settings.items()]
    return context.weir("serve", config="paths:\n  cam:\n" + "\n".join(lines) + "\n")


def legs(context, weir):
    code, out, err = context.run_weir("status", str(weir.port), "--json", name="status")
    check(code == 0, f"weir status ended with code {code}: {err[:300]}")
    return json.loads(out)["paths"][0]["legs"]


def feeding(context, weir):
    return [number for number, leg in enumerate(legs(context, weir)) if leg["is_feeding"]]


def decode(context, weir, frames):
    return start_ffmpeg(context, weir.url("cam"), "tcp", "-map", "0:v", "-frames:v", str(frames), "-vsync", "passthrough",
                        "-enc_time_base", "1:90000", "-c:v", "rawvideo", "-flush_packets", "1", "-f", "framemd5", "-")


@test(seconds_max=60, standby=["cold", "warm"])
def failover_is_decoded_on(context, standby):
    """The primary dies, the backup stands in; the primary returns and is gone back to; one ffmpeg decodes all the time."""
    ports = [free_port(), free_port()]
    origins = [Origin(port=port, splice=Splice.random(number)) for number, port in enumerate(ports)]
    weir = serve(context, [origin.url() for origin in origins], standby=standby, failback_after="2s")
    process = decode(context, weir, 500)

    def decoded(least):
        process.wait_for(lambda: len(framemd5(process.out())) > least, 20, f"it decoded {least} pictures")

    decoded(40)
    check(feeding(context, weir) == [0], f"legs: {legs(context, weir)}")
    check(len(origins[1].asked("DESCRIBE")) == (1 if standby == "warm" else 0), f"the backup was asked {origins[1].events}")
    check(not origins[1].asked("PLAY"), "the backup plays beside the primary")
    origins[0].close()
    wait_until(lambda: feeding(context, weir) == [1], 10, "the backup stands in")
    decoded(len(framemd5(process.out())) + 40)
    shown = legs(context, weir)
    check(shown[0]["failures"] > 0 and shown[0]["last_error"], f"the primary's trouble is not shown: {shown[0]}")
    origins[0] = context.closing(Origin(port=ports[0], splice=Splice.random(7)))
    wait_until(lambda: feeding(context, weir) == [0], 15, "the primary is gone back to")
    wait_until(lambda: origins[0].playing, 5, "the primary plays")
    wait_until(lambda: not origins[1].playing, 5, "the backup is let go of")
    decoded(len(framemd5(process.out())) + 40)
    origins[1].close()
    check(process.wait(40) == 0, "ffmpeg failed")
    complain(process)
    rows = framemd5(process.out())
    original = set(demo_hashes(context.cache))
    foreign = [number for number, row in enumerate(rows) if row[5] not in original]
    check(len(rows) == 500 and not foreign, f"{len(rows)} pictures, {len(foreign)} of them not the origins'")
    check(all(b[2] > a[2] for a, b in zip(rows, rows[1:])), "a timestamp did not grow")
    check([leg["times_taken"] for leg in legs(context, weir)] == [2, 1], f"legs: {legs(context, weir)}")


@test(seconds_max=60)
def failover_keeps_one_time_line(context):
    """UDP and TCP readers over five deaths in turn: one SSRC, no number missing or twice, no time that goes back; a frozen source too."""
    ports = [free_port(), free_port()]
    origins = [Origin(port=port, splice=Splice.random(10 + number)) for number, port in enumerate(ports)]
    weir = serve(context, [origin.url() for origin in origins], failback_after="never")
    loop = context.closing(ReaderLoop())
    readers = [Reader(loop, weir.url("cam"), transport, keep=True) for transport in ("udp", "tcp")]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.wait_for_packets(0, 60, 10)
    for life in range(5):
        number = life % 2
        wait_until(lambda: feeding(context, weir) == [number], 10, f"source {number} feeds")
        origins[number].close()
        wait_until(lambda: feeding(context, weir) == [1 - number], 10, f"source {1 - number} stands in")
        origins[number] = Origin(port=ports[number], splice=Splice.random(20 + life))
        for reader in readers:
            reader.wait_for_packets(0, 60, 20)
    for origin in origins:
        context.closing(origin)
    for reader in readers:
        check(not reader.closed, f"the {reader.transport} reader's connection was closed")
        for track, flow in reader.flows.items():
            where = f"{reader.transport} reader, track {track}"
            check(len(flow.ssrcs) == 1, f"{where}: {len(flow.ssrcs)} SSRCs")
            check(flow.lost == 0 and flow.repeated == 0, f"{where}: {flow.lost} sequence numbers missing, {flow.repeated} repeated")
            check(flow.backward == 0, f"{where}: the timestamp went back {flow.backward} times")


@test(seconds_max=40)
def failover_refuses_what_does_not_fit(context):
    """A backup with other tracks is refused in words and the next is taken; a clip stands in at the end."""
    from harness.clip import demo_path
    primary = Origin(splice=Splice.random(3))
    other = context.path("other.sdp")
    port = free_port()
    context.write("other.sdp", f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port & ~1} RTP/AVP 0\r\n")
    weir = serve(context, [primary.url(), other, demo_path("rtpdump")], failback_after="never")
    process = decode(context, weir, 150)
    process.wait_for(lambda: len(framemd5(process.out())) > 40, 20, "it decoded 40 pictures")
    primary.close()
    wait_until(lambda: feeding(context, weir) == [2], 10, "the clip stands in")
    words = legs(context, weir)[1]["last_error"]
    check("does not fit" in words and "tracks" in words, f"the refusal says: {words}")
    check(process.wait(30) == 0, "ffmpeg failed")
    complain(process)


GST_LAUNCH = "( filesrc location={path} ! qtdemux name=d d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"


@test(seconds_max=75)
def failover_between_gstreamer_servers(context):
    """Two GStreamer servers are killed in turn and started again: one ffmpeg decodes on, nothing but their pictures."""
    clip = Numbered(context.cache)
    ports = [free_port(), free_port()]

    def start(number):
        server = context.spawn(f"gst-{number}", ["/usr/bin/python3", HELPER, ports[number], "/clip", GST_LAUNCH.format(path=clip.path)])
        server.wait_for(lambda: "ready" in server.out(), 15, "it was ready")
        return server

    servers = [start(0), start(1)]
    weir = serve(context, [f"rtsp://127.0.0.1:{port}/clip" for port in ports], failback_after="never", standby="warm")
    process = decode(context, weir, 300)

    def decoded(more):
        least = len(framemd5(process.out())) + more
        process.wait_for(lambda: len(framemd5(process.out())) >= least, 20, f"it decoded {more} pictures more")

    decoded(75)
    servers[0].kill()
    wait_until(lambda: feeding(context, weir) == [1], 10, "the backup stands in")
    decoded(75)
    servers[0] = start(0)
    servers[1].kill()
    wait_until(lambda: feeding(context, weir) == [0], 15, "the primary stands in again")
    check(process.wait(30) == 0, "ffmpeg failed")
    rows = [row[5] for row in framemd5(process.out())]
    original = set(clip.pictures)
    foreign = [number for number, row in enumerate(rows) if row not in original]
    # A picture that was on its way when its server was killed may be cut.
    check(len(rows) == 300 and len(foreign) <= 2, f"{len(rows)} pictures, {len(foreign)} of them not the servers'")
