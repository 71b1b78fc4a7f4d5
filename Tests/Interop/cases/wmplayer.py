"""A scripted player of Windows Media (harness/wmplayer.py), which tolerates nothing: pipelined over one connection, and not."""
import time

from harness.asffile import File, Objects
from harness.registry import check, test
from harness.windowsmedia import ASFClip
from harness.wmplayer import Player

MODES = ["plain", "pipelined"]
FAST = ["LinkBW=2147483647, AccelBW=50000000, AccelDuration=30000"]
BROADCAST = "paths:\n  simple.wsx:\n    source: {path}\n    broadcast: true\n"


def player_of(context, weir, mode, path="/simple.wsx?WMCache=0", **options):
    return context.closing(Player(weir.host, weir.port, path, pipelined=mode == "pipelined", **options))


def opened(player):
    """Describe, and what goes before a Play of the mode."""
    described = player.describe()
    if player.pipelined:
        player.pipeline()
    return described


def kinds(events):
    """What came, without saying how many packets in a row."""
    result = []
    for event in events:
        word = repr(event) if event.kind in "CE" or len(event.kind) > 1 else event.kind
        if not result or result[-1] != word:
            result.append(word)
    return result


def same_packets(entry, file, first=0):
    """Every packet of the file from `first` on, each byte of it."""
    check(entry.header.raw == file.header.raw, "the header is not the file's")
    numbers = [packet.location for packet in entry.packets]
    check(numbers == list(range(first, len(file.packets))), lambda: f"packets {numbers[:3]}…{numbers[-3:]} of {len(file.packets)}")
    strange = [packet.location for packet in entry.packets if packet.payload != file.packets[packet.location]]
    check(not strange, lambda: f"{len(strange)} packets are not the file's, the first is {strange[0]}")


@test(seconds_max=30, mode=MODES)
def wm_player_gets_a_file(context, mode):
    """Each byte of a file, and the order of the answers to Log and KeepAlive in mid-play; then seek, Stop and Play over the same session."""
    clip = ASFClip(context.cache, seconds=5)
    file = File(clip.path)
    weir = context.weir("relay", clip.path, "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    described = opened(player)
    check(described.header.raw == file.header.raw, "Describe: the header is not the file's")
    check("seekable" in described.answer.features and "broadcast" not in described.answer.features, f"{described.answer.features}")
    player.play(more=FAST).has("AccelBW", "AccelDuration", no=("expect-new-header", "xResetStrm"))
    before = player.read(until=lambda event: event.kind == "D" and event.location == 5)
    player.log()
    player.keep_alive()
    rest = player.read()
    expected = ["M", "H", "D", "$E(0)", "body-end"] + (["Log:204", "KeepAlive:200"] if player.pipelined else [])
    check(kinds(before + rest) == expected, lambda: f"{mode}: {kinds(before + rest)}")
    same_packets(player.entries[0], file)

    # Idle now: what is asked is answered at once, over the connection of the data, too.
    player.log()
    check(kinds(player.read()) == (["Log:204"] if player.pipelined else []), "Log while idle")
    player.play(time_=2000, more=FAST)
    check(player.answer.has("client-id", no=("xResetStrm",)), "")
    events = player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) == 3)
    check(kinds(events) == ["M", "H", "D"], lambda: f"{kinds(events)}")
    first = player.entries[-1].packets[0]
    check(first.location > 0 and any(part.key and part.offset == 0 and part.time <= 2000 + described.header.preroll
                                     for part in first.asf.payloads), f"a seek to 2 s begins with packet {first.location}")
    player.stop()
    if player.pipelined:
        tail = kinds(player.read())
        check([word for word in tail if word != "D"] in (["body-end", "Stop:200"], ["$E(0)", "body-end", "Stop:200"]), lambda: f"{tail}")
        player.play(packet=first.location, more=FAST)
        player.read(until=lambda event: event.kind == "D")
        check(player.entries[-1].packets[0].location == first.location, "Play by packet-num begins elsewhere")
    weir.check_alive()


@test(seconds_max=30, mode=MODES)
def wm_player_gets_a_broadcast(context, mode):
    """A broadcast from a key frame on: whole objects of all streams, Log and KeepAlive meanwhile, and Stop."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    player = player_of(context, weir, mode)
    described = opened(player)
    check("broadcast" in described.answer.features and described.header.is_broadcast, f"{described.answer.features}")
    player.play()
    count = 60
    first = player.read(until=lambda event: event.kind == "D")
    began = time.monotonic()
    check(any(part.key and part.offset == 0 for part in first[-1].asf.payloads), "it does not begin with a key frame")
    player.log()
    if not player.pipelined:
        player.keep_alive()
        check(time.monotonic() - began < 2, "Log and KeepAlive waited for the media")
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) == count)
    numbers = [packet.location for packet in player.entries[-1].packets]
    check(numbers == list(range(numbers[0], numbers[0] + count)), lambda: f"{numbers}")
    objects = Objects()
    for packet in player.entries[-1].packets:
        objects.take(packet.asf)
    check(objects.broken == 0 and {one[0] for one in objects.whole} == set(described.header.streams),
          lambda: f"{objects.broken} objects are broken, {len(objects.whole)} whole")
    player.stop()
    if player.pipelined:
        tail = kinds(player.read())
        check([word for word in tail if word != "D"] == ["body-end", "Log:204", "Stop:200"], lambda: f"{tail}")
    weir.check_alive()
