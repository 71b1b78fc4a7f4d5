import Glibc
import NIOCore
import PlaneLink
import WireFormats

@testable import ControlPlane

/// An engine that sends no media: it records commands, writes what it is told to write, and reports what a test wants.
/// Confined to the server's event loop.
final class ScriptedEngine: EngineControl, @unchecked Sendable {
    let limits: Limits
    let counters = EngineCounters()
    let workerCount: Int
    let backend = BackendChoice(name: "scripted", reason: "a test")
    let reportDescriptor: Int32 = -1
    /// The commands so far, as words: `arm 0`, `go 0`, `send 0: RTSP/1.0 200 OK`.
    var log: [String] = []
    /// Answers `arm` at once with this point; nil leaves readers waiting.
    var joinPoint: JoinPoint?
    /// Called after something was put into the report queue.
    var onReport: (() -> Void)?
    /// Refuses all commands of this kind.
    var refused: String?
    private(set) var channels: [UInt32: ChannelMap] = [:]
    private(set) var ports: [UInt32: PortMap] = [:]
    private(set) var sources: [(handle: SourceHandle, channels: ChannelMap, prefix: [UInt8], descriptor: Int32)] = []
    private(set) var egresses: [(number: UInt8, worker: UInt8, rtp: Int32, rtcp: Int32)] = []
    private var descriptors: [UInt32: Int32] = [:]
    private var reports: [Report] = []

    init(limits: Limits = Limits(), workers: Int = 1) {
        self.limits = limits
        workerCount = workers
    }

    func wake() {}

    func takeReport() -> Report? { reports.isEmpty ? nil : reports.removeFirst() }

    func report(_ report: Report) {
        reports.append(report)
        onReport?()
    }

    func submit(_ command: Command) -> Bool {
        let words = note(command)
        if let refused, words.hasPrefix(refused) { return false }
        log.append(words)
        return true
    }

    private func note(_ command: Command) -> String {
        func words(_ map: ChannelMap) -> String {
            func entry(_ channel: Int) -> String { map[channel].map { "\($0)" } ?? "none" }
            return "\(entry(0))-\(entry(1)) \(entry(2))-\(entry(3))"
        }
        switch command {
        case .addStream(let handle, _, let tracks): return "addStream \(handle.index) tracks \(tracks)"
        case .addVerbatimStream(let handle, _): return "addVerbatimStream \(handle.index)"
        case .addStoredStream(let handle, _, _): return "addStoredStream \(handle.index)"
        case .addStoredSubscriber(let handle, _, let descriptor, let first, _, _):
            descriptors[handle.index] = descriptor
            return "addStored \(handle.index) \(first)"
        case .releaseStored(let handle, let packet): return "releaseStored \(handle.index) \(packet)"
        case .setTrack: return "setTrack"
        case .setPolicy: return "setPolicy"
        case .removeStream(let handle):
            report(.streamRemoved(handle))
            return "removeStream \(handle.index)"
        case .setReorder: return "setReorder"
        case .useLeg(_, let leg): return "useLeg \(leg)"
        case .beginEpoch: return "beginEpoch"
        case .beginSlate: return "beginSlate"
        case .repeatKeyFrame: return "repeatKeyFrame"
        case .setPreface(_, _, let buffer):
            report(.bufferReturned(buffer))
            return "setPreface"
        case .addDatagramSource(let handle, _, let descriptor, let channel, _, _):
            sources.append((handle, ChannelMap(), [], descriptor))
            return "addDatagramSource channel \(channel)"
        case .addInterleavedSource(let handle, _, let descriptor, let channels, let prefix):
            sources.append((handle, channels, unsafe Array(prefix.bytes), descriptor))
            report(.bufferReturned(prefix))
            return "addInterleavedSource"
        case .addFedSource: return "addFedSource"
        case .addSlateSource: return "addSlateSource"
        case .feed(_, let buffer):
            report(.bufferReturned(buffer))
            return "feed"
        case .resumeSource(_, let consumed): return "resumeSource \(consumed)"
        case .removeSource(let handle):
            report(.sourceRemoved(handle))
            return "removeSource"
        case .addDatagramSubscriber(let handle, _, let host, let ports, _):
            self.ports[handle.index] = ports
            return "addDatagram \(handle.index) \(host.text) \(ports[0])-\(ports[1]) \(ports[2])-\(ports[3])"
        case .addInterleavedSubscriber(let handle, _, let descriptor, let channels):
            self.channels[handle.index] = channels
            descriptors[handle.index] = descriptor
            return "addInterleaved \(handle.index) \(words(channels))"
        case .addVerbatimSubscriber(let handle, _, let descriptor, let chunked):
            descriptors[handle.index] = descriptor
            return "addVerbatim \(handle.index)\(chunked ? " chunked" : "")"
        case .setBurst(let handle, let nanoseconds, let bitsPerSecondMax):
            return "setBurst \(handle.index) \(nanoseconds) ns \(bitsPerSecondMax) bit/s"
        case .arm(let handle, let now):
            if let joinPoint { report(.joined(handle, joinPoint)) }
            return "arm \(handle.index)\(now ? " now" : "")"
        case .go(let handle): return "go \(handle.index)"
        case .setOverload(let handle, let policy): return "setOverload \(handle.index) \(policy)"
        case .pause(let handle): return "pause \(handle.index)"
        case .send(let handle, let buffer), .sendBefore(let handle, let buffer, _):
            let bytes = unsafe Array(buffer.bytes)
            if let descriptor = descriptors[handle.index] { _ = unsafe Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) }
            report(.bufferReturned(buffer))
            return "send \(handle.index): \(String(decoding: bytes.prefix { $0 != 13 }, as: UTF8.self))"
        case .sendLast(let handle, let buffer, let packet):
            report(.bufferReturned(buffer))
            return "last \(handle.index) before \(packet)"
        case .armAt(let handle, let packet):
            report(.joined(handle, joinPoint ?? JoinPoint()))
            return "arm \(handle.index) at \(packet)"
        case .resend(let handle, let packet, let following, let port):
            return "resend \(handle.index) \(packet) \(String(following, radix: 2)) to \(port)"
        case .setInterleavedChannels(let handle, let channels):
            self.channels[handle.index] = channels
            return "setChannels \(handle.index) \(words(channels))"
        case .removeSubscriber(let handle):
            descriptors[handle.index] = nil
            report(.subscriberRemoved(handle))
            return "remove \(handle.index)"
        case .addDatagramEgress(let number, let worker, let rtp, let rtcp):
            egresses.append((number, worker, rtp, rtcp))
            return "egress"
        case .removeDatagramEgress(let number):
            report(.egressRemoved(number))
            return "removeEgress"
        case .shutdown:
            report(.stopped(leaks: 0))
            return "shutdown"
        }
    }
}

/// A source that is there at once, or never.
final class ScriptedSource: PathSource {
    let words = "scripted"
    let isThere: Bool
    private unowned let path: Path
    private let sdp: SessionDescription
    private var level = SourceLevel.idle

    init(path: Path, sdp: SessionDescription, isThere: Bool) {
        self.path = path
        self.sdp = sdp
        self.isThere = isThere
    }

    func want(_ level: SourceLevel) {
        let before = self.level
        self.level = level
        guard isThere, level > before else { return }
        path.eventLoop.assumeIsolated().execute { [self] in
            guard self.level >= level else { return }
            _ = try? path.sourceDescribed(sdp)
            guard level == .playing else { return }
            path.mediaBegins()
            path.sourcePlays()
        }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) { done() }
}
