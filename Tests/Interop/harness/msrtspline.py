"""RTP as a player takes it: in order, with what was lost asked for again or computed from FEC, and counted."""
import time

from . import msrtspfec as fec
from .registry import check
from .msrtspwire import RTP

HISTORY = 256  # packets kept for FEC


def behind(one, other):
    """How far `one` lies behind `other` in sequence numbers of 16 bits, signed."""
    return ((one - other + 0x8000) & 0xFFFF) - 0x8000


class Line:
    """The packets of one SSRC. `patience`: how long a gap is waited for, in seconds; 0 when nothing may be lost."""

    def __init__(self, ssrc, types, fec_type, patience):
        self.ssrc, self.types, self.fec_type, self.patience = ssrc, types, fec_type, patience
        self.next = None           # the sequence number that is due
        self.barriers = []         # where entries end: not to be passed before the next one is known
        self.cross = lambda: False
        self.waiting, self.kept, self.groups = {}, {}, {}
        self.asked = {}
        self.received, self.lost, self.duplicates, self.repairs = 0, [], 0, 0
        self.by_rtx, self.by_fec = set(), set()

    def take(self, rtp, resent=False):
        check(rtp.type in self.types or rtp.type == self.fec_type, f"a packet of type {rtp.type}, not {self.types}")
        if resent:
            check(rtp.sequence not in self.kept or self.kept[rtp.sequence] == rtp.raw or rtp.sequence in self.by_fec, "sent again, a packet is another one")
        if rtp.sequence in self.waiting or (self.next is not None and behind(rtp.sequence, self.next) < 0):
            self.duplicates += 1
            return
        self.received += 1
        if resent:
            self.by_rtx.add(rtp.sequence)
        self.waiting[rtp.sequence] = rtp
        self._keep(rtp)

    def _keep(self, rtp):
        self.kept[rtp.sequence] = rtp.raw
        if len(self.kept) > HISTORY:
            del self.kept[next(iter(self.kept))]
        if rtp.type == self.fec_type:
            self.repairs += 1
            repair = fec.Repair(rtp)
            self.groups.setdefault(repair.group, []).append(repair)
            if len(self.groups) > 32:
                del self.groups[next(iter(self.groups))]

    def _repair(self):
        for repairs in list(self.groups.values()):
            done = fec.recovered(repairs, self.kept, self.ssrc, self.types[0])
            for sequence, raw in done.items():
                if behind(sequence, self.next) >= 0 and sequence not in self.waiting:
                    self.waiting[sequence] = RTP(raw)
                    self.by_fec.add(sequence)
                self.kept[sequence] = raw

    @property
    def gaps(self):
        """What is missing before what came."""
        if self.next is None or not self.waiting:
            return []
        last = max(behind(one, self.next) for one in self.waiting)
        return [one for one in (self.next + offset & 0xFFFF for offset in range(max(0, last))) if one not in self.waiting]

    @property
    def is_drained(self):
        return self.next is None or not self.barriers or self.next == self.barriers[0]

    def due(self):
        """What may be looked at now, in order: packets, and None for each gap that was given up."""
        if self.next is None:
            return
        while self.waiting:
            if self.barriers and self.next == self.barriers[0] and not self.cross():
                return
            rtp = self.waiting.pop(self.next, None)
            if rtp is None:
                check(self.patience, f"packet {self.next} is missing; {sorted(self.waiting)[:3]} came")
                self._repair()
                if self.next in self.waiting:
                    continue
                if time.monotonic() - min(one.at for one in self.waiting.values()) < self.patience:
                    return
                self.lost.append(self.next)
                self.next = self.next + 1 & 0xFFFF
                yield None
                continue
            self.next = self.next + 1 & 0xFFFF
            if rtp.type != self.fec_type:
                yield rtp
