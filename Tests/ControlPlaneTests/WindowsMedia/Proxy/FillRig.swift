import Glibc
import Logging
import NIOCore
import NIOPosix
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// A fill, in memory unless it is kept, of an origin that answers as a test says.
final class FillRig: @unchecked Sendable {
    // All but `loop`, `content` and `origin` is used on the loop alone.
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let content: LongASF
    let origin: ScriptedHTTPOrigin
    let counts = FillCounts()
    private let desk: CacheDesk?
    private(set) var fill: ObjectFill
    /// What readers were answered, by their names.
    private(set) var answers: [String: [Result<Range<UInt32>, WindowsMediaFile.Trouble>]] = [:]
    /// Where players were said to begin; nil: that they cannot.
    private(set) var beginnings: [UInt32?] = []
    private var readers: [String: SupplyReader] = [:]

    /// `play` makes what a Play is answered; nil: 503. `describes` says whether Describe is answered.
    init(
        _ content: LongASF, sessions: Int = 2, memory: ObjectFill.Memory = .window(64 << 20), user: String = "",
        kept: (store: CacheStore, leaving: FillPlanner.Leaving)? = nil, describes: @escaping @Sendable (String) -> Bool = { _ in true },
        _ play: @escaping @Sendable (_ request: String) -> ScriptedHTTPOrigin.Answer?
    ) throws {
        let loop = self.loop
        self.content = content
        let header = content.header
        let refusal = ScriptedHTTPOrigin.Answer(bytes: ScriptedHTTPOrigin.head(["Content-Length: 0"], status: "503 Later"))
        origin = try ScriptedHTTPOrigin { request, _ in
            guard request.hasPrefix("GET") || Self.isPlay(request) else { return .init(bytes: Self.head()) }
            if Self.isPlay(request) { return play(request) ?? refusal }
            return describes(request) ? Self.described(header) : refusal
        }
        let route = OriginRoute(WindowsMediaRoute(try WMSPSourceURL("mmsh://\(user)127.0.0.1:\(origin.port)/a.wmv")))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let tools = OriginTools(eventLoop: loop, logger: logger)
        var call = OriginCall(isCache: true)
        call.silenceMilliseconds = 60_000
        let asked = call
        let object = try kept?.store.create(
            CacheDescription(
                key: "mmsh://origin/a", kind: .asf, url: "mmsh://origin/a", head: content.header, unitBytes: LongASF.packetBytes,
                units: content.packets.count, facts: CacheFacts(dialect: "wmsp")))
        let desk = try kept.map { kept in try loop.submit { CacheDesk(store: kept.store, eventLoop: loop, logger: logger) }.wait()
        }
        self.desk = desk
        let order = ObjectFill.Order(
            header: try ASFHeader(content.header.span), packetCount: UInt32(content.packets.count), object: object, desk: desk,
            memory: memory, sessionsMax: sessions, leaving: kept?.leaving ?? .finish, counts: counts, logger: logger
        ) { OriginPlay(route, asked.asked(by: $0), tools, owner: $1) }
        let unchecked = Unchecked(value: order)
        fill = try loop.submit { Unchecked(value: ObjectFill(unchecked.value, on: loop)) }.wait().value
    }

    private struct Unchecked<Value>: @unchecked Sendable { let value: Value }

    static func isPlay(_ request: String) -> Bool { request.contains("xPlayStrm=1") }

    static func head(_ more: [String] = []) -> [UInt8] {
        ScriptedHTTPOrigin.head(
            [
                "Server: Cougar/9.01.01.3814", "Pragma: no-cache, client-id=99, features=\"seekable,stridable\", timeout=60000",
                "Connection: close",
            ] + more)
    }

    static func described(_ header: [UInt8], _ more: [String] = []) -> ScriptedHTTPOrigin.Answer {
        .init(bytes: head(["Etag: \"1\"", "Cache-Control: no-cache, proxy-public, max-age=100"] + more) + WMSPFraming.header(header))
    }

    /// The packet from which a Play is asked for.
    static func place(_ request: String) -> Int {
        request.firstMatch(of: /packet-num=(\d+)/).flatMap { Int($0.1) }.flatMap { $0 == Int(UInt32.max) ? nil : $0 } ?? 0
    }

    /// The time from which it is, in milliseconds.
    static func time(_ request: String) -> Int? {
        request.firstMatch(of: /stream-time=(\d+)/).flatMap { Int($0.1) }.flatMap { $0 == Int(UInt32.max) ? nil : $0 }
    }

    /// These packets; then the content's end, or nothing more for now.
    static func played(_ content: LongASF, _ numbers: Range<Int>, ends: Bool = false) -> ScriptedHTTPOrigin.Answer {
        let data = numbers.reduce(into: [UInt8]()) { bytes, number in
            bytes += WMSPFraming.data(content.packets[number], locationID: UInt32(number)) ?? []
        }
        var answer = ScriptedHTTPOrigin.Answer(
            bytes: head() + WMSPFraming.header(content.header) + data + (ends ? WMSPFraming.endOfStream(.done) : []))
        answer.closes = ends
        return answer
    }

    /// Where Plays were asked for so far.
    var plays: [Int] { origin.requests.withLockedValue { $0.filter(Self.isPlay).map(Self.place) } }
    /// Sessions that were opened so far, or tried to.
    var sessions: Int { origin.requests.withLockedValue { $0.count { $0.hasPrefix("GET") && !Self.isPlay($0) } } }

    /// Runs on the loop.
    func run<T: Sendable>(_ body: @escaping @Sendable (FillRig) -> T) throws -> T { try loop.submit { body(self) }.wait() }

    /// A reader wants these packets.
    func want(_ name: String, _ range: Range<UInt32>) {
        let reader = readers[name] ?? SupplyReader()
        readers[name] = reader
        fill.want(range, for: reader) { [weak self] in self?.answers[name, default: []].append($0) }
    }

    func leave(_ name: String) { if let reader = readers.removeValue(forKey: name) { fill.left(reader) } }

    /// A player seeks, and waits from then on, under that time as its name, for what lies 5 packets behind its beginning.
    func seek(to milliseconds: UInt32) {
        fill.ask(.time(milliseconds: milliseconds)) { [weak self] result in
            guard let self else { return }
            let packet = (try? result.get())?.packet
            beginnings.append(packet)
            if let packet { want("\(milliseconds)", (packet + 5)..<(packet + 10)) }
        }
    }

    /// Waits until something holds.
    func eventually(_ what: Comment, seconds: Int = 20, _ condition: @escaping @Sendable (FillRig) -> Bool) throws {
        for _ in 0..<(seconds * 200) {
            if try run(condition) { return }
            usleep(5_000)
        }
        let words = try run { "\($0.fill.here.ranges), \($0.answers), \($0.beginnings), \($0.fill.sessionCount) sessions" }
        Issue.record("\(what): \(words), \(plays)")
    }

    /// Lets go of everything.
    func stop() {
        try? run { $0.fill.stop() }
        if let desk { try? loop.flatSubmit { desk.stop() }.wait() }
    }
}
