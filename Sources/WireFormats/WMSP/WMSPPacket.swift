/// What a packet of WMSP is for ([MS-WMSP] 2.2.3).
package enum WMSPPacketKind: UInt8, Sendable, Hashable, CaseIterable {
    /// Another entry of the playlist follows, or an error.
    case streamChange = 0x43
    /// One ASF data packet.
    case data = 0x44
    /// The end of an entry, or of everything.
    case endOfStream = 0x45
    /// The ASF header, or a piece of it.
    case header = 0x48
    /// Metadata in text, or a piece of it.
    case metadata = 0x4D
    /// Random bytes by which a client measures its link.
    case packetPair = 0x50
    /// The answer to the test whether requests may be pipelined.
    case pipelineTest = 0x54
}

/// The `Reason` of `$E` and `$C`, an HRESULT: the top bit says that it is a failure.
package struct WMSPReason: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `$E`: nothing more until the next Play. `$C`: the next entry follows.
    package static let done = WMSPReason(rawValue: 0)
    /// `$E`: this entry is done, and a `$C` will come.
    package static let entryDone = WMSPReason(rawValue: 1)
    /// `$E`: rewound to the beginning of the entry (NS_S_EOS_RECEDING).
    package static let rewound = WMSPReason(rawValue: 0x000D_2F09)
    /// `$C`: the previous entry, the playlist being played backwards; nothing follows until a Play.
    package static let previousEntry = WMSPReason(rawValue: 0x400D_14BE)
    /// `$E`: no more readers are taken (NS_E_SERVER_UNAVAILABLE).
    package static let serverUnavailable = WMSPReason(rawValue: 0xC00D_2EE6)

    /// The top bit is set.
    package var isFailure: Bool { rawValue >> 31 == 1 }

    /// Eight hexadecimal digits.
    package var description: String {
        let digits = String(rawValue, radix: 16, uppercase: true)
        return "0x" + String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}

/// A packet as it was received.
package struct WMSPPacket: Sendable, Hashable {
    /// Piece of `$H` or `$M` (the AFFlags of those).
    package static let firstPiece: UInt8 = 0x04
    /// Last piece of `$H` or `$M`.
    package static let lastPiece: UInt8 = 0x08

    /// What it is for.
    package var kind: WMSPPacketKind
    /// The next one follows without a pause made on purpose (the bit B).
    package var nextFollows = false
    /// Of `$E` and `$C`.
    package var reason = WMSPReason.done
    /// `$D`: the number of the ASF packet in its file. `$H`, `$M`: the number of the piece.
    package var locationID: UInt32 = 0
    /// Which Play it belongs to; not to be relied on.
    package var incarnation: UInt8 = 0
    /// `$D`: a count, not to be relied on. `$H`, `$M`: ``firstPiece``, ``lastPiece``.
    package var flags: UInt8 = 0
    /// `$D`: an ASF data packet. `$H`, `$M`: a piece. `$P`: random bytes. Empty in the others.
    package var payload: [UInt8] = []

    /// A packet.
    package init(kind: WMSPPacketKind) { self.kind = kind }
}
