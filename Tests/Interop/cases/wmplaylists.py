"""Playlists of the server over Windows Media: entry changes, predicted and not, pipelined and not, and spliced for those who know none."""
import collections
import re
import selectors
import socket
import struct
import time

from harness.asffile import File
from harness.clip import cached, ffmpeg
from harness.registry import Failure, check, test
from harness.windowsmedia import ASFClip, check_whole, decoded, hashes, play
from .wmplayer import FAST, MODES, kinds, opened, player_of, same_packets

DECLINES = ("com.microsoft.wm.sswitch",)


class Episode:
    """A short programme that looks like no other: WMV 8 and WMA, in packets of some size."""

    def __init__(self, folder, number, seconds=2, codec="wmv2", packet_bytes=3200, size="320x240", rate="500k"):
        name = f"episode-{number}-{seconds}-{codec}-{packet_bytes}-{size}-{rate}"
        self.path = cached(folder, f"{name}.asf", lambda path: ffmpeg(
            "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds * (number + 1)}", "-f", "lavfi", "-i",
            f"sine=f={300 + 50 * number}:r=44100:d={seconds}", "-vf", f"trim=start={seconds * number},setpts=PTS-STARTPTS", "-c:v", codec,
            "-b:v", rate, "-g", 25, "-c:a", "wmav2", "-b:a", "32k" if rate == "24k" else "64k", "-packet_size", packet_bytes, path))
        self.pictures = decoded(self.path, cached(folder, f"{name}.framemd5", lambda path: hashes(
            self.path, path, "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo")))
        self.file = File(self.path)


def wsx(context, episodes, name="list.wsx", attributes="", wrap=""):
    media = "\n".join(f'    <media src="{episode.path}" mediaName="entry {number}" {attributes}/>' for number, episode in enumerate(episodes))
    return context.write(name, f'<?wsx version="1.0"?>\n<smil>\n  <seq id="all" {wrap}>\n{media}\n  </seq>\n</smil>\n')


def three(context, seconds=6):
    """Longer than what a player buffers, which goes out at once at each seam: a player has time to say what it wants."""
    return [Episode(context.cache, 0, seconds), Episode(context.cache, 1, seconds, codec="msmpeg4v3", packet_bytes=1400, size="352x288"),
            Episode(context.cache, 2, seconds)]


def change(event):
    return event.kind == "C"


def first_of_next(player):
    """The first `$D` behind the latest header."""
    return lambda event: event.kind == "D" and len(player.entries[-1].packets) == 1


def told(player, number):
    """`$M` of an entry says which it is."""
    metadata = player.entries[-1].metadata
    check("playlist" in metadata.features, f"$M says {metadata.features}")
    check(metadata.values.get("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL") == f"entry {number}", f"$M says {metadata.values}")


