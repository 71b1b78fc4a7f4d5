"""Players over RTSP that lie, steal, hurry or dawdle, and what others beside them get."""
import os
import socket
import time

from harness.asffile import File
from harness.msrtsp import same_objects, same_units
from harness.msrtspplayer import Player
from harness.msrtspwire import Reader, nack, source_description
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip
from .msrtspplayer import FAST, SERVED

# A NACK of one entry asks for 17 packets; what comes of it is bounded by time, whatever is asked for.
RESENT_AT_ONCE, RESENT_EACH_SECOND = 400, 120


def served(context, seconds=10, more=""):
    clip = ASFClip(context.cache, seconds=seconds)
    return clip, File(clip.path), context.weir("serve", config=more + SERVED.format(path=clip.path, more=""))


def playing(context, weir, transport, path="/live", units=1, **options):
    player = context.closing(Player(weir.host, weir.port, path, transport=transport, **options))
    player.describe()
    player.set_up(pair=False)
    player.play()
    player.read_units(units)
    return player


def together(players, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for player in players:
            player.step(0.01)


@test(seconds_max=40)
def msrtsp_nack_storm(context):
    """Thousands of NACKs make the server send no more again than its bound; forged ones nothing at all; another reader misses nothing."""
    clip, file, weir = served(context)
    other = playing(context, weir, "udp")
    storm = playing(context, weir, "udp", units=80, nacks=False)
    line = next(line for line in storm.lines.values() if line.received)
    sequences = list(line.kept)[-100:]
    packets = [nack(storm.rtx.ssrc, line.ssrc, sequences[at:at + 32]) for at in range(0, 96, 32)]
    before, asked, sent, bytes_ = line.duplicates, 0, 0, len(line.kept[sequences[0]])
    began = time.monotonic()
    while time.monotonic() - began < 4:
        for _ in range(10):
            for packet in packets:
                storm.send_rtcp(packet)
                asked += len(packet)
                sent += 1
        together([storm, other], 0.02)
    together([storm, other], 0.5)
    seconds = time.monotonic() - began
    came = line.duplicates - before
    bound = RESENT_AT_ONCE + RESENT_EACH_SECOND * seconds
    print(f"note: {sent} NACKs, {asked} bytes in {seconds:.1f} s; {came} packets came again, {came * bytes_} bytes; bound {bound:.0f}")
    check(0 < came <= bound * 1.1, f"{came} packets came again in {seconds:.1f} s")
    # Forged: another's number, another address, no name.
    before = line.duplicates
    strange = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    strange.bind(("127.0.0.2", 0))
    target = (weir.host, storm.rtx.server_ports[1])
    for number in range(500):
        strange.sendto(packets[0], target)
        strange.sendto(nack(number * 7919, line.ssrc, sequences[:32]), target)
        storm.send_rtcp(packets[0][len(source_description(storm.rtx.ssrc)):])
        strange.sendto(os.urandom(60), target)
        if number % 50 == 0:
            together([storm, other], 0.02)
    together([storm, other], 1.0)
    strange.setblocking(False)
    try:
        check(False, f"the forger got {len(strange.recv(65536))} bytes")
    except BlockingIOError:
        pass
    strange.close()
    check(line.duplicates == before, f"{line.duplicates - before} packets came of forged NACKs")
    same_objects(other.units, file, 100)
    check(other.stats()["lost"] == 0, f"{other.stats()}")
    weir.check_alive()


@test(seconds_max=40, transport=["tcp", "udp"])
def msrtsp_sessions_are_not_stolen(context, transport):
    """After a connection broke, somebody else with the session's number neither plays nor pauses nor ends it; its owner comes back."""
    clip, file, weir = served(context)
    owner = playing(context, weir, transport, "/file", units=10)
    owner.connect()
    owner.state = "ready"
    name = owner.session
    with socket.create_connection((weir.host, weir.port), 5, ("127.0.0.2", 0)) as thief:
        thief.settimeout(3)
        for number, request in enumerate((f"PLAY {owner.url}", f"PAUSE {owner.url}", f"GET_PARAMETER {owner.url}", f"TEARDOWN {owner.url}",
                                          f"SETUP {owner.description.streams[min(owner.description.streams)].url}")):
            thief.sendall(f"{request} RTSP/1.0\r\nCSeq: {number + 1}\r\nSession: {name}\r\nUser-Agent: {owner.agent}\r\n"
                          f"Transport: RTP/AVP/UDP;unicast;client_port=9000-9001\r\n\r\n".encode())
            answer = thief.recv(65536)
            check(answer.startswith(b"RTSP/1.0 4"), lambda: f"{request}: {answer[:120]}")
            check(b"$\0" not in answer, "the thief gets media")
        guesses = b"".join(f"PLAY {owner.url} RTSP/1.0\r\nCSeq: {n + 10}\r\nSession: {int(name) + n - 50}\r\n\r\n".encode() for n in range(100) if n != 50)
        thief.sendall(guesses)
        answer = thief.recv(65536)
        check(b" 200 " not in answer, lambda: f"{answer[:200]}")
    for line in owner.lines.values():
        line.waiting.clear()
    owner.play(1.0)
    owner.read_units(10)
    owner.check_start()
    owner.teardown()
    weir.check_alive()


GARBAGE = {
    "bytes": bytes(range(1, 256)) * 20,
    "frames": (b"$\x00\x00\x20" + b"\xff" * 32) * 500,
    "frame-without-end": b"$\x00\xff\xff" + b"x" * 1000,
    "answers": b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n" * 200,
    "length-huge": b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "log-huge": b"SET_PARAMETER /live RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/x-wms-Logplaystats\r\nContent-Length: 400000\r\n\r\n" + b"<" * 400000,
    "zeros": bytes(100000),
}


@test(seconds_max=40, garbage=sorted(GARBAGE))
def msrtsp_garbage(context, garbage):
    """Garbage on the connection of a player that plays: it is refused or let go of; another reader misses nothing."""
    clip, file, weir = served(context)
    other, odd = playing(context, weir, "udp"), playing(context, weir, "tcp")
    odd.link.settimeout(5)
    try:
        odd.link.sendall(GARBAGE[garbage])
    except OSError:
        pass
    together([other], 4)
    odd.close()
    same_objects(other.units, file, 80)
    check(not other.is_over and other.stats()["lost"] == 0, f"{other.stats()}")
    weir.check_alive()


@test(seconds_max=40, path=["live", "file"])
def msrtsp_dawdlers(context, path):
    """Players that read nothing are let go of or wait; others beside them get everything, and memory does not grow with them."""
    clip, file, weir = served(context)
    lazy = []
    for _ in range(10):
        player = context.closing(Player(weir.host, weir.port, "/" + path))
        player.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        player.describe()
        player.set_up()
        player.play(accelerate=FAST)
        lazy.append(player)
    other = playing(context, weir, "tcp", "/" + path)
    with open(f"/proc/{weir.pid}/statm") as file_:
        before = int(file_.read().split()[1])
    if path == "file":
        other.read_to_end(seconds=14)
        same_units(other.units, file)
    else:
        other.spend(8)
        same_objects(other.units, file, 200)
    with open(f"/proc/{weir.pid}/statm") as file_:
        grown = (int(file_.read().split()[1]) - before) * 4096
    check(grown < 64 << 20, f"memory grew by {grown >> 20} MiB")
    weir.check_alive()


@test(seconds_max=40)
def msrtsp_many_sessions(context):
    """Hundreds of sessions that are begun and left, and SETUPs without end on one connection, do not keep others out."""
    clip, file, weir = served(context)
    other = playing(context, weir, "tcp")
    for _ in range(300):
        player = Player(weir.host, weir.port, "/file")
        player.describe()
        ticket, data = player._prepare_select(player.description.streams[min(player.description.streams)])
        player.send(data)
        player.close()
        other.step(0)
    busy = Player(weir.host, weir.port, "/file")
    busy.describe()
    statuses = set()
    for _ in range(400):
        media = busy.description.streams[min(busy.description.streams)]
        ticket, data = busy._prepare_select(media)
        busy.send(data)
        statuses.add(busy.answered(ticket, status=None).status)
        if busy.is_over:
            break
        other.step(0)
    check(statuses <= {200, 400, 455, 461, 503}, f"{statuses}")
    busy.close()
    other.spend(2)
    same_objects(other.units, file, 40)
    weir.check_alive()


@test(seconds_max=30)
def msrtsp_bound_on_readers_holds(context):
    """readers-max counts players over RTSP with the others."""
    clip, file, weir = served(context, more="readers-max: 1\n")
    player = playing(context, weir, "tcp")
    second = context.closing(Player(weir.host, weir.port, "/live"))
    refused = second.describe(status=None)
    if refused.status == 200:
        ticket, data = second._prepare_select(second.description.streams[min(second.description.streams)])
        second.send(data)
        refused = second.answered(ticket, status=None)
        if refused.status == 200:
            refused = second.play(status=None, log=False)
    check(refused.status in (453, 503), f"{refused}")
    by_http = fetch((weir.host, weir.port), b"GET /live HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2980\r\nPragma: xPlayStrm=1\r\n\r\n", until_close=True)
    check(b" 503 " in by_http.split(b"\r\n")[0], lambda: f"{by_http[:100]}")
    player.teardown()
    weir.check_alive()


class Sparse:
    """A reader over UDP that looks at numbers alone."""

    def __init__(self, weir, url, media):
        self.link = socket.create_connection((weir.host, weir.port), 10)
        self.port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port.bind(("127.0.0.1", 0))
        self.port.setblocking(False)
        self.packets, self.gaps, self.next = 0, 0, None
        reader = Reader()

        def ask(text):
            self.link.sendall(text.encode())
            while True:
                data = self.link.recv(65536)
                check(data, "the connection ended")
                for item in reader.feed(data):
                    check(item.status == 200, lambda: f"{text[:60]}: {item}")
                    return item
        agent = "User-Agent: WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46C0-AE0A-C4D98694D7B4\r\n"
        answer = ask(f"SETUP {media} RTSP/1.0\r\nCSeq: 1\r\n{agent}Transport: RTP/AVP/UDP;unicast;client_port={self.port.getsockname()[1]}\r\n\r\n")
        name = answer["session"].partition(";")[0]
        ask(f"PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {name}\r\n{agent}Range: npt=0.000-\r\n\r\n")

    def take(self):
        while True:
            try:
                head = self.port.recv(16)
            except BlockingIOError:
                return
            sequence = int.from_bytes(head[2:4], "big")
            self.gaps += self.next not in (None, sequence)
            self.next = sequence + 1 & 0xFFFF
            self.packets += 1

    def close(self):
        self.link.close()
        self.port.close()


@test(seconds_max=60, alone=True)
def msrtsp_many_udp_readers(context):
    """500 readers over UDP of a broadcast: each gets every packet from where it began, and nothing is dropped."""
    clip = ASFClip(context.cache, codec=None)
    weir = context.weir("serve", config=SERVED.format(path=clip.path, more=""))
    watched = playing(context, weir, "udp")
    media = watched.description.streams[min(watched.description.streams)].url
    readers = [context.closing(Sparse(weir, watched.url, media)) for _ in range(500)]
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        for reader in readers:
            reader.take()
        watched.step(0.01)
    least, gaps = min(reader.packets for reader in readers), sum(reader.gaps for reader in readers)
    print(f"note: at least {least} packets each, {sum(reader.packets for reader in readers)} in all, {gaps} gaps")
    check(least >= 15 and gaps == 0, f"at least {least} packets each, {gaps} gaps")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")
    weir.check_alive()
