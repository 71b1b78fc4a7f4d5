"""Several workers, sending without a copy, and sends that are collected: the same promises."""
import concurrent.futures
import json
import os
import signal
import time

from cases.crowd import name_the_loss, visit_often
from harness.clip import Numbered, demo_hashes, dense_clip
from harness.players import check_run, pictures, start_publisher
from harness.process import wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

CROWDS = {"udp": 60, "tcp": 40}


def start_load(context, url, transport, seconds):
    # Not called weir…: this one may be cut off.
    return context.spawn(f"load-{transport}", [context.weir_path, "load", url, "-n", CROWDS[transport], "--transport", transport,
                                               "--duration", seconds, "--settling", "1", "--join-rate", "200", "--json"])


def ends_under_load(context, weir):
    """SIGTERM while a crowd plays: it ends by itself, in time, with nothing left behind."""
    before = weir.status()["readers"]  # who left without a word is forgotten after a minute
    for transport in CROWDS:
        start_load(context, weir.url("demo"), transport, 30)
    weir.wait_for_status(lambda line: line["readers"] >= before + 100, 10, "100 more readers")
    time.sleep(0.5)
    weir.process.child.send_signal(signal.SIGTERM)
    code = weir.process.wait(8)
    check(code == 0, f"SIGTERM ended it with code {code}")
    check("come home" not in weir.log() and "did not end in time" not in weir.log(), weir.log()[-300:])


def serve_a_crowd(context, *options):
    """60 UDP and 40 TCP readers and two players, 200 visits beside them; nothing is lost. Returns Weir."""
    weir = context.weir("demo", *options)
    loads = {transport: start_load(context, weir.url("demo"), transport, 6) for transport in CROWDS}
    weir.wait_for_status(lambda line: line["readers"] >= 100, 15, "100 readers")
    original = demo_hashes(context.cache)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        players = {transport: pool.submit(pictures, context, "ffmpeg", weir.url("demo"), transport, 100, 1280, 720,
                                          name=f"ffmpeg-{transport}") for transport in CROWDS}
        troubles = visit_often(context, weir.url("demo"), 200)
        for transport, player in players.items():
            check_run(player.result(), original, 100, f"ffmpeg over {transport}")
    for transport, load in loads.items():
        code = load.wait(20)
        result = json.loads(load.out())
        check(code == 0 and result["playing"] == CROWDS[transport] and result["lost"] == 0,
              f"weir load over {transport}: code {code}, {result['playing']} play, {result['lost']} packets lost")
        check(0.95 < result["real_time_ratio"] < 1.05, f"{transport}: real_time_ratio {result['real_time_ratio']}")
    check(not troubles, lambda: f"{len(troubles)} of 200 visitors lost packets; {troubles[0]}")
    line = weir.wait_for_status(lambda line: True, 5, "a status line")
    drops = {cause: count for cause, count in line["drops"].items() if count}
    # Those who leave without a word close their ports before the server hears of it.
    check(set(drops) <= {"refused"}, f"drops: {drops}")
    return weir


@test(seconds_max=60, alone=True, count=[2, 4])
def workers_share_a_crowd(context, count):
    """Two workers, and more than there are processors: nobody loses anything; SIGTERM under load leaves nothing behind."""
    weir = serve_a_crowd(context, "--workers", str(count))
    line = weir.wait_for_status(lambda line: True, 5, "a status line")
    check(line["engine"]["workers"] == count, f"{line['engine']['workers']} workers")
    check(line["engine"]["handovers"] > 0, "no stream was handed from worker to worker")
    ends_under_load(context, weir)


