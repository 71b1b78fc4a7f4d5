"""The cache on disk as its operator has it: filled before anybody asks, looked at, purged under its players, damaged, and in places where no
cache can be."""
import json
import os
import re
import threading

from harness.process import free_port, wait_until
from harness.proxiedorigin import FRESH, Content, ProxiedOrigin
from harness.registry import check, test
from harness.windowsmedia import ASFClip, check_whole, play
from harness.wmplayer import Player

from .windowsmedia import mms
from .wmproxy import PROXY, clip_of, outcomes, watched, whole


def cache(context, *arguments, seconds=30.0):
    """weir cache …: (exit code, standard output, standard error)."""
    return context.run_weir("cache", *arguments, name="cache", seconds=seconds)


def in_json(context, *arguments):
    code, out, err = cache(context, *arguments, "--json")
    check(code == 0, f"weir cache {' '.join(arguments)} --json: code {code}, {err[-300:]}")
    return json.loads(out)


@test(seconds_max=60)
def wm_cache_prefetch_and_then_without_the_origin(context):
    """What was prefetched through a relay, by URL and by list, and into a cache that no relay has, is played by ffmpeg picture by picture when
    the origin is gone; a list with a line that is no URL names the file and the line, and what cannot be had is said."""
    clip, other = ASFClip(context.cache, seconds=5), ASFClip(context.cache, seconds=3)
    port = free_port()
    config = context.write("origin.yml", f"paths:\n  clip:\n    source: {clip.path}\n  other:\n    source: {other.path}\n")
    # By another name than Weir's: it is to be killed.
    origin = context.spawn("origin", [context.weir_path, "serve", "--config", config, "--listen", f"127.0.0.1:{port}"])
    origin.wait_for(lambda: "Listening on" in origin.text(), 10, "it listens")
    url, folder, second = f"mmsh://127.0.0.1:{port}", context.path("cache"), context.path("second")
    paths = f"paths:\n  clip:\n    source: {url}/clip\n  other:\n    source: {url}/other\n  gone:\n    source: {url}/gone\n"
    weir = context.weir("serve", config=f"cache-dir: {folder}\n{paths}")
    relay = ("--port", str(weir.port))

    code, out, err = cache(context, "prefetch", f"{url}/clip", *relay)
    check(code == 0 and out.startswith(f"kept  {url}/clip [MISS not-cached]: "), f"code {code}: {out} {err}")
    films = context.write("films.txt", f"# tonight\n\n{url}/other   # the other one\n  {url}/clip\n")
    code, out, err = cache(context, "prefetch", films, "--json", *relay)
    answers = {answer["url"]: answer for answer in map(json.loads, out.splitlines())}
    check(code == 0 and set(answers) == {f"{url}/other", f"{url}/clip"}, f"code {code}: {out} {err}")
    check(all(answer["state"] == "kept" and answer["packets"] == answer["packets_in_all"] > 0 for answer in answers.values()), out)
    check(sum("Windows Media begins" in line for line in origin.text().splitlines()) == 2, "each was to be played once by the origin")
    listed = in_json(context, "ls", "--cache", folder)
    check([row["whole"] for row in listed["rows"]] == [True, True], f"{listed}")

    for number, (lines, line) in enumerate((("mmsh://a/b\n\nfilm.wmv\n", 3), ("# x\nmmsh://a/%zz\n", 2), ("mmsh://\n", 1))):
        wrong = context.write(f"wrong{number}.txt", lines)
        code, out, err = cache(context, "prefetch", wrong, *relay)
        check(code == 64 and f"wrong{number}.txt:{line}:" in err and not out, f"{lines!r}: code {code}: {out} {err}")
    code, _, err = cache(context, "prefetch", context.path("absent.txt"), *relay)
    check(code == 64 and "absent.txt" in err, f"a list that is not there: code {code}: {err}")
    code, out, err = cache(context, "prefetch", f"{url}/gone", "mmsh://elsewhere.example/x", f"{url}/clip", *relay)
    check(code == 1 and f"{url}/gone" in err and "no path of this relay" in err and out.startswith(f"kept  {url}/clip"), f"{code}: {out} {err}")
    code, _, err = cache(context, "prefetch", f"{url}/clip", "--cache", folder)
    check(code == 75 and str(weir.pid) in err, f"the relay has the cache: code {code}: {err}")
    code, _, err = cache(context, "prefetch", f"{url}/clip", "--port", str(free_port()))
    check(code == 69, f"no relay is there: code {code}: {err}")

    code, out, err = cache(context, "prefetch", films, "--cache", second)
    check(code == 0 and out.count("kept  ") == 2, f"without a relay: code {code}: {out} {err}")
    origin.kill()
    check_whole(play(context, "ffmpeg", mms(weir, "clip")), clip.pictures, "ffmpeg")
    check_whole(play(context, "ffmpeg", mms(weir, "other")), other.pictures, "ffmpeg")
    counts = outcomes(context, weir)
    check(counts.get("HIT") == 2 and not counts.get("BYPASS"), f"{counts}")
    weir.process.stop()
    again = context.weir("relay", f"{url}/clip", "--as", "clip", "--cache", second)
    check_whole(play(context, "ffmpeg", mms(again, "clip")), clip.pictures, "ffmpeg, out of what was fetched without a relay")


