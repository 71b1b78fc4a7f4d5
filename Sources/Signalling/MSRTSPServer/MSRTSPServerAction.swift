import WireFormats

/// What the owner of the connections has to do, in order.
package enum MSRTSPServerAction: Sendable, Equatable {
    /// Answer the request that waits on a connection. Each request gets one answer; `CSeq`, `Date` and `Server` are the owner's to add,
    /// `Session` is in it.
    case answer(connection: UInt64, RTSPResponse)
    /// As ``answer(connection:_:)``, but the body stands for ``WMSPFraming/packetPairBytes`` of ``WMSPFraming/packetPair(headBytes:random:)``,
    /// made when the head is whole. Each `$P` a write of its own.
    case answerPacketPair(connection: UInt64, RTSPResponse)
    /// Send a request of the server's. `CSeq` and `Date` are the owner's to add. What is answered goes to
    /// ``MSRTSPSessions/requestAnswered(_:status:now:)``.
    case request(connection: UInt64, session: UInt64, RTSPRequest)
    /// Find where it begins, and say so by ``MSRTSPSessions/started(_:_:now:)`` or ``MSRTSPSessions/startFailed(_:_:now:)``, now or later;
    /// send nothing before ``go(session:)``. Takes the place of what the session is being sent.
    case start(MSRTSPPlay)
    /// Send, from the place that was found.
    case go(session: UInt64)
    /// Go on with other streams: new ones from a key frame on. Ends ``hold(session:)``. The RTP session stays: no gap in its numbers.
    case select(session: UInt64, WMSPSelection)
    /// Send nothing, and keep the place: until ``select(session:_:)``, or a ``start(_:)`` without a position.
    case hold(session: UInt64)
    /// Send nothing any more. No place is kept.
    case stop(session: UInt64)
    /// Take no packet any more, but send all that was taken until now: then it is as with ``stop(session:)``. A ``request`` that follows
    /// leaves behind them.
    case finish(session: UInt64)
    /// Send these datagrams to the port of the client from which it asks for lost packets (a packet pair).
    case datagrams(session: UInt64, port: UInt16, [[UInt8]])
    /// A player says how it went.
    case log(session: UInt64, MSRTSPLog)
    /// A cache says what a player of its own did; `path` is the request's.
    case event(session: UInt64?, path: String, RemoteEvent)
    /// The session is over; its media was stopped.
    case ended(session: UInt64, MSRTSPSessionEnd)
    /// Close a connection once all that was sent has left, also what ``finish(session:)`` lets out; over UDP a moment later, so that the last
    /// datagrams come before it.
    case close(connection: UInt64)
}

/// Why a session is over.
package enum MSRTSPSessionEnd: String, Sendable, Hashable, CaseIterable {
    /// Its client said so, or let go of it.
    case tornDown
    /// No request came, and no media went over TCP, for the idle time.
    case idle
    /// It made room for another.
    case evicted
    /// Whoever owns the content ended it.
    case ended
}

/// A log as a player sent it over RTSP: text from the network.
package struct MSRTSPLog: Sendable, Hashable {
    /// When it was sent.
    package enum Kind: String, Sendable, Hashable {
        /// As the player began.
        case connect
        /// Of what it played.
        case play
    }

    /// When it was sent.
    package var kind: Kind
    /// XML; bytes that are not UTF-8 are U+FFFD.
    package var text: String
    /// What the player calls itself.
    package var agent: String
    /// The path of the session.
    package var path: String

    /// A log as it came.
    package init(kind: Kind, text: String, agent: String, path: String) {
        self.kind = kind
        self.text = text
        self.agent = agent
        self.path = path
    }
}

