"""Winding in playlists and over their seams, and how far ahead a player is sent; by the scripted player."""
import time

from harness.asffile import Objects
from harness.registry import check, test
from harness.wmplayer import RECEDING, REWOUND, SUPPORTED
from .wmplayer import FAST, MODES, kinds, opened, player_of
from .wmplaylists import DECLINES, Episode, first_of_next, three, told, wsx

PROFILE = "com.microsoft.wm.startupprofile"


def halt(player):
    player.stop()
    if player.pipelined:
        tail = kinds(player.read())
        check(tail[-2:] == ["body-end", "Stop:200"], lambda: f"Stop: {tail}")


def pictures(entry):
    """The times of the pictures that came, without preroll; all of them key frames, and nothing else."""
    objects = Objects()
    for packet in entry.packets:
        objects.take(packet.asf)
    check(objects.broken == 0, f"{objects.broken} objects are broken")
    strange = [one[:3] for one in objects.whole if entry.header.streams[one[0]] != "video" or not one[2]]
    check(not strange, lambda: f"beside key frames came {strange[:3]}")
    return [time_ - entry.header.preroll for _, time_, _, _ in objects.whole]


def rewound(player, number, seconds, goes_on, is_open=False):
    """Reads to the beginning of an entry: its key frames, one a second, from `seconds` on; then what says that."""
    tail = kinds(player.read())
    words = ([] if is_open else ["M", "H"]) + ["D", f"$E({REWOUND})"] + ([f"$C({RECEDING})"] if goes_on else []) + ["body-end"]
    check(tail == words, lambda: f"entry {number}: {tail}, not {words}")
    told(player, number)
    times = pictures(player.entries[-1])
    expected = [second * 1000 for second in range(seconds, -1, -1)]
    check(len(times) == len(expected) and all(abs(found - one) < 100 for found, one in zip(times, expected)),
          lambda: f"entry {number}: key frames at {times}")
    player.log()
    check(kinds(player.read()) == (["Log:204"] if player.pipelined else []), "Log")