class Watching:
    """A player in a thread of its own, at the content's pace: `packets` so far, and every byte at the end."""

    def __init__(self, context, weir, path):
        self.player = context.closing(Player(weir.host, weir.port, path))
        self.header = self.player.describe().header
        self.player.play()
        self.trouble = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            self.player.read()
        except Exception as problem:  # what a thread throws nobody sees
            self.trouble = problem

    @property
    def packets(self):
        return len(self.player.entries[-1].packets)

    def finish(self, programme, words):
        self.thread.join(20)
        check(not self.thread.is_alive() and not self.trouble, lambda: f"{words}: {self.packets} packets, {self.trouble}")
        check(self.header.raw == programme.header.raw, f"{words}: another header")
        whole([(one.location, one.asf) for one in self.player.entries[-1].packets], programme)


@test(seconds_max=60)
def wm_cache_is_purged_under_its_players(context):
    """Purged while it is fetched, and again while it is played out of the cache: the players have every byte, what is listed is gone, and the
    next player has it fetched anew. Pinned, it is spared by --all, and gone when it is named. All of it beside the relay, by its commands."""
    programme = clip_of(context, 10)
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(programme, FRESH, rate=2.0)}))
    url, folder = origin.url("/vod/a"), context.path("cache")
    weir = context.weir("serve", config=PROXY.format(folder=folder, url=url))
    here = ("--cache", folder)

    def rows():
        return in_json(context, "ls", *here)["rows"]

    filling = Watching(context, weir, "/a")
    wait_until(lambda: filling.packets > 3, 10, "it is played while it is fetched")
    code, out, err = cache(context, "purge", url, *here)
    check(code == 0 and f"purged {url}" in out, f"purge: code {code}: {out} {err}")
    check(filling.thread.is_alive() and filling.packets < len(programme.packets), "it was over before it was purged: nothing is shown")
    check(rows() == [], f"purged, and listed: {rows()}")
    filling.finish(programme, "purged while it was fetched")

    origin.contents["/vod/a"].rate = None
    watched(context, weir, "/a", programme)
    check(outcomes(context, weir) == {"MISS": 2}, f"{outcomes(context, weir)}")
    wait_until(lambda: [row["whole"] for row in rows()] == [True], 10, lambda: f"it is whole: {rows()}")
    statistics = in_json(context, "stats", *here)
    check(statistics["objects"] == statistics["whole"] == 1 and statistics["relay_process"] == weir.pid, f"{statistics}")
    check(statistics["bytes"] >= sum(map(len, programme.packets)) and statistics["pinned"] == 0, f"{statistics}")

    code, _, err = cache(context, "pin", url, *here)
    check(code == 0 and rows()[0]["pinned"], f"pin: code {code}: {err}")
    code, out, err = cache(context, "purge", "--all", *here)
    check(code == 0 and not out and len(rows()) == 1, f"purge --all: code {code}: {out} {err}")
    name = rows()[0]["id"][:8]
    plays = len(origin.plays)
    playing = Watching(context, weir, "/a")
    wait_until(lambda: playing.packets > 3, 10, "it is played out of the cache")
    code, out, err = cache(context, "purge", name, *here)
    check(playing.thread.is_alive() and playing.packets < len(programme.packets), "it was over before it was purged: nothing is shown")
    check(code == 0 and name in out and rows() == [], f"purge {name}: code {code}: {out} {err}")
    check(in_json(context, "ls", *here)["pins_without_object"] == [url], "a pin outlives what it held")
    left = [file for _, _, files in os.walk(os.path.join(folder, "objects")) for file in files]
    check(left == [], f"files of what was purged: {left}")
    playing.finish(programme, "purged while it was played")
    check(len(origin.plays) == plays, "what was played out of the cache was fetched again")
    code, _, err = cache(context, "unpin", url, *here)
    check(code == 0 and in_json(context, "stats", *here)["pins_without_object"] == 0, f"unpin: code {code}: {err}")
    code, _, err = cache(context, "purge", url, *here)
    check(code == 1 and url in err, f"what is not there: code {code}: {err}")
    watched(context, weir, "/a", programme)
    check(outcomes(context, weir) == {"MISS": 3, "HIT": 1}, f"{outcomes(context, weir)}")
    check(not origin.faults, lambda: f"{origin.faults[:5]}")
    weir.check_alive()


