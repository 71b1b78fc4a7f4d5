import PlaneLink

/// Why a request, a session or a connection was turned away or ended by the server. Each is counted.
package enum ServerRefusal: String, Sendable, CaseIterable {
    /// The process has as many connections as it may.
    case connectionsMax
    /// The process has as many sessions as it may, or the engine has no room for one more reader.
    case sessionsMax
    /// There are as many paths beside those of the configuration as there may be.
    case pathsMax
    /// There are as many registered paths as there may be.
    case registeredMax
    /// A back end asked for a name, or named a host, that it may not.
    case registrationRefused
    /// What a reader wanted to ask a source was too long.
    case parametersOversize
    /// As many readers' requests as may wait for a source's answer at once.
    case parametersBusy
    /// A source that did not answer what a reader asked.
    case parametersTimeout
    /// An expression has as many paths as it may, or the name's source could not be had a moment ago.
    case instancesMax
    /// The forward proxy carries as many targets as it may, or on as many servers.
    case forwardTargets
    /// What the forward proxy does not ask: servers that are not listed, addresses that are not the internet's, this relay itself, other than Windows Media.
    case forwardDenied
    /// A path, or the server, has as many readers as it may, and no relay is left to send them to.
    case readersMax
    /// One address opened more sessions in a second than it may.
    case joinRate
    /// A relay told of more players in a second than one address may (SendEvent).
    case eventRate
    /// A request without a name and a password where they are needed; the first of every client that logs in.
    case loginMissing
    /// A wrong name or password, or an answer to a challenge that cannot be read.
    case loginWrong
    /// An answer to a challenge that had grown too old, or was used already.
    case loginStale
    /// Too many wrong passwords came from the address.
    case loginRate
    /// Who logged in, or the address, has no right to do this.
    case rightMissing
    /// Bytes that are no RTSP.
    case malformed
    /// A message longer than the limits.
    case oversize
    /// As many HTTP tunnels as may wait for their other half.
    case tunnelsMax
    /// A half of an HTTP tunnel whose other one did not come.
    case tunnelTimeout
    /// A request that was begun and not finished in time, or a connection that asked nothing.
    case requestTimeout
    /// A connection that did not take its answers.
    case answerStall
    /// `destination=` named somebody else.
    case foreignDestination
    /// A session that belongs to another host.
    case foreignSession
    /// SETUP over UDP of a stream whose packets are too large for it (461; the reader takes TCP).
    case packetsTooLarge
    /// Interleaved frames on a channel that was not set up.
    case unknownChannel
    /// RTCP from an address that has no session here.
    case unknownDatagram
}

/// Why a session ended.
package enum SessionEnd: String, Sendable, CaseIterable {
    /// TEARDOWN.
    case teardown
    /// Its connection closed.
    case connectionClosed
    /// Nobody named it for the timeout.
    case timeout
    /// The reader said goodbye by RTCP (BYE).
    case goodbye
    /// The stream it read ended, or came back with other tracks alone.
    case streamEnded
    /// The path that it read or published to is not served any more.
    case pathRemoved
    /// A track that it had set up is gone, or became another one; the stream goes on.
    case tracksChanged
    /// The engine gave the reader up: it took nothing.
    case stalled
    /// The engine found the connection broken.
    case connectionLost
    /// The engine gave the reader up: too many answers waited for it.
    case queueFull
    /// The engine gave the reader up: it stayed behind for longer than its path allows.
    case tooSlow
    /// A publisher's media stopped or was refused.
    case publisherEnded
    /// The server stopped.
    case shutdown
}

/// What the RTSP server does, and what it turned away.
package struct ServerStatistics: Sendable, Equatable {
    /// Open connections.
    package var connections = 0
    /// Connections since the start.
    package var connectionsTotal = 0
    /// Sessions, playing or not, publishers included.
    package var sessions = 0
    /// Sessions since the start.
    package var sessionsTotal = 0
    /// Readers that are being sent media.
    package var readers = 0
    /// Sessions that record.
    package var publishers = 0
    /// Requests answered since the start, and of them those answered with 4xx or 5xx.
    package var requests = 0
    /// See ``requests``.
    package var requestsRefused = 0
    /// Receiver reports taken from readers.
    package var receiverReports = 0
    /// Readers that were sent to another relay since this one was full, and requests that `redirect:` sent elsewhere.
    package var readersRedirected = 0
    package var redirections = 0
    /// What was turned away, by cause.
    package var refusals: [ServerRefusal: Int] = [:]
    /// Receiver reports and the like that the kernel dropped because the server's RTCP port was flooded.
    package var datagramsDropped: UInt64 = 0
    /// Packets that readers missed, by cause, as far as the engine has told (once a minute for each reader).
    package var packetsMissed: [LagCause: UInt64] = [:]
    /// Sessions that ended, by cause.
    package var ends: [SessionEnd: Int] = [:]

    /// All zero.
    package init() {}
}
