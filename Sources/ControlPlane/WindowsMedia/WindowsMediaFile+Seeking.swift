import NIOCore
import Signalling
import WireFormats

/// Where in a file a player begins.
extension WindowsMediaFile {
    /// The packet with which a Play of these streams at that position begins; the file is read off the event loop.
    func locate(_ position: WMSPPosition, streams: ASFStreamSet, on eventLoop: any EventLoop) -> EventLoopFuture<UInt32> {
        if position == .beginning { return eventLoop.makeSucceededFuture(0) }
        if !isWhole, let supply { return found(position, streams, supply, eventLoop).map(\.packet) }
        return onThread(eventLoop) { [self] in
            UInt32(clamping: start(position, streams: streams).packet)
        }
    }

    /// Where a Play begins, with what is known of it.
    struct Beginning: Sendable {
        var packet: UInt32
        /// When the packet is due, in milliseconds; nil where it cannot be read.
        var sendTime: UInt32?
        /// What is shown first, in milliseconds without the preroll.
        var milliseconds: UInt64?
    }

    /// The same with what is known of it.
    func beginning(_ position: WMSPPosition, streams: ASFStreamSet, on eventLoop: any EventLoop) -> EventLoopFuture<Beginning> {
        if !isWhole, let supply { return found(position, streams, supply, eventLoop) }
        return onThread(eventLoop) { [self] in
            let found = start(position, streams: streams)
            var beginning = Beginning(packet: UInt32(clamping: found.packet))
            if position == .beginning { beginning.milliseconds = 0 }
            if let bytes = try? read(packets: beginning.packet..<(beginning.packet &+ 1)), !bytes.isEmpty {
                beginning.sendTime = (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime
            }
            if position != .beginning, let time = found.presentationTime ?? beginning.sendTime {
                beginning.milliseconds = UInt64(time - min(time, header.file.prerollMilliseconds))
            }
            return beginning
        }
    }

    /// Where that is in what is not all here.
    private func found(
        _ position: WMSPPosition, _ streams: ASFStreamSet, _ supply: any PacketSupply, _ eventLoop: any EventLoop
    ) -> EventLoopFuture<Beginning> {
        let promise = eventLoop.makePromise(of: Beginning.self)
        supply.locate(position, streams: streams) { promise.completeWith($0.mapError { $0 }) }
        return promise.futureResult
    }

    /// What is known of a packet with which a player goes on.
    func goingOn(at packet: UInt32, on eventLoop: any EventLoop) -> EventLoopFuture<Beginning> {
        // What it would have to be waited for with is not known: it goes on behind what it was sent.
        if !isWhole { return eventLoop.makeSucceededFuture(Beginning(packet: packet)) }
        return onThread(eventLoop) { [self] in
            var beginning = Beginning(packet: packet)
            if let bytes = try? read(packets: packet..<(packet &+ 1)), !bytes.isEmpty {
                beginning.sendTime = (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime
            }
            beginning.milliseconds = beginning.sendTime.map { UInt64($0 - min($0, header.file.prerollMilliseconds)) }
            return beginning
        }
    }

    /// `X-StartupProfile` of these streams from that position on; nil when there is nothing to say. Read off the event loop.
    func startupProfile(_ wish: WMSPStartupWish, on eventLoop: any EventLoop) -> EventLoopFuture<String?> {
        // Nobody waits for the many packets that it would be made of.
        if !isWhole { return eventLoop.makeSucceededFuture(nil) }
        return onThread(eventLoop) { [self] in
            var profile = ASFStartupProfile(header, streams: wish.selection.streams, milliseconds: wish.milliseconds)
            var next = UInt32(clamping: start(wish.position, streams: wish.selection.streams).packet)
            var bytesLeft = Self.profileBytesMax
            while next < packetCount, bytesLeft > 0 {
                let block = try read(packets: next..<min(next + 64, packetCount))
                guard !block.isEmpty else { break }
                for index in 0..<(block.count / header.packetBytes) {
                    let packet = block.span.extracting((index * header.packetBytes)..<((index + 1) * header.packetBytes))
                    guard profile.take(packet) else { return profile.text }
                }
                next += 64
                bytesLeft -= block.count
            }
            return profile.text
        }
    }

    /// No profile looks at more of a file than this.
    private static let profileBytesMax = 16 << 20

    /// The same, with what it begins with; blocking.
    func start(_ position: WMSPPosition, streams: ASFStreamSet) -> ASFSeek.Start {
        let seek = ASFSeek(file: layout, index: index)
        // What cannot be read is not there: the player begins elsewhere, and hears of it when it plays.
        func read(offset: UInt64, count: Int) -> [UInt8] { (try? self.read(at: Int64(clamping: offset), count: count)) ?? [] }
        return switch position {
        case .beginning: ASFSeek.Start(packet: 0)
        case .packet(let number): seek.start(atPacket: Int(clamping: number), streams: streams, read)
        case .time(let milliseconds): seek.start(atMilliseconds: UInt64(milliseconds), streams: streams, read)
        }
    }
}
