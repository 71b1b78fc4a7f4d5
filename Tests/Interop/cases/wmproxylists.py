"""Playlists of an origin that are kept: each entry an object of its own, the list what binds them."""
import json
import re

from harness.asffile import Packet
from harness.msrtsp import same_units
from harness.msrtspplayer import Player as RTSPPlayer
from harness.process import free_port, wait_until
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import check_whole, play

from .msrtspplayer import FAST as RTSP_FAST
from .windowsmedia import decoded_rows, ffmpeg_reader, mms
from .wmplayer import MODES, kinds, opened, player_of, same_packets
from .wmplaylists import FAST, Episode, first_of_next, told, wsx
from .wmproxy import describe, outcomes, whole_objects


class Lists:
    """A Weir that has a playlist, and one before it that keeps what comes."""

    def __init__(self, context, episodes, scheme="mmsh", more="", **attributes):
        self.context, self.episodes, self.attributes = context, episodes, attributes
        self.port = free_port()
        self.write()
        config = context.write("origin.yml", f"paths:\n  list:\n    source: {context.path('list.wsx')}\n")
        self.arguments = [context.weir_path, "serve", "--config", config, "--listen", f"127.0.0.1:{self.port}"]
        self.origin = None
        self.start()
        self.folder = context.path("cache")
        self.url = f"{scheme}://127.0.0.1:{self.port}/list"
        self.config = f"cache-dir: {self.folder}\npaths:\n  list:\n    source: {self.url}\n{more}"
        self.weir = context.weir("serve", config=self.config)

    def write(self):
        wsx(self.context, self.episodes, **self.attributes)

    def start(self):
        # By another name than Weir's: it is to be killed.
        self.origin = self.context.spawn("origin", self.arguments)
        self.origin.wait_for(lambda: "Listening on" in self.origin.text(), 10, "it listens")

    @property
    def pictures(self):
        return [picture for episode in self.episodes for picture in episode.pictures]

    def begun(self):
        """How often the origin played."""
        return sum("Windows Media begins" in line for line in self.origin.text().splitlines())

    def rows(self):
        code, out, err = self.context.run_weir("cache", "ls", "--cache", self.folder, "--json", name="ls")
        check(code == 0, f"weir cache ls: {err[-300:]}")
        return json.loads(out)["rows"]

    def whole(self):
        """All entries are on the disk."""
        entries = [row for row in self.rows() if row["kind"] == "asf"]
        return len(entries) == len(self.episodes) and all(row["whole"] for row in entries)

    def watch(self):
        check_whole(play(self.context, "ffmpeg", mms(self.weir, "list"), seconds=40.0), self.pictures, "ffmpeg")


@test(seconds_max=60)
def wm_proxy_keeps_a_playlist(context):
    """ffmpeg plays a playlist of another Weir through a proxy, and again when that is gone: every picture of every entry, in order. `weir cache`
    names the list and its entries; a relay that comes later plays them too; and with the list its entries go."""
    lists = Lists(context, [Episode(context.cache, number, 2) for number in range(3)])
    lists.watch()
    check(outcomes(context, lists.weir) == {"MISS": 1}, f"{outcomes(context, lists.weir)}")
    wait_until(lists.whole, 10, lambda: f"all entries are kept: {lists.rows()}")
    rows = lists.rows()
    check(sorted(row["url"] for row in rows) == [lists.url] + [f"{lists.url}#{number}" for number in (1, 2, 3)], f"{rows}")
    begun = lists.begun()
    lists.watch()
    check(outcomes(context, lists.weir) == {"MISS": 1, "REVALIDATED": 1}, f"{outcomes(context, lists.weir)}")
    check(lists.begun() == begun, "the origin played again")
    lists.origin.kill()
    lists.watch()
    check(outcomes(context, lists.weir) == {"MISS": 1, "REVALIDATED": 1, "HIT": 1}, f"{outcomes(context, lists.weir)}")
    check("origin-unreachable" in lists.weir.log(), "the log does not say why")
    lists.weir.process.stop()
    lists.weir = context.weir("serve", config=lists.config)
    lists.watch()
    check(outcomes(context, lists.weir) == {"HIT": 1}, f"{outcomes(context, lists.weir)}")
    code, out, err = context.run_weir("cache", "purge", lists.url, "--cache", lists.folder, name="purge")
    check(code == 0 and not lists.rows(), f"{out} {err} {lists.rows()}")
    gone = fetch((lists.weir.host, lists.weir.port), describe("/list"), seconds=8)
    check(re.match(rb"HTTP/1\.[01] 50[34] ", gone), lambda: f"what is not kept: {gone[:200]!r}")
    lists.weir.check_alive()


