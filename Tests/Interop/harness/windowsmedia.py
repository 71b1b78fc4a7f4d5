"""Windows Media: clips in ASF and those who play them by mmsh://."""
import functools
import os
import pwd
import shutil
import subprocess

from .clip import cached, ffmpeg, framemd5
from .players import complain, mplayer_pictures
from .registry import Failure, check

# What VLC and MPlayer lose at the end even of a file on the disk.
SHORT_MAX = 3


class ASFClip:
    """10 s of 320x240 WMV 8 (or MPEG-4 version 3) with WMA: no two pictures are alike, a key frame every `key_every` pictures. Without a
    codec there is only the sound."""

    def __init__(self, cache_folder, codec="wmv2", key_every=25, seconds=10, packet_bytes=3200, size="320x240"):
        self.codec, self.key_every, self.seconds, self.packet_bytes, self.size = codec, key_every, seconds, packet_bytes, size
        name = f"asf-{codec}-{key_every}-{seconds}-{packet_bytes}" + ("" if size == "320x240" else f"-{size}")
        self.path = cached(cache_folder, f"{name}.asf", self._make)
        self.units = decoded(self.path, cached(cache_folder, f"{name}.audiomd5", self._units))
        self.pictures = []
        if not codec:
            return
        self.pictures = decoded(self.path, cached(cache_folder, f"{name}.framemd5", self._pictures))
        if len(set(self.pictures)) != len(self.pictures) or len(self.pictures) != 25 * seconds:
            raise AssertionError("the ASF clip has pictures that are alike")

    def _make(self, path):
        picture = ["-c:v", self.codec, "-b:v", "800k", "-g", self.key_every] if self.codec else ["-vn"]
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={self.size}:r=25:d={self.seconds}", "-f", "lavfi", "-i",
               f"sine=f=440:r=44100:d={self.seconds}", *picture, "-c:a", "wmav2", "-b:a", "64k", "-packet_size", self.packet_bytes, path)

    def _pictures(self, path):
        hashes(self.path, path, "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo")

    def _units(self, path):
        hashes(self.path, path, "-map", "0:a", "-c:a", "copy")


def hashes(source, path, *arguments):
    with open(path, "wb") as file:
        file.write(ffmpeg("-i", source, *arguments, "-f", "framemd5", "-"))


def decoded(_source, path):
    with open(path) as file:
        return [row[5] for row in framemd5(file.read())]


def as_nobody(argv):
    """VLC refuses to run as root."""
    if os.getuid() != 0:
        return argv
    nobody = pwd.getpwnam("nobody")
    # Not runuser: that would stand between us and VLC, and VLC would outlive it.
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "env", "HOME=/nonexistent", *argv]


@functools.lru_cache(None)
def mms_reader(cache_folder):
    """The program that reads by libmms."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mms_reader.c")
    return cached(cache_folder, "mms_reader", lambda path: subprocess.run(["cc", "-Wall", "-O1", "-o", path, source, "-lmms"], check=True))


class Removal:
    """A file where another user can reach it, maybe a copy, that goes with the test."""

    def __init__(self, path, original=None):
        self.path = path
        if original:
            shutil.copyfile(original, path)
            os.chmod(path, 0o644)

    def close(self):
        os.remove(self.path)


def pictures_of(context, path):
    """The MD5 of each picture of a file."""
    sums = context.path("pictures.framemd5")
    hashes(path, sums, "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo")
    return decoded(path, sums)


def play(context, player, url, start=0, seconds=30.0, frames=10_000):
    """The MD5 of each picture that a player gets of an mmsh:// URL, from `start` seconds on, to the end; MPlayer stops behind `frames`."""
    if player == "ffmpeg":
        seek = ["-ss", str(start)] if start else []
        process = context.spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", *seek, "-i", url,
                                           "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])
        code = process.wait(seconds)
        check(code == 0, lambda: f"ffmpeg ended with code {code}: {process.err()[-400:]}")
        complain(process)
        return [row[5] for row in framemd5(process.out())]
    if player == "mplayer":
        return mplayer_pictures(context, url, "tcp", frames, seconds=seconds, name="mplayer-mms")
    if player == "libmms":
        path = context.path("mms.asf")
        words = [str(start)] if start else []
        with open(path, "wb") as file:
            done = subprocess.run([mms_reader(context.cache), url, *words], stdout=file, stderr=subprocess.PIPE, timeout=seconds)
        check(done.returncode == 0, lambda: f"libmms ended with code {done.returncode}: {done.stderr.decode()[-400:]}")
        return pictures_of(context, path)
    if player == "vlc":
        # Where another user can write, too.
        path = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-vlc.asf")).path
        begin = [f"--start-time={start}"] if start else []
        process = context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--no-sout-all", "--network-caching=300", *begin, url,
                                                  "--sout", f"#std{{access=file,mux=asf,dst={path}}}", "vlc://quit"]))
        process.wait(seconds)
        check(os.path.exists(path), lambda: f"VLC wrote nothing: {process.text()[-600:]}")
        return pictures_of(context, path)
    raise Failure(f"no such player: {player}")


def check_whole(seen, original, player):
    """All pictures, in order; VLC and MPlayer may miss a few at the end."""
    short = SHORT_MAX if player in ("vlc", "mplayer") else 0
    check(len(original) - short <= len(seen) <= len(original), lambda: f"{player}: {len(seen)} pictures, the file has {len(original)}")
    first = next((n for n, (one, other) in enumerate(zip(seen, original)) if one != other), None)
    check(first is None, lambda: f"{player}: picture {first} differs from the file's")
