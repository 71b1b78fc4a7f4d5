import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// Where a player begins in what is not all here.
extension ObjectFill: PacketSupply {
    func locate(
        _ position: WMSPPosition, streams: ASFStreamSet,
        _ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void
    ) {
        if position == .beginning { return begin(done) }
        if let found = seekHere(position, streams) {
            return found.assumeIsolated().whenComplete { [weak self] result in
                if case .success(let beginning?) = result { return done(.success(beginning)) }
                self?.ask(position, done)
            }
        }
        ask(position, done)
    }

    /// The beginning, with the time of its first packet.
    private func begin(_ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void) {
        let reader = SupplyReader()
        want(0..<min(64, end), for: reader) { [self] result in
            left(reader)
            var beginning = WindowsMediaFile.Beginning(packet: 0)
            beginning.milliseconds = 0
            guard case .success(let range) = result, !range.isEmpty else {
                return done(result.map { _ in beginning })
            }
            let packets = packets, header = header, known = beginning
            read { () -> WindowsMediaFile.Beginning in
                var beginning = known
                let bytes = try packets.read(at: Int64(header.bytes.count), count: header.packetBytes)
                beginning.sendTime = (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime
                return beginning
            }.assumeIsolated().whenComplete { result in done(.success((try? result.get()) ?? known)) }
        }
    }

    private func read<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) -> EventLoopFuture<Value> {
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop, body)
    }

    /// Looks for a position in what is here from the beginning on, where it certainly lies in there.
    private func seekHere(_ position: WMSPPosition, _ streams: ASFStreamSet) -> EventLoopFuture<WindowsMediaFile.Beginning?>? {
        let run = here.run(from: 0)
        guard !run.isEmpty else { return nil }
        let packets = packets, header = header
        let file = ASFFile(header: header, fileBytes: UInt64(header.bytes.count) + UInt64(run.count) * UInt64(header.packetBytes))
        return read {
            func bytes(offset: UInt64, count: Int) -> [UInt8] { (try? packets.read(at: Int64(clamping: offset), count: count)) ?? [] }
            func sendTime(_ packet: Int) -> UInt32? {
                let bytes = bytes(offset: file.offset(ofPacket: packet), count: header.packetBytes)
                return (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime
            }
            let seek = ASFSeek(file: file, index: nil)
            let found: ASFSeek.Start
            switch position {
            case .beginning: return nil
            case .packet(let number):
                guard number < UInt64(run.upperBound) else { return nil }
                found = seek.start(atPacket: Int(clamping: number), streams: streams, bytes)
            case .time(let milliseconds):
                // What is here has to go on behind it, or the last packet that is here may not be the one.
                guard let last = sendTime(run.upperBound - 1),
                    UInt64(last) > UInt64(milliseconds) + UInt64(header.file.prerollMilliseconds)
                else { return nil }
                found = seek.start(atMilliseconds: UInt64(milliseconds), streams: streams, bytes)
            }
            var beginning = WindowsMediaFile.Beginning(packet: UInt32(clamping: found.packet))
            beginning.sendTime = sendTime(found.packet)
            if let time = found.presentationTime ?? beginning.sendTime {
                beginning.milliseconds = UInt64(time - min(time, header.file.prerollMilliseconds))
            }
            return beginning
        }
    }
}
