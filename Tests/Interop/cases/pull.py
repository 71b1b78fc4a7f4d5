"""Weir as a client: how it dials, waits, falls back, authenticates, lets go and comes back."""
import concurrent.futures
import time

from harness.clip import demo_hashes
from harness.origin import Origin, Splice
from harness.players import check_run, complain, ffmpeg_pictures, start_ffmpeg
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test
from harness.clip import framemd5


def serve(context, url, **settings):
    lines = [f"    {key.replace('_', '-')}: {value}" for key, value in {"source": url, **settings}.items()]
    return context.weir("serve", config="paths:\n  cam:\n" + "\n".join(lines) + "\n")


@test(seconds_max=40)
def udp_falls_to_tcp(context):
    """An origin agrees to UDP but nothing arrives: Weir pulls over TCP instead."""
    origin = context.closing(Origin(udp="silent"))
    weir = serve(context, origin.url(), source_wait="15s")
    check_run(ffmpeg_pictures(context, weir.url("cam"), "tcp", 30), demo_hashes(context.cache), 30, "ffmpeg")
    offers = [event.headers.get("transport", "") for event in origin.asked("SETUP")]
    check("/TCP" not in offers[0], f"the first SETUP asked for {offers[0]}")
    check("/TCP" in offers[-1], f"the last SETUP asked for {offers[-1]}")


@test(seconds_max=40)
def refused_udp_falls_to_tcp(context):
    """An origin answers 461 to UDP: Weir asks for TCP."""
    origin = context.closing(Origin(udp="refuse"))
    weir = serve(context, origin.url())
    check_run(ffmpeg_pictures(context, weir.url("cam"), "udp", 30), demo_hashes(context.cache), 30, "ffmpeg")


@test(seconds_max=40)
def udp_comes_first(context):
    """Where UDP works it is taken, and the origin gets receiver reports."""
    origin = context.closing(Origin())
    weir = serve(context, origin.url())
    check_run(ffmpeg_pictures(context, weir.url("cam"), "udp", 175), demo_hashes(context.cache), 175, "ffmpeg")
    offers = [event.headers.get("transport", "") for event in origin.asked("SETUP")]
    check(len(offers) == 2 and not any("/TCP" in offer for offer in offers), f"SETUPs asked for {offers}")
    check(origin.receiver_reports > 0, "the origin got no receiver report")


@test(seconds_max=40, kind=["basic", "md5", "md5-plain", "sha256"])
def authenticates(context, kind):
    """Basic, Digest MD5 (with and without qop) and Digest SHA-256 against an origin."""
    origin = context.closing(Origin(auth=(kind, "user", "p w:d")))
    weir = serve(context, origin.url("user:p%20w%3Ad@"))
    check_run(ffmpeg_pictures(context, weir.url("cam"), "tcp", 30), demo_hashes(context.cache), 30, "ffmpeg")
    check("p w:d" not in weir.log() and "p%20w" not in weir.log(), "the log shows the password")


@test(seconds_max=40)
def wrong_password_is_said(context):
    """A refused password: readers get an answer, the log says why without the password, the origin is not hammered."""
    origin = context.closing(Origin(auth=("sha256", "user", "right")))
    weir = serve(context, origin.url("user:wrong@"), source_wait="5s")
    reader = Reader(context.closing(ReaderLoop()), weir.url("cam"))
    answer = reader.describe(expect=None, seconds=15)
    check(answer.status in (401, 403, 404, 502, 503), f"DESCRIBE was answered with {answer.start}")
    check("401" in weir.log() or "uthent" in weir.log() or "password" in weir.log(), "the log does not say that the origin refused")
    check("wrong" not in weir.log(), "the log shows the password")
    check(len(origin.asked("DESCRIBE")) <= 20, f"{len(origin.asked('DESCRIBE'))} attempts in 5 s")


