/// How far content is that was to be brought into the cache before anybody asks for it.
package struct PrefetchAnswer: Sendable, Codable, Equatable {
    /// What becomes of it.
    package enum State: String, Sendable, Codable, CaseIterable {
        /// Others are fetched first.
        case waiting
        /// Its origin is asked what it is.
        case asking
        /// It comes.
        case fetching
        /// All of it is kept.
        case kept
        /// It is not, and will not be.
        case failed

        /// Nothing more becomes of it.
        package var isFinal: Bool { self == .kept || self == .failed }
    }

    /// By what it is asked about.
    package var id = 0
    /// What was asked for, without user information.
    package var url = ""
    package var state = State.waiting
    /// How the origin's words were taken: `MISS not-kept`, `HIT fresh`; empty while that is not known.
    package var outcome = ""
    /// Packets of it that are here, and of the whole; 0 while that is not known. Of what an RTSP server plays: milliseconds of its media.
    package var packets = 0
    package var packetsInAll = 0
    /// Bytes of the whole.
    package var bytesInAll: UInt64 = 0
    /// Why it failed; what it is doing.
    package var words = ""

    package init() {}

    /// What has come of it, 0 to 100.
    package var percent: Int { packetsInAll > 0 ? min(packets * 100 / packetsInAll, 100) : 0 }
}
