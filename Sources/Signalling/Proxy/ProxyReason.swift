/// Why a player's request was met as it was: the words behind HIT, MISS, REVALIDATED, SPLIT and BYPASS in logs, status and `docs/cache.md`.
package enum ProxyReason: String, Sendable, Hashable, CaseIterable, Codable {
    // HIT
    /// All of it is here, and within its age.
    case fresh
    /// Some of it is here, within its age; the rest is fetched as it is wanted.
    case partial
    /// HIT: the origin cannot be reached; all of it is here, verified, and within its age.
    case originUnreachable = "origin-unreachable"

    // REVALIDATED
    /// The origin said that it is what it was.
    case unchanged
    /// The same, and only some of it is here.
    case unchangedPartial = "unchanged-partial"

    // MISS
    /// Nothing of it was here.
    case notCached = "not-cached"
    /// The origin has another version now; the one that was here is let go of.
    case changed
    /// What was here does not fit its checksums, and is let go of.
    case damaged
    /// It is kept in memory alone, as long as it is played; with BYPASS: there is too much of it for that.
    case noStore = "no-store"
    /// The connection to a broadcast's origin is made for this player, and others may share it.
    case firstPlayer = "first-player"

    // SPLIT
    /// The origin permits sharing.
    case proxySplit = "x-wms-proxy-split"
    /// The origin says nothing, and an operator named it as a source.
    case originSilent = "origin-silent"
    /// An operator said that it is shared.
    case operatorShares = "operator"
    /// A connection without a player was there: it is taken, whether or not it may be shared.
    case idleConnection = "idle-connection"

    // BYPASS
    /// Live, and the origin does not permit sharing.
    case noSplitPermission = "no-split-permission"
    /// An operator said that nothing is shared.
    case splitOff = "split-off"
    /// The origin asked who asks.
    case challenged
    /// The operator's password opened it, and he did not say that it may be kept for others.
    case operatorsCredentials = "operators-credentials"
    /// An operator said that nothing is kept.
    case cacheOff = "cache-off"
    /// There is no cache directory.
    case noCacheDirectory = "no-cache-directory"
    /// The cache directory cannot be written to just now.
    case cacheFailing = "cache-failing"
    /// `no-cache` over RTSP.
    case noCache = "no-cache"
    /// `private`.
    case `private`
    /// None of the words that permit keeping it was said.
    case noPermission = "no-permission"
    /// `Vary` says that others may be given something else.
    case varies
    /// A playlist, and playlists are not kept.
    case playlist
    /// The origin does not say how large it is.
    case sizeUnknown = "size-unknown"
    /// Larger than any object may be.
    case tooLarge = "too-large"

    // Refused, or sent elsewhere
    /// Players are sent to the origin.
    case redirected
    /// The request came through this relay before.
    case loop
    /// `Max-Forwards` is used up, and the origin would have to be asked.
    case forwardsUsedUp = "forwards-used-up"
    /// The origin answered, and its answer is no.
    case originRefused = "origin-refused"
    /// The origin cannot be reached, and nothing is here.
    case unreachableNotCached = "origin-unreachable-not-cached"
    /// … not all of it is here.
    case unreachablePartial = "origin-unreachable-partial"
    /// … what is here is beyond its age.
    case unreachableTooOld = "origin-unreachable-too-old"
    /// … `stale: never` forbids to serve what is here.
    case unreachableStaleNever = "origin-unreachable-stale-never"
}
