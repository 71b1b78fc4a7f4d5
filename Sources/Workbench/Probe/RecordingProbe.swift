import Glibc
import WireFormats

/// Looks at an rtpdump file and the SDP beside it.
enum RecordingProbe {
    private static let dumpSuffix = ".rtpdump"
    private static let bytesMax = 1 << 30

    static func run(_ options: ProbeOptions) throws(WorkbenchError) -> ProbeReport {
        let name = options.source
        guard name.hasSuffix(dumpSuffix) else {
            throw .usage("\(name): neither an rtsp:// URL, nor a file that ends in \(dumpSuffix), nor an ASF file")
        }
        let sdpName = String(name.dropLast(dumpSuffix.count)) + ".sdp"
        let sdp = try read(sdpName)
        let dump = try read(name)
        let tracks = try ReaderDescription(sdp, base: "file").tracks
        var probes = tracks.map { TrackProbe(codec: $0.codec, clockRate: $0.clockRate) }
        var lastSeconds = 0.0
        do {
            var reader = try RTPDumpReader(dump.span)
            while let record = try reader.next(in: dump.span) {
                let seconds = Double(record.milliseconds) / 1_000
                guard seconds <= options.duration else { break }
                let bytes = dump.span.extracting(record.packetOffset..<(record.packetOffset + record.packetLength))
                // Which track a packet is of, only its payload type can say.
                guard !record.isRTCP, let header = try? RTPHeader(bytes),
                    let track = tracks.firstIndex(where: { $0.payloadType == header.payloadType })
                else { continue }
                probes[track].take(bytes, seconds: seconds)
                lastSeconds = max(lastSeconds, seconds)
            }
        } catch {
            throw WorkbenchError("\(name): \(error)")
        }
        return ProbeReport(
            source: name, transport: "file", duration: lastSeconds, tracks: zip(probes, tracks).map { $0.report($1) },
            description: String(decoding: sdp, as: UTF8.self))
    }

    private static func read(_ name: String) throws(WorkbenchError) -> [UInt8] {
        guard let file = unsafe fopen(name, "rb") else { throw WorkbenchError("cannot open \(name): \(errorText(errno))") }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            bytes += chunk[0..<count]
            guard bytes.count <= bytesMax else { throw WorkbenchError("\(name) is longer than \(bytesMax) bytes") }
        }
        guard unsafe ferror(file) == 0 else { throw WorkbenchError("cannot read \(name): \(errorText(errno))") }
        return bytes
    }
}
