import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// Where in a file a player begins. Blocking, but for ``locate(_:on:)``.
extension WindowsMediaFile {
    /// How far back a picture is looked for that can be entered at.
    static let lookBackBytesMax = 16 << 20
    private static let lookBackBytes = 256 << 10

    /// The packet with which a Play at that position begins; off the event loop.
    func locate(_ position: WMSPPosition, on eventLoop: any EventLoop) -> EventLoopFuture<UInt32> {
        switch position {
        case .beginning: return eventLoop.makeSucceededFuture(0)
        case .packet(let number):
            return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { [self] in
                try entry(before: UInt32(clamping: number), presentationMax: .max)
            }
        case .time(let milliseconds):
            return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { [self] in try entry(at: milliseconds) }
        }
    }

    /// The packet in which the last picture begins that can be entered at and is not later than that time, without the preroll.
    func entry(at milliseconds: UInt32) throws(Trouble) -> UInt32 {
        // Packets are sent about a preroll before they are shown: by their send times one comes near, and a little beyond.
        var low: UInt32 = 0, high = packetCount
        while low < high {
            let middle = low + (high - low) / 2
            if try sendTime(of: middle) <= milliseconds { low = middle + 1 } else { high = middle }
        }
        let preroll = header.file.prerollMilliseconds
        return try entry(before: min(low, packetCount - 1), presentationMax: milliseconds > .max - preroll ? .max : milliseconds + preroll)
    }

    /// The same at or before a packet; 0 when there is none within reach.
    private func entry(before packet: UInt32, presentationMax: UInt32) throws(Trouble) -> UInt32 {
        let size = header.packetBytes
        let video = header.keyFrameStreams
        var last = min(packet, packetCount - 1)
        let first = last - min(last, UInt32(clamping: Self.lookBackBytesMax / size))
        let step = UInt32(clamping: max(Self.lookBackBytes / size, 1))
        while true {
            let start = last - min(last - first, step - 1)
            let bytes = try read(packets: start..<(last + 1))
            for index in stride(from: bytes.count / size - 1, through: 0, by: -1) {
                let part = Array(bytes[(index * size)..<((index + 1) * size)])
                if isEntry(part, video: video, presentationMax: presentationMax) { return start + UInt32(index) }
            }
            guard start > first else { return first == 0 ? 0 : packet }
            last = start - 1
        }
    }

    private func isEntry(_ bytes: [UInt8], video: ASFStreamSet, presentationMax: UInt32) -> Bool {
        guard let packet = try? ASFPacket(bytes.span, packetBytes: header.packetBytes) else { return false }
        var payloads = ASFPayloads(packet)
        while let payload = try? payloads.next(in: bytes.span) {
            guard payload.isEntry(keyFrameStreams: video), video.isEmpty || video.contains(payload.stream) else { continue }
            if payload.presentationTime ?? 0 <= presentationMax { return true }
        }
        return false
    }

    private func sendTime(of packet: UInt32) throws(Trouble) -> UInt32 {
        let bytes = try read(packets: packet..<(packet + 1))
        return (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime ?? 0
    }
}
