import WireFormats

/// What the owner of the connections has to do, in order.
package enum WMSPServerAction: Sendable, Equatable {
    /// Write these bytes to a connection, behind all that goes to it already, as they are: whole answers, heads, chunks, packets but `$D`.
    case send(connection: UInt64, [UInt8])
    /// Write the opening, which is the answer's head and `[$M] $H`, then `$D` after `$D`.
    case start(WMSPPlay, opening: [UInt8])
    /// Go on with other streams: new ones from a key frame on. Ends ``hold(session:)``.
    case select(session: UInt32, WMSPSelection)
    /// What the client asked for of what begins next: so much of it faster than it plays. Comes before ``select(session:_:)``.
    case hasten(session: UInt32, WMSPPlay.FastStart)
    /// Write no `$D` until ``select(session:_:)`` or another start: an entry ended, and the client has not said what it wants of the next.
    case hold(session: UInt32)
    /// Write no `$D` any more. What is sent afterwards comes behind the last one. The position is kept for nobody: a Play names its own.
    case stop(session: UInt32)
    /// Take no `$D` any more, but write all that was taken until now: what was sent comes behind it, and then it is as with ``stop(session:)``.
    case finish(session: UInt32)
    /// Close a connection once all that was sent has left.
    case close(connection: UInt64)
    /// A player says how it went.
    case log(session: UInt32, WMSPLog)
    /// A cache says what a player of its own did; with the session, if it named one, and the path that the request named.
    case event(session: UInt32?, path: String, RemoteEvent)
    /// The session is over.
    case ended(session: UInt32, WMSPSessionEnd)
}

/// Why a session is over.
package enum WMSPSessionEnd: String, Sendable, Hashable {
    /// No request came, and no media went, for the idle time.
    case idle
    /// It made room for another.
    case evicted
    /// Whoever owns the content ended it.
    case ended
}

/// A log as a player sent it: text from the network.
package struct WMSPLog: Sendable, Hashable {
    /// Its form.
    package enum Form: String, Sendable, Hashable {
        /// XML of version 9.
        case xml
        /// One line in the format of W3C.
        case line
    }

    /// Its form.
    package var form: Form
    /// The text; bytes that are not UTF-8 are U+FFFD.
    package var text: String
    /// Who sent it.
    package var agent: WMSPAgent
    /// The path that the request named.
    package var path: String

    /// A log as it came.
    package init(form: Form, text: String, agent: WMSPAgent, path: String) {
        self.form = form
        self.text = text
        self.agent = agent
        self.path = path
    }
}

/// Media for a client.
package struct WMSPPlay: Sendable, Equatable {
    /// The `client-id`.
    package var session: UInt32
    /// Where it goes.
    package var connection: UInt64
    /// Each write is a chunk (or several): ``WireFormats/ChunkedCoding``.
    package var isChunked: Bool
    /// What the client bears.
    package var dialect: WMSPDialect
    /// What is sent.
    package var selection: WMSPSelection
    /// From where.
    package var position: WMSPPosition
    /// Up to where; nil: to the end, or, backwards, to the beginning.
    package var end: End?
    /// 1, or a speed of -5 to 5 but 0 where the content is stridable.
    package var rate: Double
    /// The first so many milliseconds of content go out at that rate; nil where the client did not ask for it.
    package var fastStart: FastStart?
    /// A factor on the rate at which all is sent; 1 where the client did not ask for another.
    package var speed: Double
    /// For the packets of this Play.
    package var incarnation: UInt8
    /// It goes on to another entry, and the client has not said yet what it wants of that: no `$D` before
    /// ``WMSPServerAction/select(session:_:)``.
    package var isHeld = false

    /// `max-duration`, without the preroll.
    package enum End: Sendable, Hashable {
        /// That time of the content.
        case absolute(milliseconds: UInt32)
        /// So much of the content, from where it begins.
        case after(milliseconds: UInt32)
    }

    /// `AccelBW` or `BurstBW`, and their durations.
    package struct FastStart: Sendable, Hashable {
        package var bitsPerSecond: UInt32
        package var milliseconds: UInt32

        /// A rate and how much goes at it.
        package init(bitsPerSecond: UInt32, milliseconds: UInt32) {
            self.bitsPerSecond = bitsPerSecond
            self.milliseconds = milliseconds
        }
    }
}

/// Of what a client wants a profile (``WMSPSessions/startupWish(of:content:)``).
package struct WMSPStartupWish: Sendable, Equatable {
    package var selection: WMSPSelection
    package var position: WMSPPosition
    /// The `AccelDuration` that it will be granted.
    package var milliseconds: UInt32
}
