"""Many readers: those who stay lose nothing whatever the others do."""
import concurrent.futures
import json
import random
import time

from harness.clip import dense_clip
from harness.players import start_publisher
from harness.process import wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test


def start_all(readers):
    """PLAY is answered at the next key frame, so one after the other would take a second each."""
    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        list(pool.map(Reader.start, readers))
    for reader in readers:
        reader.wait_for_packets(0, 10, 10)


def name_the_loss(readers):
    """What was lost and whose fault it was, as one sentence; None when nothing was."""
    lost = sum(flow.lost for reader in readers for flow in reader.flows.values())
    if lost == 0:
        return None
    at_reader = sum(reader.kernel_drops() for reader in readers)
    repeated = sum(flow.repeated for reader in readers for flow in reader.flows.values())
    return f"{lost} packets are missing and {repeated} repeated, the kernel dropped {at_reader} at the readers' own sockets"


def visit_often(context, url, visits):
    """Short visits, 25 at a time, that end in every way there is; what each of them lost, in words."""
    churn, dice = context.closing(ReaderLoop()), random.Random(7)

    def visit(number):
        way = "udp" if number % 2 else "tcp"
        visitor = Reader(churn, url, way, receive_buffer_bytes=256 << 10, seconds=20)
        visitor.start()
        visitor.wait_for_packets(0, 5, 20)
        time.sleep(dice.random() * 0.5)
        trouble = name_the_loss([visitor])
        end = number % 4
        if end == 0:
            visitor.teardown()
        elif end == 1:
            visitor.pause()
            visitor.teardown()
        visitor.close()  # the others just leave
        return f"{way}: {trouble}" if trouble else None
    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        return [trouble for trouble in pool.map(visit, range(visits)) if trouble]


@test(seconds_max=90, alone=True, transport=["udp", "tcp"])
def come_and_go(context, transport):
    """200 readers come and go while 50 stay: the 50 lose nothing."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    staying = [Reader(loop, weir.url("demo"), transport, receive_buffer_bytes=1 << 20) for _ in range(50)]
    start_all(staying)
    troubles = visit_often(context, weir.url("demo"), 200)
    time.sleep(1.0)
    trouble = name_the_loss(staying)
    check(trouble is None, lambda: f"those who stayed: {trouble}; weir's drops: {weir.drops()}")
    for reader in staying:
        check(not reader.closed and reader.flows[0].last_arrival > time.monotonic() - 1.0, "one who stayed gets nothing any more")
        check(reader.flows[0].silence_max < 1.5, f"one who stayed waited {reader.flows[0].silence_max:.1f} s")
    check(not troubles, lambda: f"{len(troubles)} of 200 visitors lost packets; {troubles[0]}")
    weir.check_alive()


@test(seconds_max=90, alone=True)
def stalled_reader_slows_nobody(context):
    """A reader that stops reading its TCP connection costs the others nothing, and what happens to it is counted by cause."""
    weir = context.weir("serve", config="paths:\n  live:\n    source: publish\n    source-wait: 15s\n")
    # The kernel buffers megabytes for a reader that sleeps: only a fat stream shows what comes then.
    start_publisher(context, dense_clip(context.cache), weir.url("live"), "tcp")
    loop = context.closing(ReaderLoop())
    others = [Reader(loop, weir.url("live"), way, keep=True, seconds=20) for way in ("udp", "tcp", "udp", "tcp")]
    stalled = [Reader(loop, weir.url("live"), "tcp", receive_buffer_bytes=4096, seconds=20) for _ in range(3)]
    start_all([*others, *stalled])
    for reader in stalled:
        reader.stop_reading()
    wait_until(lambda: weir.drops(), 40, "a drop counted by cause for readers that do not read")
    time.sleep(2.0)
    trouble = name_the_loss(others)
    check(trouble is None, lambda: f"the others: {trouble}")
    for reader in others:
        check(reader.flows[0].packets > 3000 and reader.flows[0].silence_max < 0.8, f"another {reader.transport} reader waited {reader.flows[0].silence_max:.2f} s")
        check(not reader.closed, "another reader's connection was closed")
    weir.check_alive()


@test(seconds_max=60, alone=True, transport=["udp", "tcp"])
def load_client_measures(context, transport):
    """weir load plays 200 sessions against weir demo: none loses a packet, all in real time; exactly one JSON line."""
    weir = context.weir("demo")
    code, out, _ = context.run_weir("load", weir.url("demo"), "-n", "200", "--transport", transport, "--duration", "8",
                                    "--server-pid", str(weir.pid), "--json", seconds=45, name="weir-load")
    check(code == 0, f"weir load ended with code {code}")
    check(len(out.splitlines()) == 1, f"{len(out.splitlines())} lines on standard output")
    result = json.loads(out)
    for key in ("sessions", "playing", "packets", "pps", "lost", "lossy_sessions", "real_time_ratio", "spread_ms", "lateness_ms",
                "join_ms", "sink", "server_cpu_us_per_packet", "server_rss_mib"):
        check(key in result, f"the JSON lacks `{key}`: {sorted(result)}")
    check(result["sessions"] == 200 and result["playing"] == 200, f"{result['playing']} of {result['sessions']} play")
    check(result["lost"] == 0 and result["lossy_sessions"] == 0, f"{result['lost']} lost in {result['lossy_sessions']} sessions")
    check(0.95 < result["real_time_ratio"] < 1.05, f"real_time_ratio {result['real_time_ratio']}")
    check(result["packets"] > 200 * 8 * 60, f"only {result['packets']} packets")