@test(seconds_max=45, mode=MODES)
def wm_playlist_predicted(context, mode):
    """The sequence of [MS-WMSP] 4.5.2: `$C`, at once `$H` and `$D` of the next entry, Log, the player's own choice; each byte, and the order."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    described = opened(player)
    check("com.microsoft.wm.predstrm" in described.answer.headers["supported"], f"{described.answer.headers}")
    check({"seekable", "playlist", "skipforward", "skipbackward"} <= set(described.answer.features), f"{described.answer.features}")
    player.play(more=FAST).has("playlist-gen-id", no=("expect-new-header",))
    events = player.read(until=first_of_next(player))
    told(player, 0)
    for number, episode in enumerate(episodes[:-1]):
        events = player.read(until=lambda event: event.kind == "D" and len(player.entries) == number + 2)
        check(kinds(events) == ["D", "$E(1)", "$C(0)", "M", "H", "D"], lambda: f"entry {number}: {kinds(events)}")
        same_packets(player.entries[number], episode.file)
        told(player, number + 1)
        header = player.entries[-1].header
        check(header.raw == episodes[number + 1].file.header.raw, "the header is not the next file's")
        player.log(player.entries[number])
        if player.pipelined:
            player.next_entry(player.whole(header))
            events = player.read(until=lambda event: event.kind == "answer" and event.request == "PlayNextEntry")
            check(kinds(events)[-3:] == ["body-end", "Log:204", "PlayNextEntry:200"] and set(kinds(events)[:-3]) <= {"D"},
                  lambda: f"behind PlayNextEntry: {kinds(events)}")
        elif number == 0:
            # The next change keeps eight seconds away from a SelectStream.
            player.select(player.whole(header), lag=0)
    tail = kinds(player.read())
    check(tail == ["D", "$E(0)", "body-end"], lambda: f"at the end: {tail}")
    same_packets(player.entries[-1], episodes[-1].file)
    check(len({entry.generation for entry in player.entries}) == 3, "two entries have one playlist-gen-id")
    player.log()
    check(kinds(player.read()) == (["Log:204"] if player.pipelined else []), "the last Log")
    weir.check_alive()


@test(seconds_max=45, mode=MODES)
def wm_playlist_declined(context, mode):
    """A player that does not list predstrm gets `$H` of the next entry and no `$D` before it has said which streams; then those alone."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, mode, supported=DECLINES)
    opened(player)
    player.play(more=FAST)
    events = player.read(until=lambda event: event.kind == "H" and len(player.entries) == 2)
    check(kinds(events) == ["M", "H", "D", "$E(1)", "$C(0)", "M", "H"], lambda: f"{kinds(events)}")
    check(player.wire.silent(1.0), "$D of the next entry came unasked")
    header = player.entries[-1].header
    audio = next(number for number, kind in header.streams.items() if kind == "audio")
    choice = {number: 0 if number == audio else 2 for number in header.streams}
    player.log(player.entries[0])
    if player.pipelined:
        player.next_entry(choice)
        events = player.read(until=lambda event: event.kind == "D")
        check(kinds(events) == ["body-end", "Log:204", "PlayNextEntry:200", "D"], lambda: f"{kinds(events)}")
    else:
        player.select(choice)
    player.read(until=lambda event: event.kind in "EC")
    seen = {stream for packet in player.entries[1].packets for stream in packet.asf.streams}
    check(seen == {audio}, f"streams {seen} came; {audio} was wanted")
    weir.check_alive()


