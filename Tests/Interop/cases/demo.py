"""The built-in broadcast, played by real players."""
from harness.clip import demo, demo_hashes, framemd5, sprop
from harness.players import check_run, complain, pictures, start_ffmpeg
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

PLAYERS = [("ffmpeg", "udp", "127.0.0.1"), ("ffmpeg", "tcp", "127.0.0.1"), ("ffmpeg", "udp", "::1"), ("ffmpeg", "tcp", "::1"),
           ("gstreamer", "udp", "127.0.0.1"), ("gstreamer", "tcp", "127.0.0.1"),
           ("mplayer", "udp", "127.0.0.1"), ("mplayer", "tcp", "127.0.0.1")]


@test(seconds_max=60, case=PLAYERS)
def demo_plays(context, case):
    """A player decodes the demonstration broadcast picture for picture, from a key frame on."""
    player, transport, host = case
    original = demo_hashes(context.cache)
    weir = context.weir("demo", host=host)
    seen = pictures(context, player, weir.url("demo"), transport, 60, 1280, 720)
    check_run(seen, original, 50, player)
    check(original.index(seen[0]) % 25 == 0, f"{player} began with picture {original.index(seen[0])}, not with a key frame")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=60, transport=["udp", "tcp"])
def demo_has_no_seam(context, transport):
    """Over a round's end the timestamps of both tracks go on without a gap."""
    weir = context.weir("demo")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"), transport, keep=True)
    reader.start()
    process = start_ffmpeg(context, weir.url("demo"), transport, "-map", "0", "-c", "copy", "-t", "19",
                           "-copyts", "-f", "framemd5", "-")
    code = process.wait(45)
    check(code == 0, f"ffmpeg ended with code {code}")
    complain(process)
    rows = framemd5(process.out())
    clip_audio = demo().audio_units()
    for stream, clock, step in ((0, 90_000, 3600), (1, 48_000, 1024)):
        stamps = [row[2] for row in rows if row[0] == stream]
        # ffmpeg may count video in 1/90000 s or coarser; the demuxer's time base stands in the header.
        base = next(line for line in process.out().splitlines() if line.startswith(f"#tb {stream}:")).split("/")[-1]
        check(int(base) == clock, f"stream {stream} has the time base 1/{base}")
        # ffmpeg puts both tracks at 0 until the first sender reports tell how they really lie, then corrects once.
        stamps = stamps[6 * clock // step:]
        # It computes times from reports, some seconds apart, in which Weir brings its clock nearer to the source's by 5 ms a second at most:
        # the more there is to bring, the busier the machine was at the beginning (5 ms at once were seen). A seam would be 40, and the wire
        # shows it to the tick.
        slack = clock // 50
        steps = {b - a for a, b in zip(stamps, stamps[1:])}
        check(all(abs(move - step) <= slack for move in steps), f"stream {stream}: steps {sorted(steps)[:10]} instead of {step}")
        drift = stamps[-1] - stamps[0] - step * (len(stamps) - 1)
        check(abs(drift) <= slack, f"stream {stream}: {drift} ticks too many at the end")
        # On the wire there is nothing to round.
        wire = [packet[2] for packet in reader.flows[stream].kept]
        moves = {b - a for a, b in zip(wire, wire[1:])} - {0}
        check(moves == {step}, f"stream {stream}: RTP timestamps move by {sorted(moves)[:10]}")
        check(len(reader.flows[stream].ssrcs) == 1 and reader.flows[stream].lost == 0, f"stream {stream}: the line broke")
        check(len(stamps) > 11 * clock // step, f"stream {stream}: only {len(stamps)} frames")
    check_run([row[5] for row in rows if row[0] == 1], clip_audio, 800, "audio")


@test(seconds_max=30)
def demo_describes_itself(context):
    """The description names both codecs, the frame rate and parameter sets, and has a control for each track."""
    weir = context.weir("demo")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"))
    answer = reader.describe()
    check(answer.headers.get("content-type", "").startswith("application/sdp"), "Content-Type is not application/sdp")
    check(answer.headers.get("content-base", "").endswith("/demo/"), f"Content-Base: {answer.headers.get('content-base')}")
    check(len(reader.controls) == 2, f"{len(reader.controls)} tracks")
    check("H264/90000" in reader.sdp and "mpeg4-generic/48000" in reader.sdp, "a codec is missing")
    check("a=framerate:25" in reader.sdp, "no a=framerate:25")
    check(sprop(reader.sdp) == sprop(demo().sdp), "the parameter sets differ from the clip's")


@test(seconds_max=30)
def demo_shows_its_figures(context):
    """--json prints one line a second with sources, readers, rates and drops."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    readers = [Reader(loop, weir.url("demo"), transport) for transport in ("udp", "tcp")]
    for reader in readers:
        reader.start()
    line = weir.wait_for_status(lambda line: line["readers"] == 2 and line["packets_per_second"] > 100, 10, "a line with two readers")
    check(line["sources"] == 1, f"sources: {line['sources']}")
    check(line["mbit_per_second"] > 0.5, f"mbit_per_second: {line['mbit_per_second']}")
    check(isinstance(line["drops"], dict), "drops is not a map")
    for reader in readers:
        reader.teardown()
    weir.wait_for_status(lambda line: line["readers"] == 0, 10, "a line without readers")
