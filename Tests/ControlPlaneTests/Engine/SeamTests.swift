import Glibc
import Logging
import NIOCore
import Synchronization
import Testing
import WireFormats

@testable import ControlPlane

/// Opens what the test says.
private struct Opener: MediaSocketOpener {
    let body: @Sendable (MediaSocketRequest) throws -> CInt
    func openSocket(_ request: MediaSocketRequest) throws -> CInt { try body(request) }
}

@Suite struct MediaSocketOpenerTests {
    private struct Trouble: Error, CustomStringConvertible { let description = "not on Sundays" }

    private func local() throws -> SocketAddress { try SocketAddress(ipAddress: "127.0.0.1", port: 0) }

    @Test func pairsAreAskedForSocketBySocket() throws {
        let asked = Locked<[MediaSocketRequest]>([])
        let opener = Opener { request in
            asked.withLockedValue { $0.append(request) }
            let descriptor = try SystemMediaSockets().openSocket(request)
            BoundSocket.set(descriptor, CInt(IPPROTO_IP), IP_TOS, 0x88)
            BoundSocket.set(descriptor, SOL_SOCKET, SO_RCVBUF, 65_536)
            return descriptor
        }
        let ports = MediaPorts(range: nil, opener: opener)
        let pair = try ports.open(at: local(), for: .source)
        defer { pair.close() }
        #expect(pair.rtpPort % 2 == 0)
        for descriptor in [pair.rtp, pair.rtcp] {
            #expect(BoundSocket.get(descriptor, CInt(IPPROTO_IP), IP_TOS) == 0x88)
            // What was chosen stays, and what must be is seen to.
            #expect(BoundSocket.get(descriptor, SOL_SOCKET, SO_RCVBUF) == 131_072)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0 && fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
        }
        let requests = asked.withLockedValue { $0 }
        #expect(requests.allSatisfy { $0.purpose == .source && $0.host == "127.0.0.1" && !$0.isShared })
        #expect(requests.first?.port == 0 && [pair.rtpPort, pair.rtpPort + 1].contains(requests.last?.port ?? 0))
        // What is within the relay is nobody's affair.
        let inner = try ports.open(at: local())
        #expect(asked.withLockedValue { $0.count } == requests.count)
        inner.close()
        let shared = try ports.open(at: local(), sharedBy: 3)
        #expect(Set(shared.map(\.rtpPort)).count == 1)
        #expect(asked.withLockedValue { $0.suffix(4).allSatisfy { $0.isShared && $0.purpose == .readers } })
        for pair in shared { pair.close() }
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5]) func whatCannotBeUsedIsRefusedWithWords(_ fault: Int) throws {
        let opener = Opener { request in
            func bound(_ kind: BoundSocket.Kind, _ host: String, _ port: UInt16 = 0) throws -> CInt {
                try BoundSocket.open(kind, at: SocketAddress(ipAddress: host, port: Int(port)))
            }
            return switch fault {
            case 0: throw Trouble()
            case 1: -1
            case 2: try bound(.stream, "127.0.0.1")
            case 3: socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
            case 4: try bound(.datagram, "::1")
            // Always any port, though another one was asked for.
            default: try bound(.datagram, "127.0.0.1")
            }
        }
        let words = [
            "not on Sundays", "gave no socket (descriptor -1)", "gave a socket that is not for datagrams",
            "gave a socket that is not bound",
            "gave a socket of another address family", "gave a socket at port ",
        ]
        let error = #expect(throws: ListenError.self) { try MediaPorts(range: nil, opener: opener).open(at: local(), for: .readers) }
        #expect(error?.description.contains(words[fault]) == true, "\(error?.description ?? "")")
    }
}

