"""Playlists of an origin, pulled (WMSP's client): pipelined and not, predicted and not, over connections that break, from Weir to Weir."""
import re

from harness.players import check_run, complain
from harness.process import wait_until
from harness.registry import check, test
from harness.windowsmedia import check_whole
from harness.wmlistorigin import ListOrigin
from harness.wmorigin import BreakingWay, Modern, Programme
from .wmplaylists import Episode, wsx
from .wmpull import decoded, edge, reader, rows

# What is said at a change of entry, in order, behind `$E $C $M $H`.
PIPELINED = ["Log", "PlayNextEntry", "body-end", "Log:204", "PlayNextEntry:200"]
PLAIN = ["Log", "Log:204", "SelectStream", "SelectStream:200"]


def origin_of(context, episodes, **options):
    return context.closing(ListOrigin([Programme(episode.path) for episode in episodes], **options))


def pictures(episodes):
    return [picture for episode in episodes for picture in episode.pictures]


def sequence(events):
    """What was said, without the packets."""
    return [event for event in events if event != "$D"]


def beginning(pipelining):
    """Up to the first packet. Whose test fails, or is not offered, plays over a connection of its own."""
    test_ = [] if pipelining == "declined" else ["Pipeline", "Pipeline"]
    return ["Describe", *test_, "Play", "Play:200", "$M$H"]


@test(seconds_max=45, case=[("agreed", True), ("agreed", False), ("declined", True), ("declined", False), ("refused", True)])
def wm_pulls_playlist(context, case):
    """Three entries of an origin: each request byte for byte, each answer in its order; the player of the edge gets every picture of all."""
    pipelining, predicts = case
    episodes = [Episode(context.cache, number, 4) for number in range(3)]
    far = origin_of(context, episodes, pipelining=pipelining, predicts=predicts, hold=1.5)
    weir = edge(context, far.url())
    process = reader(context, weir, 300)
    # ffmpeg is to be there from the first packet, so it is the one that has the origin asked.
    wait_until(lambda: far.requests, 15, "the origin to be asked")
    modern = context.closing(Modern(weir.port, "b"))
    seen = decoded(process, 30)
    complain(process)
    check_whole(seen, pictures(episodes), "ffmpeg")
    events = sequence(far.said())
    change = ["$E$C$M$H", *(PIPELINED if pipelining == "agreed" else PLAIN)]
    wanted = [*beginning(pipelining), *change, *change]
    check(events[:len(wanted)] == wanted, lambda: f"it was said {events}")
    check(not far.faults, lambda: "\n".join(far.faults))
    # Players of version 9 are told of each entry.
    kinds = modern.kinds()
    # What it does not confirm is predicted once.
    check(re.match("MHDCMHDCMH", kinds), lambda: f"the player of version 9 got {kinds}")
    names = [re.search(rb"ENTRY_URL,31,\d+,(entry \d)", payload) for kind, _, payload in modern.packets if kind == "M"]
    check([name and name[1] for name in names[:3]] == [b"entry 0", b"entry 1", b"entry 2"], lambda: f"$M named {names[:3]}")
    weir.check_alive()


@test(seconds_max=45, mode=["agreed", "declined"])
def wm_pull_says_how_far_ahead(context, mode):
    """What an origin sends early adds up over entries: the relay says so by client-lag, and is never more than a preroll ahead for long."""
    episodes = [Episode(context.cache, number, 4) for number in range(3)]
    far = origin_of(context, episodes + episodes, pipelining=mode, early=2.5)
    weir = edge(context, far.url())
    process = reader(context, weir, 420)
    decoded(process, 40)
    choice = "PlayNextEntry" if mode == "agreed" else "SelectStream"
    lags = [int(one.values["lag"]) for one in far.requests if one.name == choice and one.values]
    check(not far.faults, lambda: "\n".join(far.faults))
    # 2.5 s for each entry, of which the preroll of 3.1 s is meant to be buffered. Not held back it would be 7 s at the fourth.
    check(len(lags) >= 3 and lags[0] == 0 and 1200 < lags[1] < 2700 and all(lag < 5500 for lag in lags), lambda: f"client-lag was {lags}")