@test(seconds_max=40)
def wm_cache_damaged_is_found_and_never_served(context):
    """A byte of what is kept turns on the disk: weir cache verify says which object and where, --purge lets go of it beside the relay; a relay
    that starts on a damaged one serves every byte right all the same, and says what it found."""
    programme = clip_of(context, 3)
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(programme, FRESH), "/vod/b": Content(programme, FRESH)}))
    folder = context.path("cache")
    config = f"cache-verify-rate: 0\n{PROXY.format(folder=folder, url=origin.url('/vod/a'))}  b:\n    source: {origin.url('/vod/b')}\n"
    weir = context.weir("serve", config=config)
    here = ("--cache", folder)

    def damage(url):
        row = next(row for row in in_json(context, "ls", *here)["rows"] if row["url"] == url)
        check(row["whole"], f"{row}")
        with open(os.path.join(folder, row["file"]), "r+b") as file:
            file.seek(row["head_bytes"] + row["unit_bytes"] * 5 + 100)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 0x10]))
        return row

    def kept(count):
        return lambda: [row["whole"] for row in in_json(context, "ls", *here)["rows"]] == [True] * count

    for path in ("/a", "/b"):
        watched(context, weir, path, programme)
    wait_until(kept(2), 10, "both are whole")
    code, out, err = cache(context, "verify", *here)
    check(code == 0 and "2 objects" in out and "all as they were written" in out, f"verify: code {code}: {out} {err}")
    row = damage(origin.url("/vod/a"))
    code, out, err = cache(context, "verify", "--json", *here)
    report = json.loads(out)
    check(code == 1 and report["objects"] == 2 and [one["id"] for one in report["damaged"]] == [row["id"]] and not report["purged"], f"{code}: {out}")
    check(re.search(r"units \d+ to \d+", report["damaged"][0]["trouble"]), out)
    code, out, err = cache(context, "verify", origin.url("/vod/b"), *here)
    check(code == 0 and "1 objects" in out, f"of the other one: code {code}: {out} {err}")
    code, out, err = cache(context, "verify", "--purge", *here)
    check(code == 0 and f"damaged: {origin.url('/vod/a')}" in out and kept(1)(), f"--purge: code {code}: {out} {err}")
    watched(context, weir, "/a", programme)
    check(outcomes(context, weir) == {"MISS": 3}, f"{outcomes(context, weir)}")
    wait_until(kept(2), 10, "both are whole again")

    weir.process.stop()
    damage(origin.url("/vod/a"))
    again = context.weir("serve", config=config)
    for path in ("/a", "/b"):
        watched(context, again, path, programme)
    code, out, err = context.run_weir("status", str(again.port), "--json", name="status")
    check(code == 0 and json.loads(out)["cache"]["store"]["damaged"] == 1, f"weir status: code {code}: {out[:600]} {err}")
    wait_until(lambda: len(in_json(context, "ls", *here)["rows"]) <= 2, 10, "what is damaged is not listed")
    watched(context, again, "/a", programme)
    check(not origin.faults, lambda: f"{origin.faults[:5]}")
    again.check_alive()


@test(seconds_max=40)
def wm_cache_where_none_can_be(context):
    """A cache directory on a file system that can only be read, or is full, below one that is not there, that is a file, or that another relay
    has: weir ends at once with status 1, and says which directory, why, and what to do."""
    config = context.write("nothing.yml", "paths:\n  a:\n    source: mmsh://127.0.0.1:1/a\n")
    folder = context.path("disk")
    os.makedirs(folder)
    inside = os.path.join(folder, "cache")

    def refused(words, directory, mount=None):
        process = [context.weir_path, "serve", "--config", config, "--listen", f"127.0.0.1:{free_port()}"]
        if mount:
            process = ["unshare", "-m", "sh", "-c", f"{mount} && exec \"$@\"", "sh", *process]
        run = context.spawn("refused", process, {**context.runtime, "WEIR_CACHE_DIR": directory})
        code = run.wait(20)
        check(code == 1, f"{directory} ({mount}): code {code}: {run.err()[-400:]}")
        for word in (directory, *words):
            check(word in run.err(), f"{directory} ({mount}): no word of `{word}` in: {run.err()[-500:]}")

    read_only = f"mount -t tmpfs none {folder} && mkdir {inside} && mount -o remount,ro {folder}"
    refused(("Read-only file system", "cache-dir"), inside, read_only)
    refused(("Read-only file system", "cache-dir"), os.path.join(folder, "new"), read_only)
    full = f"mount -t tmpfs -o size=64k none {folder} && mkdir {inside} && (head -c 200000 /dev/zero > {folder}/rest 2>/dev/null; true)"
    refused(("full", f"df {inside}"), inside, full)
    refused(("No such file or directory", "above it"), os.path.join(folder, "a", "b"))
    refused(("Not a directory",), context.write("file", "x"))
    weir = context.weir("relay", "mmsh://127.0.0.1:1/a", "--as", "a", "--cache", inside)
    refused((f"process {weir.pid}", "its own directory"), inside)
    weir.check_alive()
