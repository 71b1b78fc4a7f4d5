import WireFormats

/// Requests over the media link: one at a time, or pipelined ([MS-WMSP] 3.1.5.4 to 3.1.5.14).
extension WMSPClient {
    /// A request over the media link.
    enum Exchange: Sendable, Equatable {
        case describe, play, nextEntry, selectStream, stop, keepAlive
        /// GetContentInfo, and the event that the client is for.
        case contentInfo, event
        case pipelineTest(isSecond: Bool)
        case log(WMSPLog.Form, String)

        /// The body of its answer is media.
        var carriesMedia: Bool {
            switch self {
            case .play, .nextEntry, .selectStream: true
            case .describe, .stop, .keepAlive, .pipelineTest, .log, .contentInfo, .event: false
            }
        }

        /// As the document calls it.
        var name: String {
            switch self {
            case .describe: "Describe"
            case .play: "Play"
            case .nextEntry: "PlayNextEntry"
            case .selectStream: "SelectStream"
            case .stop: "Stop"
            case .keepAlive: "KeepAlive"
            case .pipelineTest: "Pipeline"
            case .log: "Log"
            case .contentInfo: "GetContentInfo"
            case .event: "SendEvent"
            }
        }
    }

    /// A request that was made, and how many challenges had been answered then.
    struct Pending: Sendable, Equatable {
        let exchange: Exchange
        let challenges: Int
    }

    /// Whether requests are pipelined.
    enum Pipelining: Sendable, Equatable {
        /// It is asked for with Describe.
        case undecided
        /// The server would; whether all on the way let them through has to be seen.
        case allowed
        case agreed, declined
    }

    /// Makes a request over the media link.
    mutating func say(_ exchange: Exchange) {
        guard phase != .over, isMediaOpen else { return }
        // Of those that only keep a session one is enough.
        if exchange == .keepAlive, media.expected.contains(where: { $0.exchange == .keepAlive }) { return }
        guard media.expected.count < Self.expectedMax else {
            return fail(.malformed("\(Self.expectedMax) requests are not answered"))
        }
        let bytes = bytes(of: exchange)
        media.expected.append(Pending(exchange: exchange, challenges: challenges))
        actions.append(.send(.media, bytes))
        switch exchange {
        case .describe, .play, .contentInfo, .event: media.deadline = now &+ settings.answerMilliseconds
        case .pipelineTest: media.deadline = now &+ Self.pipelineTestMilliseconds
        case .nextEntry, .selectStream:
            if media.continuationSince == nil { media.continuationSince = now }
            media.deadline = now &+ settings.answerMilliseconds
        case .stop, .keepAlive, .log:
            if phase == .idle { media.deadline = now &+ settings.answerMilliseconds }
        }
    }

    /// Media that comes is of a body that a Stop or another Play, made since, will end.
    var isStale: Bool { media.expected.contains { $0.exchange == .stop || $0.exchange == .play } }

    /// The media goes on in an answer that has not begun.
    var awaitsContinuation: Bool { media.expected.contains { $0.exchange.carriesMedia } }

    // MARK: The test

    /// What an answer to Describe says of pipelining. Old proxies on the way would not bear it.
    mutating func learnPipelining(_ response: HTTPResponse) {
        guard pipelining == .undecided else { return }
        let isOffered = (try? PragmaList(response.headers))?.isOn("pipeline-experiment") ?? false
        guard isOffered, response.version == .http(minor: 1), media.stays, !media.reader.endsWithConnection,
            !Self.cameByOldProxy(response)
        else { return pipelining = .declined }
        pipelining = .allowed
    }

    static func cameByOldProxy(_ response: HTTPResponse) -> Bool {
        response.headers.values(named: "Via").contains { value in
            value.split(separator: ",").contains { hop in
                guard let word = hop.split(separator: " ").first else { return false }
                return word == "1.0" || word.lowercased() == "http/1.0"
            }
        }
    }

    mutating func testPipelining() {
        phase = .testing
        sawPipelineTest = false
        say(.pipelineTest(isSecond: false))
        say(.pipelineTest(isSecond: true))
    }

    /// A connection for each thing, then, as if it had never been asked for.
    mutating func declinePipelining() {
        pipelining = .declined
        startPlay()
    }

    /// The head of an answer to one half of the test.
    mutating func tested(_ response: HTTPResponse, isSecond: Bool) {
        guard phase == .testing else { return }
        guard response.status.isSuccess, media.stays else { return declinePipelining() }
        media.parser = WMSPParser()
        guard isSecond else { return }
        let result = (try? PragmaList(response.headers))?.isOn("pipeline-result") ?? false
        guard result, sawPipelineTest else { return declinePipelining() }
        accepted()
        pipelining = .agreed
        media.isPipelined = true
    }

    /// The body of the first half: `$T`, and that it came before the second was answered.
    mutating func take(test bytes: [UInt8]) {
        media.parser.append(bytes)
        do throws(WMSPParser.Trouble) {
            while let packet = try media.parser.next() { if packet.kind == .pipelineTest { sawPipelineTest = true } }
        } catch { declinePipelining() }
    }

    // MARK: Answers to what is asked while media comes

    /// The head of the answer that the media goes on in.
    mutating func continued(_ response: HTTPResponse, _ exchange: Exchange) {
        guard phase == .playing, !isStale else {
            media.discards = true
            // It crossed with the end of the media, and the server took it for a Play ([MS-WMSP] knows no other GET with streams then).
            let hasMedia = response.status.code == 200 && response.headers.contains("Transfer-Encoding")
            if phase == .idle, hasMedia, !isStale { say(.stop) }
            return
        }
        guard response.status.code == 200 else { return fail(.refused(exchange.name, response.status)) }
        accepted()
        media.parser = WMSPParser()
        media.mayRepeatHeader = true
        guard !awaitsContinuation else { return }
        media.deadline = nil
        media.continuationSince = nil
    }

    /// The server, or who is before it, wants a password for a request that was made while media came, or after.
    mutating func take(challenge response: HTTPResponse, to pending: Pending) {
        media.discards = true
        let mayRetry = pending.challenges < challenges || challenged(by: response) == .retry
        if mayRetry {
            if pending.challenges == challenges { challenges += 1 }
            if media.stays { return say(pending.exchange) }
            if case .log(let form, let text) = pending.exchange { return ask(.log(form, text)) }
        }
        if pending.exchange.carriesMedia, phase == .playing { fail(.refused(pending.exchange.name, response.status)) }
    }
}