@test(seconds_max=30)
def one_visible_port(context):
    """With four workers every reader is sent from the two ports that SETUP named, and what it sends there is heard."""
    weir = context.weir("demo", "--workers", "4")
    loop = context.closing(ReaderLoop())
    readers = [Reader(loop, weir.url("demo")) for _ in range(24)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.wait_for_packets(0, 20, 10)
    named = {ports for reader in readers for ports in reader.server_ports.values()}
    check(len(named) == 1, f"SETUP named several ports: {named}")
    wait_until(lambda: all((0, True) in reader.peers for reader in readers), 10, "a sender report to every reader")
    seen = {(is_report, peer[1]) for reader in readers for (_, is_report), peers in reader.peers.items() for peer in peers}
    (rtp, rtcp), = named
    check(seen == {(False, rtp), (True, rtcp)}, f"media came from {seen}, SETUP named {named}")
    check(name_the_loss(readers) is None, lambda: name_the_loss(readers))
    # A goodbye ends a session: if it is heard, so are receiver reports.
    for reader in readers:
        reader.say_goodbye()
    weir.wait_for_status(lambda line: line["readers"] == 0, 5, "the end of the sessions that said goodbye")


@test(seconds_max=60, alone=True)
def zero_copy_serves_a_crowd(context):
    """--zero-copy on: the same crowd, nothing lost, everything given back by the kernel, a clean end under load."""
    weir = serve_a_crowd(context, "--zero-copy", "on")
    line = weir.wait_for_status(lambda line: line["engine"]["zc_pending"] == 0, 10, "the return of all that was sent")
    check(line["engine"]["zc_sent"] > 10_000, f"zc_sent: {line['engine']['zc_sent']}")
    ends_under_load(context, weir)


@test(seconds_max=60, alone=True)
def zero_copy_outlives_slow_readers(context):
    """--zero-copy on: what the kernel holds for TCP readers that take nothing harms neither others nor the end."""
    weir = context.weir("serve", "--zero-copy", "on", config="paths:\n  live:\n    source: publish\n    source-wait: 15s\n")
    start_publisher(context, dense_clip(context.cache), weir.url("live"), "tcp")
    loop = context.closing(ReaderLoop())
    beside = [Reader(loop, weir.url("live"), way, keep=True, seconds=20) for way in ("udp", "tcp")]
    slow = [Reader(loop, weir.url("live"), "tcp", seconds=20, receive_buffer_bytes=4096) for _ in range(6)]
    for reader in beside + slow:
        reader.start()
    for reader in slow:
        reader.wait_for_packets(0, 20, 10)
        reader.stop_reading()
    line = weir.wait_for_status(lambda line: any(line["drops"].values()), 20, "a drop counted for those who do not read")
    check(line["engine"]["zc_sent"] > 0, "nothing was sent without a copy")
    for reader in slow[:3]:
        reader.close()
    weir.wait_for_status(lambda line: line["readers"] <= 5, 10, "the end of the slow readers that left")
    time.sleep(1.0)
    for reader in beside:
        flow = reader.flows[0]
        check(flow.lost == 0 and flow.repeated == 0 and not reader.closed, f"{reader.transport} beside: {flow.lost} lost, {flow.repeated} repeated")
        check(flow.silence_max < 0.8 and flow.packets > 2000, f"{reader.transport} beside waited {flow.silence_max:.2f} s")
    # Three still hold memory of the packet log; it must come home all the same.
    weir.process.child.send_signal(signal.SIGTERM)
    check(weir.process.wait(8) == 0, f"SIGTERM ended it with code {weir.process.child.returncode}")
    check("come home" not in weir.log(), weir.log()[-300:])


@test(seconds_max=40, alone=True)
def collected_frames_are_whole(context):
    """--max-delay 100ms over TCP: everything in order, several frames at a time, no later than said."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", "--max-delay", "100ms", config="paths:\n  live:\n    source: publish\n    source-wait: 15s\n")
    start_publisher(context, clip.path, weir.url("live"), "tcp")
    reader = Reader(context.closing(ReaderLoop()), weir.url("live"), "tcp", keep=True, seconds=20)
    reader.start()
    check_run(pictures(context, "ffmpeg", weir.url("live"), "tcp", 100, 640, 360), clip.pictures, 100, "ffmpeg")
    for track, flow in reader.flows.items():
        check(flow.lost == 0 and flow.repeated == 0, f"track {track}: {flow.lost} lost, {flow.repeated} repeated")
    live = [kept for kept in reader.flows[0].kept][100:]
    frames = {}  # timestamp -> arrival of its last packet
    for kept in live:
        frames[kept[2]] = kept[0]
    arrivals = sorted(frames.values())
    bunches = 1 + sum(after - before > 0.01 for before, after in zip(arrivals, arrivals[1:]))
    check(len(arrivals) / bunches > 1.5, f"{len(arrivals)} frames came in {bunches} bunches: nothing was collected")
    check(reader.flows[0].silence_max < 0.4, f"it waited {reader.flows[0].silence_max:.2f} s")


@test(seconds_max=30)
def workers_fit_the_processors(context):
    """`--workers auto` counts the processors that the process may use; the first lines name the number."""
    usable = sorted(os.sched_getaffinity(0))
    cases = [(("taskset", "-c", str(usable[0])), (), 1), ((), (), len(usable)), ((), ("--workers", "auto"), len(usable)),
             (("taskset", "-c", str(usable[0])), ("--workers", "3"), 3)]
    for wrapper, options, most in cases:
        weir = context.weir("demo", *options, wrapper=wrapper)
        line = weir.wait_for_status(lambda line: True, 5, "a status line")
        count = line["engine"]["workers"]
        # A quota of the control group may allow fewer.
        check(count == most or not options[1:2] == ("3",) and 1 <= count < most, f"{wrapper} {options}: {count} workers, {most} expected")
        words = "one worker" if count == 1 else f"{count} workers"
        check(any("Listening on" in text and words in text for text in weir.log().splitlines()), f"the log does not say `{words}`")
        weir.process.stop()