@test(seconds_max=45, mode=MODES)
def wm_playlist_overridden(context, mode):
    """What was predicted is overridden: the streams that are turned off end, the others lose nothing."""
    episodes = [Episode(context.cache, 0, 3), Episode(context.cache, 1, 6)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    opened(player)
    player.play(more=FAST)
    player.read(until=lambda event: event.kind == "D" and len(player.entries) == 2)
    header = player.entries[-1].header
    audio = next(number for number, kind in header.streams.items() if kind == "audio")
    choice = {number: 0 if number == audio else 2 for number in header.streams}
    before = player.entries[1].packets[0]
    check(before.asf.streams & set(header.streams), "nothing was predicted")
    if player.pipelined:
        player.next_entry(choice)
        player.read(until=lambda event: event.kind == "answer")
    else:
        player.select(choice)
    player.read()
    last = player.entries[1].packets[-10:]
    check(len(last) == 10 and all(packet.asf.streams == {audio} for packet in last), "the streams that were turned off go on")
    weir.check_alive()


@test(seconds_max=45)
def wm_playlist_lag(context):
    """client-lag of a PlayNextEntry holds the next change back by so much, once."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, "pipelined")
    opened(player)
    player.play(more=FAST)
    for lag in (1500, 0):
        count = len(player.entries)
        player.read(until=lambda event: event.kind == "H" and len(player.entries) == count + (1 if count else 2))
        player.next_entry(player.whole(player.entries[-1].header), lag=lag)
    player.read()
    first, second, third = player.entries
    prompt = second.packets[0].at - first.packets[-1].at
    lagged = third.packets[0].at - second.packets[-1].at
    check(prompt < 1.0, f"the first change took {prompt:.3f} s")
    check(1.0 < lagged < 3.0, f"a lag of 1.5 s held the change back by {lagged:.3f} s")


@test(seconds_max=45, mode=MODES)
def wm_playlist_skips(context, mode):
    """pl-offset: the header of where it goes from, `$C`, the other entry; forward, back; and a seek within the entry that is rendered."""
    episodes = three(context, 4)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    opened(player)
    player.play()

    def halt():
        player.stop()
        if player.pipelined:
            tail = kinds(player.read())
            check(tail[-2:] == ["body-end", "Stop:200"], lambda: f"Stop: {tail}")

    def skip(offset, number):
        seek = player.entries[-1].generation
        before = player.entries[-1].header.raw
        player.play(seek=seek, offset=offset).has("expect-new-header")
        events = player.read(until=lambda event: event.kind == "D")
        check(kinds(events) == ["M", "H", "$C(0)", "M", "H", "D"], lambda: f"pl-offset={offset}: {kinds(events)}")
        check(player.entries[-2].generation == seek and player.entries[-2].header.raw == before, "it goes from another entry")
        told(player, number)
        first = player.entries[-1].packets[0]
        check(first.payload == episodes[number].file.packets[first.location] and first.location == 0, "it does not begin with the entry")

    player.read(until=first_of_next(player))
    halt()
    skip(1, 1)
    halt()
    skip(-1, 0)
    halt()
    seek = player.entries[-1].generation
    player.play(seek=seek, time_=2000).has(no=("expect-new-header",))
    events = player.read(until=lambda event: event.kind == "D")
    check(kinds(events) == ["M", "H", "D"] and player.entries[-1].generation == seek, lambda: f"seek: {kinds(events)}")
    first = player.entries[-1].packets[0]
    # Of its first packet goes what can be entered with.
    check(first.location > 0 and any(part.key and part.offset == 0 and part.time <= 2000 + player.entries[-1].header.preroll
                                     for part in first.asf.payloads), f"it begins with packet {first.location}")
    halt()
    # Resuming without a word about the entry goes on with the same.
    player.play(time_=1000)
    player.read(until=lambda event: event.kind == "D")
    told(player, 0)
    weir.check_alive()


def seam(context, weir):
    """How long one player of two entries waits between them, and how long between packets on average, in seconds."""
    player = player_of(context, weir, "plain")
    opened(player)
    player.play()
    player.read(until=lambda event: event.kind == "D" and len(player.entries) == 2)
    first, second = player.entries
    times = [packet.at for packet in first.packets]
    gap = second.packets[0].at - times[-1]
    # The pace is that of the second half, behind the head start.
    late = times[len(times) // 2:]
    interval = (late[-1] - late[0]) / (len(late) - 1)
    longest = max(after - before for before, after in zip(late, late[1:]))
    print(f"seam {gap * 1000:.1f} ms, packets every {interval * 1000:.1f} ms, at most {longest * 1000:.1f} ms")
    player.close()
    return gap, interval


@test(seconds_max=45, alone=True)
def wm_playlist_seam(context):
    """At real-time pace the first `$D` of the next entry comes no later than one packet's interval behind the last of the former."""
    episodes = [Episode(context.cache, number, 6) for number in range(2)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    # One seam is one moment, in which player or relay may have been kept from the processor; three are not.
    seams = []
    while not seams or len(seams) < 3 and seams[-1][0] > seams[-1][1]:
        seams.append(seam(context, weir))
    check(any(gap <= interval for gap, interval in seams),
          lambda: "".join(f"a seam took {gap * 1000:.1f} ms; packets come every {interval * 1000:.1f} ms. " for gap, interval in seams))


@test(seconds_max=60, player=["ffmpeg", "mplayer", "libmms", "vlc"])
def wm_playlist_spliced(context, player):
    """Ten entries, every other one with packets of another size, as one programme for players that know no entries: every picture in order."""
    episodes = [Episode(context.cache, number, 2, packet_bytes=3200 if number % 2 == 0 else 1400) for number in range(10)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "list")
    seen = play(context, player, f"mmsh://{weir.host}:{weir.port}/list", seconds=40.0)
    check_whole(seen, [picture for episode in episodes for picture in episode.pictures], player)
    weir.check_alive()


@test(seconds_max=30)
def wm_playlist_misfit(context):
    """A player that knows no entries gets what fits its header, then the end; the log says why."""
    episodes = three(context, 2)
    weir = context.weir("relay", wsx(context, episodes), "--as", "list")
    seen = play(context, "ffmpeg", f"mmsh://{weir.host}:{weir.port}/list")
    check_whole(seen, episodes[0].pictures, "ffmpeg")
    check("cannot be shown behind the header" in weir.process.err(), "nothing in the log")


@test(seconds_max=45, mode=MODES)
def wm_playlist_broadcast(context, mode):
    """A broadcast playlist: the same entries for all, told of by `$C`, no packet missing at the seam."""
    episodes = [Episode(context.cache, number, 3) for number in range(2)]
    source = wsx(context, episodes, wrap='repeatCount="indefinite"')
    weir = context.weir("serve", config=f"paths:\n  simple.wsx:\n    source: {source}\n    broadcast: true\n")
    player = player_of(context, weir, mode)
    described = opened(player)
    check({"broadcast", "playlist"} <= set(described.answer.features) and "seekable" not in described.answer.features, "features")
    player.play()
    for _ in range(2):
        count = len(player.entries)
        player.read(until=lambda event: event.kind == "D" and len(player.entries) == max(count, 1) + 1)
        if player.pipelined:
            player.next_entry(player.whole(player.entries[-1].header))
        else:
            player.select(player.whole(player.entries[-1].header))
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) == 10)
    numbers = [packet.location for entry in player.entries for packet in entry.packets]
    check(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "packets are missing")
    times = [packet.asf.send for entry in player.entries for packet in entry.packets]
    check(all(before <= after for before, after in zip(times, times[1:])), "the time goes back")
    check(len({entry.generation for entry in player.entries}) == len(player.entries) == 3, "entries are not told apart")
    weir.check_alive()