@test(seconds_max=45, mode=MODES)
def wm_playlist_rewinds(context, mode):
    """Backwards over seams: `$E` and `$C` say that the one before is come to; the next Play begins at its end, whichever entry it names."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    described = opened(player)
    check("stridable" in described.answer.features, f"{described.answer.features}")
    player.play()
    for number in (1, 2):
        player.read(until=lambda event: event.kind == "D")
        halt(player)
        player.play(seek=player.entries[-1].generation, offset=1)
    player.read(until=lambda event: event.kind == "D")
    told(player, 2)
    halt(player)
    last = player.entries[-1].generation
    player.play(rate=-5.0, seek=last, time_=3500)
    rewound(player, 2, 3, True)
    # It knows no other entry than the one that it has rewound.
    player.play(rate=-5.0, seek=last)
    check(player.answer.generation not in (0, last), f"the entry before has the generation {player.answer.generation}")
    rewound(player, 1, 5, True)
    # Or it says nothing of entries.
    player.play(rate=-5.0)
    rewound(player, 0, 5, False)
    player.play()
    events = player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) == 20)
    check(kinds(events) == ["M", "H", "D"] and player.entries[-1].packets[0].location == 0, lambda: f"forward again: {kinds(events)}")
    told(player, 0)
    halt(player)
    # Forward to the second, and from there to the end of the first.
    player.play(seek=player.entries[-1].generation, offset=1)
    player.read(until=lambda event: event.kind == "D")
    halt(player)
    player.play(rate=-5.0, seek=player.entries[-1].generation, offset=-1).has("expect-new-header")
    events = player.read(until=lambda event: event.kind == "D")
    check(kinds(events) == ["M", "H", "$C(0)", "M", "H", "D"], lambda: f"pl-offset=-1 backwards: {kinds(events)}")
    rewound(player, 0, 5, False, is_open=True)
    weir.check_alive()


@test(seconds_max=30, mode=MODES)
def wm_playlist_rewinds_no_further(context, mode):
    """The beginning of an entry that forbids the way back (noRecede) is the end of it; of a part of a file its own beginning is."""
    episodes = three(context)
    media = "".join(f'<media src="{episode.path}" mediaName="entry {number}" {more}/>' for number, (episode, more) in enumerate(zip(
        episodes, ("", 'noRecede="true"', 'clipBegin="2s" clipEnd="5s"'))))
    weir = context.weir("relay", context.write("list.wsx", f"<smil>{media}</smil>"), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    opened(player)
    player.play()
    for _ in (1, 2):
        player.read(until=lambda event: event.kind == "D")
        halt(player)
        player.play(seek=player.entries[-1].generation, offset=1)
    player.read(until=lambda event: event.kind == "D")
    halt(player)
    player.play(rate=-5.0, time_=10000)
    tail = kinds(player.read())
    check(tail[-3:] == [f"$E({REWOUND})", f"$C({RECEDING})", "body-end"], lambda: f"{tail}")
    times = pictures(player.entries[-1])
    check(times and min(times) > 1900 and max(times) < 5100, lambda: f"of 2 to 5 s came key frames at {times}")
    player.play(rate=-5.0)
    rewound(player, 1, 5, False)
    weir.check_alive()


@test(seconds_max=45, mode=MODES)
def wm_playlist_fast_forward(context, mode):
    """Five times as fast over a seam: key frames alone, in each entry; what may not be skipped plays."""
    episodes = [Episode(context.cache, 0, 6), Episode(context.cache, 1, 6), Episode(context.cache, 2, 2)]
    media = "".join(f'<media src="{episode.path}" mediaName="entry {number}" noSkip="{str(number == 2).lower()}"/>'
                    for number, episode in enumerate(episodes))
    weir = context.weir("relay", context.write("list.wsx", f"<smil>{media}</smil>"), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    opened(player)
    began = time.monotonic()
    player.play(rate=5.0)
    events = player.read(until=lambda event: event.kind == "D" and len(player.entries) == 2)
    check(kinds(events) == ["M", "H", "D", "$E(1)", "$C(0)", "M", "H", "D"], lambda: f"{kinds(events)}")
    took = time.monotonic() - began
    check(0.7 < took < 2.5, f"6 s took {took:.1f} s")
    times = pictures(player.entries[0])
    check([round(time_ / 1000) for time_ in times] == list(range(6)), lambda: f"key frames at {times}")
    if not player.pipelined:
        # SelectStream would keep the next change away for eight seconds.
        player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) > 15)
        return weir.check_alive()
    player.next_entry(player.whole(player.entries[-1].header))
    player.read(until=lambda event: event.kind == "H" and len(player.entries) == 3)
    times = pictures(player.entries[1])
    check([round(time_ / 1000) for time_ in times] == list(range(6)), lambda: f"key frames at {times}")
    player.read()
    told(player, 2)
    check("stridable" not in player.entries[2].metadata.features, f"{player.entries[2].metadata.features}")
    check(len(player.entries[2].packets) == len(episodes[2].file.packets), "what may not be skipped is thinned")
    weir.check_alive()


@test(seconds_max=45, alone=True, grant=["none", "5 s"])
def wm_playlist_short_entries(context, grant):
    """Twelve entries that are shorter than what a player buffers: it is sent ahead by one preroll, or what it was granted, and by no more."""
    episodes = [Episode(context.cache, number % 2, 1) for number in range(12)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, "pipelined")
    header = opened(player).header
    more = ["AccelBW=20000000, AccelDuration=5000"] if grant == "5 s" else []
    most = 5.0 if more else header.preroll / 1000
    player.play(more=more)
    before, levels, began = 0, [], None
    for number in range(len(episodes)):
        def ends(event):
            if event.kind == "D":
                began_ = event.at
                nonlocal began
                began = began or began_
                packet = event.asf
                first = player.entries[-1].packets[0].asf.send
                levels.append((before + packet.send + packet.duration - first) / 1000 - (event.at - began))
            return event.kind == "H" and len(player.entries) == number + 2
        player.read(until=ends)
        packets = player.entries[number].packets
        before += packets[-1].asf.send + packets[-1].asf.duration - packets[0].asf.send
        if number + 1 < len(episodes):
            player.next_entry(player.whole(player.entries[-1].header))
    print(f"ahead by {max(levels):.2f} s at most, {levels[-1]:.2f} s at the end; {most:.1f} s may be")
    check(max(levels) <= most + 0.6, f"a player was sent {max(levels):.2f} s ahead; {most:.1f} s may be")
    check(levels[-1] >= most - 0.8, f"a player is {levels[-1]:.2f} s ahead at the end; it buffers {most:.1f} s")
    weir.check_alive()


@test(seconds_max=30, predicts=[False, True])
def wm_playlist_next_entry_profile(context, predicts):
    """PlayNextEntry may ask for another fast start; its answer says the profile where the entry waits for it. The Play's does, too."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    supported = (SUPPORTED if predicts else DECLINES) + (PROFILE,)
    player = player_of(context, weir, "pipelined", supported=supported)
    opened(player)
    player.play(more=FAST)
    check((player.profile or "").startswith("Rate=10,12,15,20,30;MaxBytes="), f"Play: {player.profile}")
    player.read(until=lambda event: event.kind == "H" and len(player.entries) == 2)
    player.next_entry(player.whole(player.entries[-1].header), supported=supported, more=["AccelBW=3500000, AccelDuration=4000"])
    player.read(until=lambda event: event.kind == "answer" and event.request == "PlayNextEntry")
    check(player.answer.tokens.get("AccelDuration") == "4000", f"PlayNextEntry: {player.answer.tokens}")
    if predicts:
        check(player.profile is None, "a profile of what has begun")
    else:
        check((player.profile or "").startswith("Rate=10,12,15,20,30;MaxBytes="), f"PlayNextEntry: {player.profile}")
        since = time.monotonic()
        player.read(until=lambda event: event.kind == "D" and event.asf.send > player.entries[-1].packets[0].asf.send + 3500)
        check(time.monotonic() - since < 3, "what was granted is not sent faster")
    weir.check_alive()