@Suite struct RequestHeadersTests {
    @Test func onlyWhatMayBeSaidIsSaid() {
        let log = HeardLog()
        var extensions = RelayExtensions()
        #expect(RequestHeaders.fields(extensions, path: "cam", url: "rtsp://x/", logger: log.logger()).isEmpty)
        extensions.requestHeaders = { path, url in
            #expect(path == "cam" && url == "rtsp://x/")
            return [
                ("X-Token", "abc"), ("cseq", "7"), ("X-Split", "a\r\nTransport: x"), ("X Y", "z"), ("", "z"), ("User-Agent", "Camera/9"),
                ("X-Long", String(repeating: "x", count: 1_025)),
            ] + (0..<20).map { (name: "X-\($0)", value: "v") }
        }
        let fields = RequestHeaders.fields(extensions, path: "cam", url: "rtsp://x/", logger: log.logger())
        #expect(fields.prefix(2).map(\.name) == ["X-Token", "User-Agent"] && fields.count == RequestHeaders.countMax)
        let lines = log.lines()
        for words in ["that one is the client's own", "its value must be printable", "it is no name of a header", "there are more than 16"]
        {
            #expect(lines.contains { $0.contains(words) }, "\(words)")
        }
    }
}

/// Keeps what is reported; slow when the test wants it to be.
private final class Observer: RelayReports {
    let heard = Mutex<[Int]>([])
    let isHeld = Atomic(false), isAsked = Atomic(false)

    func relayReported(_ report: RelayReport) {
        isAsked.store(true, ordering: .relaxed)
        while isHeld.load(ordering: .relaxed) { usleep(1_000) }
        heard.withLock { $0.append(report.packetsLost) }
    }
    func canonicalName(path: String) -> String? { path == "cam" ? "me@here" : "a\nb" }
    func saysGoodbye(path: String) -> Bool { path != "cam" }
}

@Suite struct RelayReportsTests {
    private func report(_ number: Int) -> ReportFunnel.Item {
        .relay(
            RelayReport(
                path: "cam", track: 0, ssrc: 1, lossPercent: 0, packetsLost: number, jitterMilliseconds: 0, highestSequence: 0))
    }

    @Test func aSlowObserverMissesTheLatestAndHoldsNobodyUp() throws {
        let observer = Observer()
        observer.isHeld.store(true, ordering: .relaxed)
        var extensions = RelayExtensions()
        extensions.reports = observer
        let funnel = try #require(extensions.funnel)
        funnel.put(report(0))
        for _ in 0..<2_000 where !observer.isAsked.load(ordering: .relaxed) { usleep(5_000) }
        let began = Uptime.now
        for number in 1...(ReportFunnel.queueMax + 10) { funnel.put(report(number)) }
        #expect(Uptime.now - began < 1_000_000_000)
        #expect(funnel.dropped == 10)
        observer.isHeld.store(false, ordering: .relaxed)
        for _ in 0..<500 where observer.heard.withLock({ $0.count }) <= ReportFunnel.queueMax { usleep(5_000) }
        #expect(observer.heard.withLock { $0 } == Array(0...ReportFunnel.queueMax))
    }

    @Test func namesAndGoodbyesAreAskedFor() {
        var extensions = RelayExtensions()
        #expect(extensions.scope(path: "cam") == nil && extensions.saysGoodbye(path: "cam"))
        extensions.reports = Observer()
        #expect(!extensions.saysGoodbye(path: "cam") && extensions.saysGoodbye(path: "other"))
        #expect(extensions.scope(path: "cam")?.canonicalName == "me@here")
        // What cannot be sent is not.
        #expect(extensions.scope(path: "other")?.canonicalName == nil)
        let named = ReceiverReporter(track: 0, ssrc: 1, scope: extensions.scope(path: "cam")).empty()
        #expect(String(decoding: named, as: UTF8.self).contains("me@here"))
        let plain = ReceiverReporter(track: 0, ssrc: 1, scope: extensions.scope(path: "other")).empty()
        #expect(String(decoding: plain, as: UTF8.self).contains("weir-"))
    }
}