@test(seconds_max=45)
def wm_playlist_live(context):
    """What another path broadcasts, for as long as the list says, then a file: each packet of that."""
    clip = ASFClip(context.cache, key_every=5, seconds=10)
    episode = Episode(context.cache, 0, 2)
    source = context.write("list.wsx", f'<smil><media src="lpp://cam" dur="3s"/><media src="{episode.path}"/></smil>')
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: {clip.path}\n    broadcast: true\n  list:\n    source: {source}\n")
    player = player_of(context, weir, "plain", path="/list?WMCache=0")
    opened(player)
    player.play()
    events = player.read()
    check(kinds(events) == ["M", "H", "D", "$E(1)", "$C(0)", "M", "H", "D", "$E(0)", "body-end"], lambda: f"{kinds(events)}")
    live, file = player.entries
    check(live.header.is_broadcast, "the header of what is live says that it is a file")
    numbers = [packet.location for packet in live.packets]
    check(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "packets of what is live are missing")
    seconds = (live.packets[-1].asf.send - live.packets[0].asf.send) / 1000
    check(abs(seconds - 3) <= 0.7, f"{seconds:.2f} s of what is live came; the list says 3 s")
    same_packets(file, episode.file)
    weir.check_alive()


@test(seconds_max=45, ring=["one", "two"])
def wm_playlist_ring(context, ring):
    """Broadcast lists that name themselves, or one another: what comes round is passed over, and the rest goes on."""
    names = ["list"] if ring == "one" else ["list", "other"]
    paths = ""
    for number, name in enumerate(names):
        episode = Episode(context.cache, number, 2)
        following = names[(number + 1) % len(names)]
        source = context.write(f"{name}.wsx", f'<smil repeatCount="indefinite"><media src="{episode.path}"/>'
                               f'<media src="lpp://{following}" dur="3s"/></smil>')
        paths += f"  {name}:\n    source: {source}\n    broadcast: true\n"
    weir = context.weir("serve", config=f"paths:\n{paths}")
    players = [player_of(context, weir, "plain", path=f"/{name}?WMCache=0") for name in names]
    for player in players:
        opened(player)
        player.play()
    for _ in range(3):
        for player in players:
            count = len(player.entries)
            player.read(until=lambda event: event.kind == "D" and len(player.entries) > max(count, 1))
            player.select(player.whole(player.entries[-1].header))
    check("it is this playlist itself, or plays it just now" in weir.process.err(), "nothing in the log")
    weir.check_alive()