@test(seconds_max=30, mode=MODES)
def wm_playlist_event_in_its_time(context, mode):
    """What `weir playlist jump` says is due two seconds later (begin="News+2s") interrupts in its time, and what it interrupted goes on behind it."""
    episodes = [Episode(context.cache, 0, 9), Episode(context.cache, 1, 2)]
    media = (f'<media src="{episodes[0].path}" mediaName="entry 0" begin="0s"/>'
             f'<media src="{episodes[1].path}" mediaName="entry 1" begin="News+2s; Late"/>')
    source = context.write("list.wsx", f'<smil><excl><priorityClass peers="pause">{media}</priorityClass></excl></smil>')
    weir = context.weir("relay", source, "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    opened(player)
    player.play()
    player.read(until=first_of_next(player))
    asked = time.monotonic()
    code, out, err = context.run_weir("playlist", "jump", "simple.wsx", "News", name="playlist")
    check(code == 0, f"jump: {out} {err}")
    said = time.monotonic()
    player.keep_alive()
    events = player.read(until=lambda event: event.kind == "D" and len(player.entries) == 2)
    came = time.monotonic()
    words = [word for word in kinds(events) if word != "D"]
    check(words == ["$C(0)", "M", "H"], lambda: f"{words}")
    check(came - asked > 1.9 and came - said < 3.8, f"an event that is due after two seconds came after {came - said:.2f} to {came - asked:.2f} s")
    told(player, 1)
    if player.pipelined:
        player.next_entry(player.whole(player.entries[-1].header))
        player.read(until=lambda event: event.kind == "answer" and event.request == "PlayNextEntry")
        player.read(until=lambda event: event.kind == "D" and len(player.entries) == 3)
        told(player, 0)
        first = player.entries[-1].packets[0]
        check(first.location > 0 and player.entries[-1].generation != player.entries[0].generation, "it does not go on where it was")
    weir.check_alive()


@test(seconds_max=30)
def wm_playlist_part_of_a_round(context):
    """repeatCount="1.5": the file, and the first half of it."""
    episode = Episode(context.cache, 0, 4)
    source = context.write("list.wsx", f'<smil><media src="{episode.path}" repeatCount="1.5"/></smil>')
    weir = context.weir("relay", source, "--as", "simple.wsx")
    player = player_of(context, weir, "pipelined")
    opened(player)
    player.play(more=FAST)
    player.read(until=lambda event: event.kind == "H" and len(player.entries) == 2)
    player.next_entry(player.whole(player.entries[-1].header))
    player.read()
    whole, half = player.entries
    spans = [(entry.packets[-1].asf.send - entry.packets[0].asf.send) / 1000 for entry in (whole, half)]
    check(len(whole.packets) == len(episode.file.packets) and abs(spans[1] - 2) < 0.3, f"rounds of {spans} s")
    weir.check_alive()
