"""Readers that fall behind: each goes on, or ends, as its policy says, and costs the others nothing."""
import time

from cases.joinburst import is_key_frame
from harness.clip import dense_clip
from harness.players import start_publisher
from harness.process import wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

LAG_SECONDS, STALL_SECONDS = 1.5, 6.0
CONFIG = ("paths:\n  live:\n    source: publish\n    source-wait: 15s\n    window: 4s\n    bit-rate: 20M\n"
          f"    lag-time: {LAG_SECONDS * 1000:.0f}ms\n    disconnect-after: 2s\n")


def start(reader, overload=None):
    """As a player does: what the URL asks for must be in what it sets up with."""
    reader.describe()
    if overload:
        reader.base = reader.base.rstrip("/") + f"?overload={overload}"
    for track in range(len(reader.controls)):
        reader.setup(track)
    reader.play()
    reader.wait_for_packets(0, 50, 10)


def gaps(reader):
    """The packets before and after each place where numbers are missing."""
    kept = reader.flows[0].kept
    return [(before, after) for before, after in zip(kept, kept[1:]) if after[1] != (before[1] + 1) & 0xFFFF]


def local_name(reader):
    host, port = reader.connection.getsockname()[:2]
    return f"{host}:{port}"


@test(seconds_max=60, alone=True)
def readers_behind_go_on_as_told(context):
    """TCP readers that pause 6 s: at a key frame, at the oldest packet within lag-time, or disconnected; the log names each once."""
    weir = context.weir("serve", config=CONFIG)
    start_publisher(context, dense_clip(context.cache), weir.url("live"), "tcp")
    loop = context.closing(ReaderLoop())
    beside = [Reader(loop, weir.url("live"), way, keep=True, seconds=20) for way in ("udp", "tcp")]
    for reader in beside:
        start(reader)
    slow = {}
    for policy in (None, "skip-to-keyframe", "drop-oldest", "disconnect"):
        slow[policy] = Reader(loop, weir.url("live"), "tcp", keep=True, seconds=20, receive_buffer_bytes=256 << 10)
        start(slow[policy], policy)
    names = {policy: local_name(reader) for policy, reader in slow.items()}
    for reader in slow.values():
        reader.stop_reading()
    time.sleep(STALL_SECONDS)
    for reader in slow.values():
        reader.go_on_reading()
    time.sleep(3.0)

    fast = {kept[1]: kept for kept in list(beside[1].flows[0].kept)}
    ages = {}
    for policy in (None, "skip-to-keyframe", "drop-oldest"):
        found = gaps(slow[policy])
        check(found, f"{policy}: it missed nothing, so nothing was tried")
        before, after = found[-1]
        ages[policy] = after[0] - fast[after[1]][0]
        if policy != "drop-oldest":
            for _, began in found:
                check(is_key_frame(began), f"{policy}: it went on with NAL {began[5].hex()}, not with a key frame")
            check(ages[policy] < LAG_SECONDS + 0.3, f"{policy}: it went on {ages[policy]:.2f} s late")
        else:
            # As far back as it may be, which is where the next key frame would be by chance only.
            check(LAG_SECONDS - 0.5 < ages[policy] < LAG_SECONDS + 0.3, f"{policy}: it went on {ages[policy]:.2f} s late")
        check(not slow[policy].closed, f"{policy}: its connection was closed")
        check(slow[policy].flows[0].last_arrival > time.monotonic() - 1, f"{policy}: it gets nothing any more")
        check(slow[policy].flows[0].repeated == 0, f"{policy}: packets came twice")
    wait_until(lambda: slow["disconnect"].closed, 5, "the end of the reader that was to be disconnected")

    for reader in beside:
        flow = reader.flows[0]
        check(flow.lost == 0 and flow.silence_max < 0.8 and not reader.closed,
              lambda: f"{reader.transport} beside: {flow.lost} lost, waited {flow.silence_max:.2f} s")
    for policy, name in names.items():
        lines = [line for line in weir.log().splitlines() if "warning" in line and f"reader={name}" in line]
        missed = [line for line in lines if "reader missed packets" in line]
        ended = [line for line in lines if "reader is disconnected" in line]
        check(len(ended) == (policy == "disconnect"), f"{policy}: {len(ended)} lines say that {name} is disconnected: {lines}")
        check(len(missed) == 1 or policy == "disconnect" and not missed, f"{policy}: {len(missed)} lines say that {name} missed packets: {lines}")
    drops = weir.wait_for_status(lambda line: True, 5, "a status line")["drops"]
    check(drops["policy"] > 100 and drops["too_slow"] == 1, f"drops: {drops}")
    check(not any(drops[cause] for cause in ("no_room", "refused", "stalled")), f"drops: {drops}")
    print(f"note: readers went on {', '.join(f'{policy}: {age:.2f} s' for policy, age in ages.items())} late")


@test(seconds_max=30)
def unknown_policy_is_refused(context):
    """`?overload=` with a word that means nothing is answered with 400 or so, not ignored."""
    weir = context.weir("demo")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"), "tcp")
    reader.describe()
    reader.base = reader.base.rstrip("/") + "?overload=whatever"
    answer = reader.setup(0, expect=None)
    check(400 <= answer.status < 500, f"SETUP was answered with {answer.start}")