@test(seconds_max=90, scheme=["mmsh", "rtsp"])
def wm_proxy_plays_a_kept_playlist(context, scheme):
    """What an origin has by either protocol is played by both when it is gone: each packet, and each change of entries as the origin tells it."""
    lists = Lists(context, [Episode(context.cache, 0, 3), Episode(context.cache, 1, 3, codec="msmpeg4v3", packet_bytes=1400, size="352x288"),
                            Episode(context.cache, 2, 3)], scheme=scheme)
    for _ in range(2):
        for mode in MODES:
            player = player_of(context, lists.weir, mode, path="/list")
            described = opened(player)
            check({"seekable", "playlist", "skipforward", "skipbackward"} <= set(described.answer.features), f"{described.answer.features}")
            player.play(more=FAST)
            player.read(until=first_of_next(player))
            for number, episode in enumerate(lists.episodes):
                told(player, number)
                if episode is lists.episodes[-1]:
                    break
                events = player.read(until=lambda event: event.kind == "D" and len(player.entries) == number + 2)
                words = kinds(events)
                at = words.index("$C(0)")
                check(words[max(at - 1, 0):at + 3] == ["$E(1)", "$C(0)", "M", "H"], f"{words}")
                if player.pipelined:
                    player.next_entry(player.whole(player.entries[-1].header))
                else:
                    player.select(player.whole(player.entries[-1].header))
            events = player.read()
            check("$E(0)" in kinds(events), lambda: f"{kinds(events)}")
            for entry, episode in zip(player.entries, lists.episodes, strict=True):
                if scheme == "mmsh":
                    same_packets(entry, episode.file)
                    continue
                # What an origin pads is packed by RTSP.
                check(entry.header.raw == episode.file.header.raw and len(entry.packets) == len(episode.file.packets), "another header, or packets")
                wanted = whole_objects((0, Packet(raw, episode.file.header)) for raw in episode.file.packets)
                check(whole_objects((0, packet.asf) for packet in entry.packets) == wanted, "the objects are not the file's")
            player.close()
        player = context.closing(RTSPPlayer(lists.weir.host, lists.weir.port, "/list", transport="tcp"))
        player.describe()
        player.set_up()
        player.play(accelerate=RTSP_FAST)
        for number, episode in enumerate(lists.episodes):
            end = player.read_to_end(entry=number)
            same_units(player.entries[number].units, episode.file)
            check(end.is_entry == (number < len(lists.episodes) - 1), f"EndOfStream of entry {number} says {end.fields}")
            if end.is_entry:
                player.wait(lambda: len(player.entries) == number + 2 and player.entries[-1].units, 5, "Announce, and packets")
                player.log_play()
                player.play(kept=sorted(player.tracks))
        player.teardown()
        if lists.origin.running:
            wait_until(lists.whole, 10, lambda: f"all entries are kept: {lists.rows()}")
            lists.origin.kill()
    counts = outcomes(context, lists.weir)
    check(counts == {"MISS": 1, "REVALIDATED": 2, "HIT": 3}, f"{counts}")
    lists.weir.check_alive()