@test(seconds_max=60)
def dials_on_demand(context):
    """No connection before the first reader; after the last one PAUSE, then TEARDOWN, within the linger time."""
    origin = context.closing(Origin())
    weir = serve(context, origin.url(), linger="2s")
    time.sleep(1.5)
    check(origin.connections == 0, f"{origin.connections} connections before anybody asked")
    loop = context.closing(ReaderLoop())
    first, second = (Reader(loop, weir.url("cam"), transport) for transport in ("udp", "tcp"))
    first.start()
    second.start()
    first.wait_for_packets(0, 20, 10)
    first.teardown()
    time.sleep(3.5)
    check(origin.playing == 1, "the source was released though a reader was left")
    second.wait_for_packets(0, 20, 5)
    left = time.monotonic()
    second.teardown()
    wait_until(lambda: origin.asked("TEARDOWN"), 6, "TEARDOWN at the origin")
    wait = origin.asked("TEARDOWN")[0].at - left
    check(1.5 <= wait <= 4.0, f"TEARDOWN came {wait:.1f} s after the last reader, linger is 2 s")
    check(origin.asked("PAUSE") and origin.asked("PAUSE")[0].at <= origin.asked("TEARDOWN")[0].at, "no PAUSE before TEARDOWN")
    third = Reader(loop, weir.url("cam"))
    third.start()
    third.wait_for_packets(0, 20, 10)


@test(seconds_max=60)
def always_is_always(context):
    """`dial: always` holds the source without readers."""
    origin = context.closing(Origin())
    serve(context, origin.url(), dial="always", linger="1s")
    wait_until(lambda: origin.playing == 1, 8, "the source playing")
    time.sleep(3)
    check(origin.playing == 1, "the source was released")


@test(seconds_max=60)
def many_readers_one_dial(context):
    """Forty readers at once make one connection to the origin."""
    origin = context.closing(Origin())
    weir = serve(context, origin.url())
    loop = context.closing(ReaderLoop())

    def join(number):
        reader = Reader(loop, weir.url("cam"), "udp" if number % 2 else "tcp")
        reader.start()
        reader.wait_for_packets(0, 10, 10)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        list(pool.map(join, range(40)))
    check(origin.connections == 1, f"{origin.connections} connections at the origin")
    check(len(origin.asked("DESCRIBE")) == 1, f"{len(origin.asked('DESCRIBE'))} DESCRIBEs at the origin")


@test(seconds_max=75, way=["udp", "tcp"])
def origin_returns(context, way):
    """The origin dies and returns with other SSRC, sequence and time: readers see one unbroken line, going forward."""
    port = free_port()
    origin = Origin(port=port, splice=Splice.random(1))
    weir = serve(context, origin.url(), transport=way, silence="3s")
    loop = context.closing(ReaderLoop())
    readers = [Reader(loop, weir.url("cam"), transport, keep=True) for transport in ("udp", "tcp")]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.wait_for_packets(0, 60, 10)
    for life in (2, 3):
        origin.close()
        time.sleep(2.0)
        origin = Origin(port=port, splice=Splice.random(life))
        for reader in readers:
            reader.wait_for_packets(0, 60, 25)
    context.closing(origin)
    for reader in readers:
        check(not reader.closed, f"the {reader.transport} reader's connection was closed")
        for track, flow in reader.flows.items():
            where = f"{reader.transport} reader, track {track}"
            check(len(flow.ssrcs) == 1, f"{where}: {len(flow.ssrcs)} SSRCs")
            check(flow.lost == 0 and flow.repeated == 0, f"{where}: {flow.lost} sequence numbers missing, {flow.repeated} repeated")
            check(flow.backward == 0, f"{where}: the timestamp went back {flow.backward} times")
            check(flow.silence_max > 1.5, f"{where}: no outage was seen, so nothing was proved")
            clock = (90_000, 48_000)[track]
            for before, after in zip(flow.kept, flow.kept[1:]):
                ahead = ((after[2] - before[2]) & 0xFFFFFFFF) / clock
                waited = after[0] - before[0]
                check(ahead < waited + 2.0, f"{where}: the timestamp jumped {ahead:.1f} s while {waited:.1f} s passed")
            if track == 0:
                for before, after in zip(flow.kept, flow.kept[1:]):
                    if after[0] - before[0] > 1.5:
                        check(after[5][0] & 0x1F in (5, 7), f"{where}: after the outage came NAL type {after[5][0] & 0x1F}, not a key frame")


