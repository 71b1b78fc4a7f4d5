import WireFormats

extension WMSPClient {
    /// A session with a server that a broken connection left behind, and where in what it played. The server keeps it for a minute or so.
    package struct Continuation: Sendable, Equatable {
        /// Of what played.
        package var header: [UInt8]
        /// The packet that comes next.
        package var packet: UInt32
        /// The entry had come to its end: what comes next is the one behind it.
        package var isEntryDone = false
        var clientID: UInt32
        var playlistGenID: UInt32
        var server: WMSPAgent?
        var serverSupports: WMSPSupported
        var features: WMSPFeatures
        var isPipelined: Bool
    }

    /// Where a play that broke off could go on, whatever the server remembers: the number of the packet behind the last one. Nil for what is
    /// live, for playlists, and where nothing came.
    package var resumption: UInt32? {
        guard let features, features.contains(.seekable), features.isDisjoint(with: [.broadcast, .playlist]), let header,
            !header.file.isBroadcast,
            let last = received?.lastNumber, last < UInt32.max - 1
        else { return nil }
        return last + 1
    }

    /// What is needed to go on in the same session; for ``Settings/continuation``. Nil for what is live, and where there is no session.
    package var continuation: Continuation? {
        guard let clientID, let features, features.contains(.seekable), !features.contains(.broadcast), let header,
            !header.file.isBroadcast, let next = received?.next, next < UInt32.max - 1,
            !features.contains(.playlist) || playlistGenID != 0
        else { return resuming }
        return Continuation(
            header: header.bytes, packet: next, isEntryDone: isBetweenEntries && features.contains(.skipForward), clientID: clientID,
            playlistGenID: playlistGenID, server: server, serverSupports: serverSupports, features: features,
            isPipelined: pipelining == .agreed)
    }

    mutating func resume(_ continuation: Continuation) {
        // What cannot be read was never played.
        guard let parsed = try? ASFHeader(continuation.header.span) else { return startOver() }
        resuming = continuation
        header = parsed
        clientID = continuation.clientID
        playlistGenID = continuation.playlistGenID
        server = continuation.server
        serverSupports = continuation.serverSupports
        features = continuation.features
        if pipelining == .undecided { pipelining = continuation.isPipelined ? .agreed : .declined }
        wanted = Wanted(selection: nil, position: .packet(UInt64(continuation.packet)))
        startPlay()
    }

    /// The server knows nothing of what was to be gone on with.
    mutating func startOver() {
        closeMedia()
        resuming = nil
        header = nil
        clientID = nil
        playlistGenID = 0
        features = nil
        wanted = nil
        pipelining = settings.offersPipelining ? .undecided : .declined
        phase = .describing
        connectMedia()
    }
}
