/// What an operator says of how content of an origin is treated; one for each path with such a source, and one for the forward proxy.
package struct ProxyPolicy: Sendable, Hashable {
    /// What is kept.
    package enum Keeping: String, Sendable, Hashable, CaseIterable {
        /// Nothing.
        case nothing = "no"
        /// What the origin permits.
        case permitted = "yes"
        /// Also what the origin says nothing of, and what it only does not permit (`no-cache`, `private`). `no-store` and a challenge stand.
        case forced = "force"
    }

    /// Whether players share one connection to the origin of a broadcast.
    package enum Splitting: String, Sendable, Hashable, CaseIterable {
        /// Where the origin permits it, and where it says nothing at all and an operator named it as a source.
        case permitted, always, never
    }

    /// What is kept (`cache:`).
    package var keeping = Keeping.permitted
    /// Who shares.
    package var splitting = Splitting.permitted
    /// An operator named this URL as a source; false: a player did, through the forward proxy.
    package var isConfigured = true
    /// `broadcast: yes`: whatever it is, it is shared as if it were live.
    package var isBroadcast = false
    /// Players are sent to the origin itself.
    package var redirects = false
    /// `cache-credentials: share`: what the operator's own words open may be kept for others.
    package var sharesOperators = false
    /// `stale: unreachable`: what is whole and within its age is served while the origin cannot be reached; false: `stale: never`.
    package var servesUnreachable = true
    /// Playlists are kept, too.
    package var keepsPlaylists = false
    /// Seconds for which content without `max-age` holds; 0: it is asked about each time.
    package var ageDefaultSeconds: UInt32 = 0
    /// The largest object on the disk, in bytes.
    package var diskBytesMax: UInt64 = 4 << 30
    /// The largest object in memory (`no-store`), in bytes.
    package var memoryBytesMax: UInt64 = 64 << 20

    /// As an operator has it who says nothing.
    package init() {}
}

/// All that is looked at when a player wants content (the inputs of ``ProxyDecision``).
package struct ProxySituation: Sendable, Hashable {
    /// A connection to the origin that exists for this URL already, for what is not on demand.
    package enum Role: Sendable, Hashable {
        /// There is none.
        case none
        /// One is being opened, and nothing of it is known yet.
        case opening
        /// One receives the content: what its origin said, how many players it feeds now, and whether it was opened for one player alone.
        case receiving(OriginFacts, players: Int, isPrivate: Bool)
    }

    /// What is kept of one version of the content.
    package struct Object: Sendable, Hashable {
        /// How much of it is here.
        package enum Extent: String, Sendable, Hashable, CaseIterable {
            case whole, partial, empty
        }

        /// What the origin said of it last.
        package var facts: OriginFacts
        /// How much of it is here.
        package var extent: Extent
        /// Nothing of it is known to be damaged.
        package var isVerified: Bool
        /// Where it lies.
        package var place: ProxyDecision.Place

        /// An object.
        package init(facts: OriginFacts, extent: Extent, isVerified: Bool = true, place: ProxyDecision.Place = .disk) {
            self.facts = facts
            self.extent = extent
            self.isVerified = isVerified
            self.place = place
        }
    }

    /// What the origin answered since the player asked.
    package enum Origin: Sendable, Hashable {
        /// It has not been asked.
        case notAsked
        /// It does not know GetContentInfo.
        case doesNotSay
        /// It said this.
        case says(OriginFacts)
        /// It wants to know who asks (401).
        case challenges
        /// It answered with another status.
        case refuses(status: Int)
        /// It refused the connection, or was silent for 3 s.
        case unreachable
    }

    /// Where objects can be made.
    package enum Room: String, Sendable, Hashable, CaseIterable {
        /// In the cache directory.
        case disk
        /// There is no cache directory.
        case none
        /// There is one, and it cannot be written to just now.
        case failing
    }

    /// What the operator said.
    package var policy: ProxyPolicy
    /// The connection that there is: a shared one if there is one, else one without a player, else a private one.
    package var role: Role
    /// What is kept under the content's key; nil: nothing.
    package var stored: Object?
    /// What the origin answered since the player asked.
    package var origin: Origin
    /// Where objects can be made.
    package var room: Room
    /// The request came through this relay before (`Via`).
    package var isLoop: Bool
    /// The request may go on to the origin (`Max-Forwards` is not used up).
    package var mayForward: Bool
    /// The wall clock, in seconds since 1970.
    package var now: Int64

    /// A situation.
    package init(
        policy: ProxyPolicy = ProxyPolicy(), role: Role = .none, stored: Object? = nil, origin: Origin = .notAsked, room: Room = .disk,
        isLoop: Bool = false, mayForward: Bool = true, now: Int64
    ) {
        self.policy = policy
        self.role = role
        self.stored = stored
        self.origin = origin
        self.room = room
        self.isLoop = isLoop
        self.mayForward = mayForward
        self.now = now
    }
}