@test(seconds_max=60)
def decoder_goes_on(context):
    """While the origin dies and returns, ffmpeg keeps its session and decodes only the origin's pictures."""
    port = free_port()
    origin = Origin(port=port, splice=Splice.random(4))
    weir = serve(context, origin.url(), silence="3s")
    process = start_ffmpeg(context, weir.url("cam"), "tcp", "-map", "0:v", "-frames:v", "180", "-vsync", "passthrough",
                           "-enc_time_base", "1:90000", "-c:v", "rawvideo", "-flush_packets", "1", "-f", "framemd5", "-")
    process.wait_for(lambda: len(framemd5(process.out())) > 60, 15, "it decoded 60 pictures")
    origin.close()
    time.sleep(2.0)
    context.closing(Origin(port=port, splice=Splice.random(5)))
    check(process.wait(30) == 0, "ffmpeg failed")
    complain(process)
    rows = framemd5(process.out())
    original = set(demo_hashes(context.cache))
    foreign = [number for number, row in enumerate(rows) if row[5] not in original]
    check(len(rows) == 180 and not foreign, f"{len(rows)} pictures, {len(foreign)} of them not the origin's")
    check(all(b[2] > a[2] for a, b in zip(rows, rows[1:])), "a timestamp did not grow")


@test(seconds_max=60)
def describe_waits_for_the_source(context):
    """A source that is down: DESCRIBE is held for source-wait, then 503 with Retry-After; a source that comes up meanwhile serves."""
    port = free_port()
    weir = serve(context, f"rtsp://127.0.0.1:{port}/live", source_wait="4s")
    loop = context.closing(ReaderLoop())
    start = time.monotonic()
    answer = Reader(loop, weir.url("cam")).describe(expect=None, seconds=10)
    held = time.monotonic() - start
    check(answer.status == 503, f"DESCRIBE was answered with {answer.start}")
    check(int(answer.headers.get("retry-after", "0")) > 0, f"Retry-After: {answer.headers.get('retry-after')}")
    check(3.5 <= held <= 6, f"it was held {held:.1f} s, source-wait is 4 s")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = Reader(loop, weir.url("cam"))
        future = pool.submit(late.describe, seconds=10)
        time.sleep(1.0)
        context.closing(Origin(port=port))
        check(future.result().status == 200, "the source came up but DESCRIBE failed")
    for track in range(2):
        late.setup(track)
    late.play()
    late.wait_for_packets(0, 20, 10)


@test(seconds_max=30)
def unknown_path_is_not_found(context):
    """404 at once for a path that is not there."""
    weir = context.weir("demo")
    reader = Reader(context.closing(ReaderLoop()), weir.url("no/such/path"))
    start = time.monotonic()
    answer = reader.describe(expect=None)
    check(answer.status == 404, f"DESCRIBE was answered with {answer.start}")
    check(time.monotonic() - start < 2, "404 took its time")


@test(seconds_max=40)
def relay_serves_at_its_name(context):
    """weir relay SOURCE serves at /stream, with --as at that name, from a URL and from a file."""
    from harness.clip import demo_path
    origin = context.closing(Origin())
    weir = context.weir("relay", origin.url())
    check_run(ffmpeg_pictures(context, weir.url("stream"), "tcp", 30), demo_hashes(context.cache), 30, "ffmpeg at /stream")
    named = context.weir("relay", demo_path("rtpdump"), "--as", "a/b")
    check_run(ffmpeg_pictures(context, named.url("a/b"), "udp", 30), demo_hashes(context.cache), 30, "ffmpeg at /a/b")
