"""Playlists as files and under control: weir relay list.wsx, weir playlist, status."""
import json
import os
import subprocess

from harness.process import wait_until
from harness.registry import check, test

LIST = """<?wsx version="1.0"?>
<smil repeatCount="indefinite">
  <media id="one" src="a.wmv" role="News"/>
  <switch><media src="gone.wmv"/><media src="ads"/></switch>
  <media src="rtsp://nowhere/x"/>
</smil>
"""


def clip(path, seconds=2):
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=s=160x120:r=10:d={seconds}",
                    "-c:v", "wmv2", "-f", "asf", path], stdin=subprocess.DEVNULL, check=True, timeout=30)


def playlist(context, *arguments, code=0):
    got, out, err = context.run_weir("playlist", *arguments, name="playlist")
    check(got == code, f"weir playlist {' '.join(arguments)} ended with {got}, not {code}: {out[-200:]} {err[-300:]}")
    return out if code == 0 else err


@test(seconds_max=40)
def playlist_is_looked_at_and_changed(context):
    """weir playlist ls, insert, remove, jump over the control socket; the file changes meanwhile, well and badly."""
    clip(context.write("a.wmv", ""))
    os.makedirs(context.path("ads"), exist_ok=True)
    clip(context.path("ads/b.wmv"))
    weir = context.weir("relay", context.write("list.wsx", LIST), "--as", "list")

    def rows():
        return json.loads(playlist(context, "ls", "list", "--json"))["listing"]["rows"]
    found = [(row["number"], row["depth"], row["kind"], os.path.basename(row["name"]), row.get("role")) for row in rows()]
    check(found == [(1, 0, "media", "a.wmv", "News"), (2, 0, "switch", "", None), (3, 1, "media", "gone.wmv", None), (4, 1, "seq", "", None),
                    (5, 2, "media", "b.wmv", None), (6, 0, "media", "x", None)], f"{found}")
    check("cannot stand in a playlist" in rows()[5]["broken"], f"{rows()[5]}")
    shown = playlist(context, "ls", "list")
    check("NO" in shown.splitlines()[0] and "      b.wmv" not in shown.splitlines()[0] and "ads/b.wmv" in shown, shown)

    answer = json.loads(playlist(context, "insert", "list", "ads/b.wmv", "--after", "one", "--json"))
    check(answer["entry"] == 7 and rows()[1]["number"] == 7, f"{answer}")
    playlist(context, "remove", "list", "7")
    check("no entry is called `7`" in playlist(context, "remove", "list", "7", code=1), "removed twice")
    check("nobody plays it" in playlist(context, "next", "list", code=1), "next without a reader")
    check("nothing is served as /other" in playlist(context, "ls", "other", code=1), "another path")
    playlist(context, "ls", "list", "--port", "1", code=69)

    context.write("list.wsx", LIST.replace("<switch>", "<media src='c.wmv'/><switch>"))
    check("c.wmv" in [os.path.basename(row["name"]) for row in rows()], "the change is not read")
    overview = context.run_weir("status", "--json", name="status")[1]
    state = json.loads(overview)["paths"][0]["playlist"]
    check(state["entries"] == 5 and state["runs"] == 0, f"{state}")
    check(weir.process.running, "it runs")


@test(seconds_max=30)
def playlist_that_is_wrong_is_refused(context):
    """What is wrong with a list is said with file, line, element and attribute before anything is served."""
    bad = context.write("bad.wsx", "<smil>\n<media src='a.wmv' dur='soon'/></smil>")
    code, _, err = context.run_weir("relay", bad, "--as", "list", "--listen", "127.0.0.1:0")
    check(code == 1 and "bad.wsx:2: <media dur>: `soon` is no time" in err, f"{code}: {err[-300:]}")
    bomb = context.write("bomb.wsx", "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><smil><media src=\"&b;\"/></smil>")
    code, _, err = context.run_weir("relay", bomb, "--as", "list", "--listen", "127.0.0.1:0")
    check(code == 1 and "bomb.wsx:1: a DOCTYPE" in err, f"{code}: {err[-300:]}")
    config = context.write("weir.yml", f"paths:\n  list:\n    source: {bad}\n")
    code, _, err = context.run_weir("serve", "--check", "--config", config)
    check(code == 78 and "bad.wsx:2: <media dur>" in err, f"{code}: {err[-300:]}")


@test(seconds_max=60)
def playlist_commands_move_who_plays(context):
    """ffmpeg plays; next, jump, insert, remove and a changed file move it, and status says so, with what was passed over and why."""
    for name in ("a.wmv", "b.wmv", "c.wmv", "n.wmv"):
        clip(context.path(name), 30)
    text = """<smil repeatCount="indefinite"><media src="a.wmv"/><media src="gone.wmv"/><media src="b.wmv" noSkip="true"/><media src="c.wmv"/></smil>"""
    weir = context.weir("relay", context.write("list.wsx", text), "--as", "list")
    reader = context.spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-loglevel", "error", "-i", f"mmsh://{weir.host}:{weir.port}/list", "-f", "null", "-"])

    def state():
        return json.loads(context.run_weir("status", "--json", name="status")[1])["paths"][0]["playlist"]

    def plays(name, then=None):
        def found():
            run = (state()["shown"] or [{}])[0]
            return run.get("current", {}).get("name") == name and (then is None or run.get("next", {}).get("name") == then)
        wait_until(found, 10, f"{name} plays" + (f", then {then}" if then else ""))

    plays("a.wmv")
    check("for 1 reader" in playlist(context, "next", "list"), "next")
    # What cannot be opened was passed over on the way.
    plays("b.wmv", "c.wmv")
    passed = state()["passed_over"]
    check(len(passed) == 1 and passed[0]["name"] == "gone.wmv" and "No such file" in passed[0]["reason"], f"{passed}")
    playlist(context, "next", "list")
    plays("c.wmv", "a.wmv")
    playlist(context, "jump", "list", "a.wmv")
    plays("a.wmv")
    playlist(context, "insert", "list", "n.wmv")
    plays("a.wmv", "n.wmv")
    playlist(context, "next", "list")
    plays("n.wmv")
    playlist(context, "remove", "list", "n.wmv")
    context.write("list.wsx", text.replace("b.wmv", "c.wmv").replace("gone.wmv", "b.wmv"))
    wait_until(lambda: state()["reloads"] == 1, 10, "the file is read anew")
    plays("n.wmv", "b.wmv")
    check(reader.running, lambda: f"ffmpeg ended: {reader.err()[-300:]}")
