import Glibc
import PlaneLink
import WireFormats

/// Parameter sets that pass by in the stream are shown to the control plane, for descriptions that lack them or have others.
///
/// The sets that come before a picture belong together: they are collected in the track's box of the ``ParameterSetMailbox`` and handed over
/// with the picture's first data, when they differ from the last ones. Packets that hold none cost nothing.
extension Worker where K: ~Copyable {
    /// Whether a report that may be lost would not be.
    var canReportLossy: Bool { reports.count * 2 <= reports.capacity }

    /// Looks through a payload that holds parameter sets, or follows one that did.
    mutating func learnParameterSets(_ stream: Int, _ track: Int, _ sequence: UInt16, _ payload: Span<UInt8>) {
        let codec = streams[stream].state.tracks[track].keyFrames
        guard codec == .h264 || codec == .h265, streams[stream].state.parameterSets.isEmpty(track) else {
            streams[stream].state.tracks[track].setBytes = 0
            streams[stream].state.tracks[track].isSetOpen = false
            return
        }
        if streams[stream].state.tracks[track].isSetOpen, sequence != streams[stream].state.tracks[track].setSequence &+ 1 {
            dropOpenSet(stream, track)
        }
        streams[stream].state.tracks[track].setSequence = sequence
        var parts = NALParts(codec: codec, payload: payload)
        while let part = parts.part(of: payload) {
            if part.isParameterSet(codec) {
                unsafe collect(stream, track, part, payload)
            } else if part.isPicture(codec) {
                finishParameterSets(stream, track)
                return
            }
        }
    }

    private func dropOpenSet(_ stream: Int, _ track: Int) {
        streams[stream].state.tracks[track].setBytes = streams[stream].state.tracks[track].setOpenAt
        streams[stream].state.tracks[track].isSetOpen = false
    }

    @unsafe private func collect(_ stream: Int, _ track: Int, _ part: NALParts.Part, _ payload: Span<UInt8>) {
        let box = unsafe streams[stream].state.parameterSets.box(track)
        if part.isFirst {
            if streams[stream].state.tracks[track].isSetOpen { dropOpenSet(stream, track) }
            streams[stream].state.tracks[track].setOpenAt = streams[stream].state.tracks[track].setBytes
            streams[stream].state.tracks[track].isSetOpen = true
            streams[stream].state.tracks[track].setBytes += 2
        }
        guard streams[stream].state.tracks[track].isSetOpen else { return }
        let start = Int(streams[stream].state.tracks[track].setBytes)
        let end = start + part.headerCount + part.end - part.start
        // Room for the next one's length is kept.
        guard end + 2 <= ParameterSetMailbox.bytesMax else {
            counters.add(.parameterSetsTooLong)
            return dropOpenSet(stream, track)
        }
        var place = start
        while place - start < part.headerCount {
            let byte = UInt8(truncatingIfNeeded: part.header >> UInt16(8 * (1 - (place - start))))
            unsafe box.storeBytes(of: byte, toByteOffset: place, as: UInt8.self)
            place += 1
        }
        var index = part.start
        while index < part.end {
            unsafe box.storeBytes(of: payload[index], toByteOffset: place, as: UInt8.self)
            index += 1
            place += 1
        }
        streams[stream].state.tracks[track].setBytes = UInt16(truncatingIfNeeded: end)
        guard part.isLast else { return }
        let opened = Int(streams[stream].state.tracks[track].setOpenAt)
        unsafe box.storeBytes(of: UInt16(truncatingIfNeeded: end - opened - 2).bigEndian, toByteOffset: opened, as: UInt16.self)
        streams[stream].state.tracks[track].isSetOpen = false
    }

    /// The picture begins: what was collected is whole.
    private mutating func finishParameterSets(_ stream: Int, _ track: Int) {
        if streams[stream].state.tracks[track].isSetOpen { dropOpenSet(stream, track) }
        let count = Int(streams[stream].state.tracks[track].setBytes)
        streams[stream].state.tracks[track].setBytes = 0
        guard count > 0 else { return }
        let hash = unsafe Self.hash(streams[stream].state.parameterSets.box(track), count)
        // With the queue of reports half full nobody may hear of it: the next key frame brings it again.
        guard hash != streams[stream].state.tracks[track].setHash, canReportLossy else { return }
        streams[stream].state.tracks[track].setHash = hash
        streams[stream].state.parameterSets.fill(track, count: count)
        report(.parameterSets(streams[stream].state.handle, track: UInt8(truncatingIfNeeded: track)))
    }

    /// FNV-1a, never 0.
    @unsafe private static func hash(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var index = 0
        while index < count {
            hash = (hash ^ UInt64(unsafe bytes.load(fromByteOffset: index, as: UInt8.self))) &* 0x0000_0100_0000_01B3
            index += 1
        }
        return hash | 1
    }
}