class Crowd:
    """Many players of one broadcast playlist, by framing alone: which packets came to each, and before which of them an entry began."""

    class Member:
        def __init__(self, address, path):
            self.socket = socket.create_connection(address)
            self.socket.sendall((f"GET {path} HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2833\r\nPragma: no-cache,rate=1.000,stream-time=0\r\n"
                                 "Pragma: xPlayStrm=1\r\nSupported: com.microsoft.wm.sswitch, com.microsoft.wm.predstrm\r\n"
                                 "Pragma: stream-switch-count=2\r\nPragma: stream-switch-entry=ffff:1:0 ffff:2:0\r\n\r\n").encode())
            self.socket.setblocking(False)
            self.pending, self.id, self.last, self.lost, self.gaps, self.changes, self.trouble = b"", None, None, 0, [], [], None
            self.said = 0

        def read(self):
            try:
                got = self.socket.recv(1 << 18)
            except BlockingIOError:
                return
            if not got:
                self.trouble = self.trouble or "the connection ended"
                return
            self.pending += got
            if self.id is None:
                head, blank, rest = self.pending.partition(b"\r\n\r\n")
                if not blank:
                    return
                match = re.search(rb"client-id=(\d+)", head)
                if not head.startswith(b"HTTP/1.0 200") or not match:
                    self.trouble = f"the answer is {head[:60]!r}"
                    return
                self.id, self.pending = match[1].decode(), rest
            at = 0
            while len(self.pending) - at >= 4:
                first, kind, length = struct.unpack_from("<BBH", self.pending, at)
                if first & 0x7F != 0x24 or len(self.pending) - at < 4 + length:
                    break
                if kind == ord("D"):
                    number = struct.unpack_from("<I", self.pending, at + 4)[0]
                    if self.last is not None and number != self.last + 1:
                        self.lost += (number - self.last - 1) & 0xFFFFFFFF
                        self.gaps.append((self.last, number))
                    self.last = number
                elif kind == ord("C"):
                    self.changes.append(((self.last or 0) + 1, time.monotonic()))
                at += 4 + length
            self.pending = self.pending[at:]

    def __init__(self, address, path, count):
        self.address, self.path = address, path
        self.selector = selectors.DefaultSelector()
        self.members = [self.Member(address, path) for _ in range(count)]
        for member in self.members:
            self.selector.register(member.socket, selectors.EVENT_READ, member)

    def run(self, until, seconds):
        deadline = time.monotonic() + seconds
        while not all(until(member) for member in self.members):
            check(time.monotonic() < deadline, lambda: f"{sum(not until(member) for member in self.members)} players are not so far")
            for key, _ in self.selector.select(0.2):
                key.data.read()
                if key.data.trouble:
                    raise Failure(key.data.trouble)
                if len(key.data.changes) > key.data.said:
                    key.data.said = len(key.data.changes)
                    self.confirm(key.data)

    def confirm(self, member):
        """SelectStream, over a connection of its own: without it the next change is not predicted."""
        with socket.create_connection(self.address, timeout=5) as side:
            side.sendall((f"POST {self.path} HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2833\r\nPragma: client-id={member.id}\r\n"
                          "Pragma: stream-switch-count=2\r\nPragma: stream-switch-entry=ffff:1:0 ffff:2:0\r\nContent-Length: 0\r\n\r\n").encode())
            answer = side.recv(4096)
            check(answer.startswith(b"HTTP/1.0 200"), lambda: f"SelectStream: {answer[:80]!r}")

    def close(self):
        for member in self.members:
            member.socket.close()


@test(seconds_max=60, alone=True)
def wm_playlist_crowd(context):
    """1,000 players of one broadcast playlist change entries together, twice, and none misses a packet."""
    episodes = [Episode(context.cache, number, 8, size="96x64", rate="24k") for number in range(2)]
    source = wsx(context, episodes, wrap='repeatCount="indefinite"')
    weir = context.weir("serve", config=f"limits:\n  joins-per-second-per-address: 2000\n  joins-burst-per-address: 2000\npaths:\n  tv:\n    source: {source}\n    broadcast: true\n")
    crowd = context.closing(Crowd(("127.0.0.1", weir.port), "/tv", 1000))
    crowd.run(lambda member: member.last is not None, 20)
    seen = {id(member): len(member.changes) for member in crowd.members}
    for step in (1, 2):
        crowd.run(lambda member: len(member.changes) >= seen[id(member)] + step, 20)
    last = max(member.last for member in crowd.members)
    crowd.run(lambda member: member.last >= last + 5, 10)
    places = [tuple(place for place, _ in member.changes[seen[id(member)]:]) for member in crowd.members]
    check(len(set(place[:2] for place in places)) == 1, lambda: f"entries begin at different packets: {set(places)}")
    lost = sum(member.lost for member in crowd.members)
    gaps = collections.Counter(gap for member in crowd.members for gap in member.gaps)
    check(lost == 0, lambda: f"{lost} packets were lost: {gaps.most_common(8)}, entries began at {places[0]}")
    spread = [max(times) - min(times) for times in zip(*([time_ for _, time_ in member.changes[seen[id(member)]:][:2]] for member in crowd.members))]
    print(f"1,000 players changed within {', '.join(f'{one * 1000:.0f}' for one in spread)} ms")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")
    weir.check_alive()