@test(seconds_max=45, case=[(mode, forgets) for mode in ("agreed", "declined") for forgets in (False, True)])
def wm_pull_resumes_playlist(context, case):
    """A connection that breaks within the second entry: the session is gone on with at the very next packet, and every picture comes once;
    where the origin has forgotten the session the list begins anew."""
    mode, forgets = case
    episodes = [Episode(context.cache, number, 4) for number in range(3)]
    programme = Programme(episodes[1].path)
    at = len(programme.packets) // 2
    far = origin_of(context, episodes, pipelining=mode, hold=1.5, breaks=[(1, at)], forgets=forgets)
    weir = edge(context, far.url())
    process = reader(context, weir, 300 if not forgets else 240)
    seen = decoded(process, 35)
    events = sequence(far.said())
    check(not far.faults, lambda: "\n".join(far.faults))
    again = [one for one in far.requests if one.name == "Play" and one.values.get("seek")]
    check(len(again) == 1 and again[0].values["seek"] == "8" and int(again[0].values["packet"]) == at,
          lambda: f"the Play of what broke off: {[one.head for one in again]}")
    behind = events[events.index("break") + 1:]
    if forgets:
        check(behind[:3] == ["Play", "Play:400", "Describe"], lambda: f"behind the break: {behind}")
        strange = [picture for picture in seen if picture not in pictures(episodes)]
        check(not strange and seen[-60:] != episodes[1].pictures[-60:], lambda: f"{len(strange)} pictures are none of the list's")
        return
    check(behind[:3] == ["Play", "Play:200", "$M$H"], lambda: f"behind the break: {behind}")
    complain(process)
    check_whole(seen, pictures(episodes), "ffmpeg")
    check("goes on where it broke off" in weir.log(), "the log does not tell")


@test(seconds_max=60, mode=["pipelined", "plain"])
def weir_pulls_playlist_of_weir(context, mode):
    """From Weir to Weir, entries with packets of different sizes: every picture of all entries, behind one header."""
    episodes = [Episode(context.cache, number, 3, packet_bytes=3200 if number % 2 == 0 else 1400) for number in range(4)]
    far = context.weir("serve", "--config", context.write("far.yml", f"paths:\n  tv:\n    source: {wsx(context, episodes)}\n"))
    way = context.closing(BreakingWay(far.port, [], plain=mode == "plain"))
    weir = edge(context, f"mmsh://127.0.0.1:{way.port}/tv")
    whole = pictures(episodes)
    process = reader(context, weir, 270)
    seen = decoded(process, 40)
    complain(process)
    first = whole.index(seen[0])
    check(first <= 30, f"the first picture is number {first}")
    check_run(seen, whole[first:], 270, "ffmpeg")
    logs = [line for line in far.log().splitlines() if "player's log" in line]
    check(len(logs) >= 3 and all("NSServer/9" in line for line in logs), f"the origin has {len(logs)} logs")
    for relay in (far, weir):
        relay.check_alive()


@test(seconds_max=60, mode=["pipelined", "plain"])
def weir_resumes_playlist_of_weir(context, mode):
    """The same over a way on which two connections break, within the first entry and the third."""
    episodes = [Episode(context.cache, number, 4) for number in range(3)]
    far = context.weir("relay", wsx(context, episodes), "--as", "tv")
    size = len(Programme(episodes[0].path).packets) * 3212
    way = context.closing(BreakingWay(far.port, [size // 2, size * 2], plain=mode == "plain"))
    weir = edge(context, f"mmsh://127.0.0.1:{way.port}/tv")
    whole = pictures(episodes)
    process = reader(context, weir, 260)
    seen = decoded(process, 40)
    complain(process)
    check(way.broken == 2, f"{way.broken} connections broke")
    first = whole.index(seen[0])
    check(first <= 35, f"the first picture is number {first}")
    check_whole(seen, whole[first:first + 260], "ffmpeg")
    check(weir.log().count("goes on where it broke off") == 2, "the log does not tell")


@test(seconds_max=40)
def wm_pull_leaves_pipelined(context):
    """When the last player has left: Stop, the log, and no session that waits; whoever comes back begins anew."""
    episodes = [Episode(context.cache, number, 4) for number in range(2)]
    far = origin_of(context, episodes, hold=0.5)
    weir = edge(context, far.url())
    first = reader(context, weir, 30)
    decoded(first, 20)
    wait_until(lambda: far.said()[-1:] == ["Log:204"], 10, "the log")
    events = sequence(far.said())
    check(events[-5:] == ["Stop", "body-end", "Stop:200", "Log", "Log:204"], lambda: f"it was said {events}")
    again = reader(context, weir, 30, name="again")
    check(len(decoded(again, 20)) == 30, "nothing comes to the second player")
    check(not far.faults, lambda: "\n".join(far.faults))
    check(rows(again) == 30, "rows")


@test(seconds_max=40)
def weir_pulls_short_entries(context):
    """Not pipelined, a server keeps changes eight seconds away from what it was told of the entry before: that is no silence of the source's."""
    episodes = [Episode(context.cache, number, 2) for number in range(3)]
    far = context.weir("relay", wsx(context, episodes), "--as", "tv")
    way = context.closing(BreakingWay(far.port, [], plain=True))
    weir = context.weir("serve", config=f"paths:\n  b:\n    source: mmsh://127.0.0.1:{way.port}/tv\n    broadcast: true\n    silence: 3s\n")
    whole = pictures(episodes)
    seen = decoded(reader(context, weir, 110), 30)
    first = whole.index(seen[0])
    check_whole(seen, whole[first:first + 110], "ffmpeg")
    check("no packet for" not in weir.log(), "the source is held to be silent")