@test(seconds_max=60)
def wm_proxy_fills_the_holes_of_a_playlist(context):
    """A player that skips leaves holes, which the next one fills; an entry that was let go of is fetched again, and nothing else is."""
    lists = Lists(context, [Episode(context.cache, number, 3) for number in range(3)])
    player = player_of(context, lists.weir, "plain", path="/list")
    opened(player)
    player.play()
    player.read(until=first_of_next(player))
    for number in (1, 2):
        player.stop()
        player.play(seek=player.entries[-1].generation, offset=1, more=FAST).has("expect-new-header")
        player.read(until=lambda event: event.kind == "D")
        told(player, number)
    player.read()
    same_packets(player.entries[-1], lists.episodes[2].file)
    player.close()
    lists.watch()
    wait_until(lists.whole, 10, lambda: f"all entries are kept: {lists.rows()}")
    second = next(row for row in lists.rows() if row["url"] == f"{lists.url}#2")
    code, out, err = context.run_weir("cache", "purge", second["id"], "--cache", lists.folder, name="purge")
    check(code == 0 and len(lists.rows()) == 3, f"{out} {err}")
    begun = lists.begun()
    lists.watch()
    wait_until(lists.whole, 10, lambda: f"the entry is kept again: {lists.rows()}")
    check(lists.begun() > begun, "nothing was fetched")
    lists.origin.kill()
    lists.watch()
    lists.weir.check_alive()


@test(seconds_max=60)
def wm_proxy_sees_that_a_playlist_was_edited(context):
    """A list with other entries is another version: nobody new gets the old one, whose entries go; and so is a list of which a file changed."""
    lists = Lists(context, [Episode(context.cache, number, 2) for number in range(2)])
    lists.watch()
    wait_until(lists.whole, 10, lambda: f"all entries are kept: {lists.rows()}")
    lists.episodes = [Episode(context.cache, number, 2) for number in (1, 2, 0)]
    lists.write()
    lists.watch()
    wait_until(lists.whole, 10, lambda: f"all entries are kept: {lists.rows()}")
    check(len(lists.rows()) == 4, f"{lists.rows()}")
    check(outcomes(context, lists.weir) == {"MISS": 2}, f"{outcomes(context, lists.weir)}")
    lists.origin.kill()
    lists.watch()


@test(seconds_max=45, what=["noSkip='TRUE'", "clipEnd='2s'", "repeatCount='2'"])
def wm_proxy_passes_on_what_cannot_be_kept(context, what):
    """Of a list that does not let its players seek, shows part of a file, or tells no version, nothing is kept; it is played all the same."""
    attributes = {"wrap": what} if "repeat" in what else {"attributes": what}
    lists = Lists(context, [Episode(context.cache, number, 3) for number in range(2)], **attributes)
    for number in range(2):
        reader = ffmpeg_reader(context, mms(lists.weir, "list"), 100, name=f"ffmpeg-{number}")
        seen = [row[5] for row in decoded_rows(reader, 30)]
        strange = [picture for picture in seen if picture not in lists.pictures]
        check(len(seen) == 100 and not strange, f"{len(seen)} pictures, {len(strange)} of them strange")
    check(outcomes(context, lists.weir) == {"BYPASS": 2}, f"{outcomes(context, lists.weir)}")
    check(not lists.rows(), f"{lists.rows()}")


@test(seconds_max=45)
def wm_proxy_fetches_a_playlist_before_anybody_asks(context):
    """`weir cache prefetch` brings every entry; a player has them when the origin is gone."""
    lists = Lists(context, [Episode(context.cache, number, 2) for number in range(3)])
    code, out, err = context.run_weir("cache", "prefetch", lists.url, "--port", str(lists.weir.port), name="prefetch", seconds=30)
    check(code == 0, f"{out} {err}")
    wait_until(lists.whole, 10, lambda: f"all entries are kept: {lists.rows()}")
    lists.origin.kill()
    lists.watch()
