"""Networks of their own: namespaces joined by a cable (veth), with routes for multicast.

As root they are made directly, else within a user namespace; where neither is allowed a test that needs them fails and says so.
Nothing is left behind: a namespace lives as long as the process that holds it.
"""
import os
import re
import subprocess

from .process import wait_until
from .registry import Failure


class Namespace:
    """One end of the cable: `addresses` are IPv4 and IPv6 with their prefix lengths, the first IPv4 one is its name."""

    def __init__(self, context, name, addresses, beside=None):
        self.context, self.name = context, name
        own = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        enter = beside.enter(["user"]) if beside and own else []
        self.holder = context.spawn(f"namespace-{name}", [*enter, "unshare", *([] if enter else own), "--net", "sleep", "infinity"])
        self.has_user = bool(own)
        outside = os.readlink("/proc/self/ns/net")

        def is_made():
            if not self.holder.running:
                raise Failure(f"no network namespace can be made here (root, or user namespaces, are needed): {self.holder.err().strip()}")
            try:
                return os.readlink(f"/proc/{self.holder.pid}/ns/net") != outside
            except OSError:
                return False
        wait_until(is_made, 5, "the namespace")
        self.addresses = [address.split("/")[0] for address in addresses]
        self.run("ip", "link", "set", "lo", "up")
        if beside:
            beside.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(self.holder.pid))
            beside.configure()
        self.wanted = addresses
        if beside:
            self.configure()

    def enter(self, kinds):
        """What stands before a command that is to run here."""
        return ["nsenter", *(f"--{kind}=/proc/{self.holder.pid}/ns/{kind}" for kind in kinds),
                *(["--preserve-credentials"] if "user" in kinds else [])]

    @property
    def wrapper(self):
        return self.enter(["user", "net"] if self.has_user else ["net"])

    def run(self, *argv):
        done = subprocess.run([*self.wrapper, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
        if done.returncode != 0:
            raise Failure(f"{' '.join(argv)} in the namespace {self.name}: {done.stdout.strip()}")
        return done.stdout

    def configure(self):
        for address in self.wanted:
            self.run("ip", "address", "add", address, "dev", "cable", *(["nodad"] if ":" in address else []))
        self.run("ip", "link", "set", "cable", "up")
        # Players join and send as the routes say.
        self.run("ip", "route", "add", "224.0.0.0/4", "dev", "cable")

    def memberships(self):
        """The IPv4 groups that are joined at the cable."""
        groups, device = set(), None
        for line in self.run("cat", "/proc/net/igmp").splitlines():
            words = line.split()
            if line[:1].isdigit():
                device = words[1].rstrip(":")
            elif device == "cable" and re.fullmatch("[0-9A-F]{8}", words[0]):
                groups.add(".".join(str(int(words[0][at:at + 2], 16)) for at in (6, 4, 2, 0)))
        return groups

    def packets_out(self):
        """Packets that left by the cable so far."""
        line = next(line for line in self.run("cat", "/proc/net/dev").splitlines() if line.strip().startswith("cable:"))
        return int(line.split(":")[1].split()[9])

    def context_inside(self):
        """The test's context for the players' functions: what they start runs here."""
        return Inside(self)


class Inside:
    def __init__(self, namespace):
        self.namespace, self.context, self.folder = namespace, namespace.context, namespace.context.folder

    def path(self, name):
        return self.context.path(name)

    def spawn(self, name, argv, environment=None, **options):
        return self.context.spawn(name, [*self.namespace.wrapper, *argv], environment, **options)


def cable(context):
    """Two namespaces with a cable between them: (10.77.0.1, fd77::1) and (10.77.0.2, 10.77.0.3, fd77::2)."""
    first = Namespace(context, "a", ["10.77.0.1/24", "fd77::1/64"])
    second = Namespace(context, "b", ["10.77.0.2/24", "10.77.0.3/24", "fd77::2/64"], beside=first)
    return first, second
