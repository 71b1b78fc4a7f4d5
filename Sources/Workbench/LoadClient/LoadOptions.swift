import Signalling

/// Which part of a load a process carries.
package struct LoadPart: Sendable, Codable, Equatable {
    /// `0..<count`.
    package var index: Int
    /// How many processes there are.
    package var count: Int

    /// All of it.
    package static let whole = LoadPart(index: 0, count: 1)

    /// This part of a number of things: parts differ by one at most, and their sum is the number.
    package func share(of number: Int) -> Int { number * (index + 1) / count - number * index / count }
}

/// Where sessions of Windows Media begin.
package enum LoadPositions: String, Sendable, Codable, CaseIterable {
    /// All at the beginning, or live.
    case start
    /// Each at a place of its own, evenly over the file; the last so that none ends within the run.
    case spread
}

/// What to load a server with.
package struct LoadOptions: Sendable, Codable {
    /// The stream's URL.
    package var url: String
    /// Sessions to open.
    package var sessions = 100
    /// Sessions that join while the others are measured, from the window's beginning on.
    package var joiners = 0
    /// Processes to share the sessions; each has the system's limit on descriptors to itself.
    package var processes = 1
    /// Whether all UDP readers of a process name one RTCP port: two descriptors for each with one track instead of three.
    package var sharesRTCPPort = false
    /// How media comes.
    package var transport = ReaderTransport.udp
    /// Length of the measured window, seconds.
    package var duration = 10.0
    /// Seconds between the last join and the window.
    package var settling = 2.0
    /// The server's process, to be charged with its CPU time.
    package var serverProcess: Int32?
    /// Whether receiving UDP sockets take trains whole.
    package var receiveGRO = false
    /// A stream to compare with, read beside the others: for servers that hide overload by thinning.
    package var source: String?
    /// Sessions between their connect and their PLAY at a time.
    package var joinsInFlightMax = 32
    /// Sessions begun per second, also of the joiners: servers limit what one address may.
    package var joinsPerSecond = 500.0
    /// A session that does not play within this many seconds of its start has failed. A server may hold PLAY until a key frame.
    package var joinTimeout = 30.0
    /// Addresses beyond this machine are refused without it.
    package var allowRemote = false
    /// Up to so many TCP sessions every frame is looked at; beyond, all but the sampled sessions throw theirs away.
    package var parsedSessionsMax = 256

    /// Windows Media: where sessions begin.
    package var positions = LoadPositions.start
    /// Windows Media: who the sessions say they are; servers go by the version.
    package var userAgent = "NSPlayer/9.0.0.2980"

    /// Whether the URL is one of Windows Media over HTTP.
    package var isWindowsMedia: Bool { WMSPSourceURL.isOne(url) }

    /// Sessions whose packets are read here as well, with the kernel's receive time.
    package static let sampledSessionsMax = 16
    /// Processes at most.
    package static let processesMax = 64

    /// The defaults for a URL.
    package init(url: String) { self.url = url }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        guard (1...100_000).contains(sessions) else { throw .usage("-n \(sessions): the number of sessions is 1 to 100000") }
        guard (0...100_000).contains(joiners) else { throw .usage("--joiners \(joiners): 0 to 100000") }
        guard (1...min(Self.processesMax, sessions)).contains(processes) else {
            throw .usage("--processes \(processes): 1 to \(Self.processesMax), and no more than sessions")
        }
        guard duration > 0, duration <= 604_800 else {
            throw .usage("--duration \(duration): the window is above 0 and at most 604800 seconds")
        }
        guard settling >= 0, settling <= 3_600 else { throw .usage("--settling \(settling): 0 to 3600 seconds") }
        guard joinTimeout > 0, joinTimeout <= 3_600 else { throw .usage("--join-timeout \(joinTimeout): above 0 and at most 3600 seconds") }
        guard joinsInFlightMax > 0 else { throw .usage("--joins \(joinsInFlightMax): at least 1") }
        guard joinsPerSecond > 0 else { throw .usage("--join-rate \(joinsPerSecond): above 0 a second") }
        guard Double(joiners) <= duration * joinsPerSecond else {
            throw .usage(
                "--joiners \(joiners) at --join-rate \(joinsPerSecond) take \(Double(joiners) / joinsPerSecond) s: --duration must be as long"
            )
        }
        if isWindowsMedia {
            guard source == nil else { throw .usage("--source: Windows Media is compared by its send times, without a stream beside") }
            guard !sharesRTCPPort else { throw .usage("--share-rtcp-port: Windows Media over HTTP has no RTCP") }
            guard !receiveGRO else { throw .usage("--receive-gro: Windows Media comes over TCP") }
            guard userAgent.utf8.allSatisfy({ (32...126).contains($0) }) else { throw .usage("--user-agent: printable ASCII only") }
        } else if positions != .start {
            throw .usage("--positions \(positions.rawValue): for Windows Media (mmsh://) alone")
        }
        if let serverProcess, serverProcess <= 0 { throw .usage("--server-pid \(serverProcess): a process number is above 0") }
    }

    /// Joiners included.
    var sessionsInAll: Int { sessions + joiners }

    /// What a session with one track takes: its connection, its RTP socket, its RTCP socket.
    var descriptorsPerSession: Int { transport == .tcp || isWindowsMedia ? 1 : sharesRTCPPort ? 2 : 3 }

    /// The options of one process of several.
    func part(_ index: Int) -> LoadOptions {
        let part = LoadPart(index: index, count: processes)
        var options = self
        options.sessions = part.share(of: sessions)
        options.joiners = part.share(of: joiners)
        options.joinsPerSecond = joinsPerSecond / Double(processes)
        options.joinsInFlightMax = max(1, joinsInFlightMax / processes)
        // The parent meters the server.
        options.serverProcess = nil
        return options
    }
}