/// Media for a client.
package struct MSRTSPPlay: Sendable, Equatable {
    /// The session.
    package var session: UInt64
    /// The connection that it is controlled over; interleaved media goes there.
    package var connection: UInt64
    /// What is sent.
    package var selection: WMSPSelection
    /// From where; nil: where ``MSRTSPServerAction/hold(session:)`` held it, else from the beginning (live: from now).
    package var position: WMSPPosition?
    /// Up to where; nil: to the end, or, backwards, to the beginning.
    package var end: WMSPPlay.End?
    /// 1, or a speed of -5 to 5 but 0 where the content is stridable.
    package var rate = 1.0
    /// A factor on the rate at which all is sent.
    package var speed = 1.0
    /// The first so many milliseconds of content go out at that rate; nil where the client did not ask for it.
    package var fastStart: WMSPPlay.FastStart?
    /// Where all packets go: the place of the first stream that is sent.
    package var transport: SessionTrack.Transport
    /// What all packets bear: promised by the answer to its SETUP.
    package var ssrc: UInt32
    /// What the first packet must bear, because the client was told so; nil: any.
    package var sequence: UInt16?
    /// Where lost packets are sent once more; nil where the client did not ask for it.
    package var retransmission: Retransmission?
    /// How packets are made.
    package var form: Form
    /// Another header may follow, told by ``MSRTSPSessions/contentChanged(_:to:entryEnded:isReceding:nextSequence:now:)``; without, entries are
    /// made one, and what cannot be has ended.
    package var followsEntries: Bool
    /// It goes on to another entry, and the client has not said yet what it wants of that: no packet before
    /// ``MSRTSPServerAction/select(session:_:)`` or another start.
    package var isHeld = false

    /// A stream of lost packets.
    package struct Retransmission: Sendable, Hashable {
        /// What the client's reports name it by; unpredictable.
        package var ssrc: UInt32
        /// The client's.
        package var port: UInt16

        /// A stream.
        package init(ssrc: UInt32, port: UInt16) {
            self.ssrc = ssrc
            self.port = port
        }
    }

    /// How RTP packets are made: with the transport's kind and the selection what players may share.
    package struct Form: Sendable, Hashable {
        /// One payload in each ASF packet (FFmpeg).
        package var splitsPayloads = false
        /// The packet's number in the content stands in its headers.
        package var sendsLocation = false
        /// What is sent for lost packets to be made good from; nil: nothing.
        package var fec: FECSettings?

        /// As most players bear it.
        package init() {}
    }
}

/// Where a Play begins (``MSRTSPSessions/started(_:_:now:)``).
package struct MSRTSPBeginning: Sendable, Hashable {
    /// Of the first packet.
    package var sequence: UInt16?
    /// Of the first packet.
    package var rtpTime: UInt32?
    /// Of the content, without the preroll; nil where that has no beginning.
    package var milliseconds: UInt64?

    /// What is known.
    package init(sequence: UInt16? = nil, rtpTime: UInt32? = nil, milliseconds: UInt64? = nil) {
        self.sequence = sequence
        self.rtpTime = rtpTime
        self.milliseconds = milliseconds
    }
}

/// What the owner knows, for one request, of the place it came from and of what is offered there.
package struct MSRTSPPlace: Sendable, Equatable {
    /// The peer's address as people write it: the one that `destination=` may name.
    package var peer: String
    /// Why the connection cannot carry media, if so.
    package var interleavedRefusal: String?
    /// Why nothing is sent over UDP, if so.
    package var datagramRefusal: String?
    /// Channels of the connection that other sessions use.
    package var channelsTaken: Set<UInt8> = []
    /// From where UDP is sent.
    package var serverPorts: PortPair?
    /// Of the content's streams, where they are settled (live: all players see the same); others are drawn.
    package var ssrcs: [UInt8: UInt32] = [:]
    /// Lost packets are sent once more to those who ask.
    package var retransmits = true
    /// What is offered against loss; nil: nothing.
    package var fec: FECSettings?
    /// It is had as it is offered, whatever a client would rather have.
    package var fecIsFixed = false
    /// What the session's next packet would bear if nothing more were taken from now on; nil where that is not known.
    package var nextSequence: UInt16?

    /// A place.
    package init(peer: String) { self.peer = peer }
}
