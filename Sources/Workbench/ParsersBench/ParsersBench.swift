import CBareLoops
import WireFormats

/// One parser's figures.
package struct ParserFigure: Sendable {
    /// What is parsed.
    package let name: String
    /// CPU time per call, nanoseconds: the least of several rounds, since everything that disturbs adds.
    package let nanosecondsPerCall: Double
    /// Bytes of the input.
    package let bytes: Int
}

/// How long the parsers of the wire formats take, on typical input.
package struct ParsersBench {
    /// Measures each for about `seconds`.
    package static func run(seconds: Double = 0.2) throws(WorkbenchError) -> [ParserFigure] {
        guard seconds > 0, seconds <= 60 else { throw .usage("--duration \(seconds): above 0 and at most 60 seconds for each parser") }
        return [
            try figure("rtsp_request", ParserInput.request, seconds) { bytes in
                var parser = RTSPParser()
                parser.append(bytes)
                guard case .request(let request)? = try? parser.next() else { return nil }
                return request.headers.count
            },
            try figure("sdp", ParserInput.description, seconds) { bytes in (try? SessionDescription(bytes))?.media.count },
            try figure("rtp_header", ParserInput.packet, seconds) { bytes in (try? RTPHeader(bytes.span))?.payloadLength },
            try figure("rtcp_compound", ParserInput.reports, seconds) { bytes in
                var compound = RTCPCompound()
                var packets = 0
                while let packet = try? compound.next(in: bytes.span) { packets += packet.contentLength }
                return packets
            },
            try figure("h264_frame_marks", ParserInput.payload, seconds) { bytes in
                Int(frameMarks(codec: .h264, payload: bytes.span).rawValue)
            },
        ]
    }

    /// `{"rtsp_request":{"ns_per_op":…,"bytes":…},…}`.
    package static func json(_ figures: [ParserFigure]) -> JSONValue {
        .object(
            figures.map { figure in
                .init(
                    name: figure.name,
                    value: .members(["ns_per_op": .number(figure.nanosecondsPerCall), "bytes": .integer(Int64(figure.bytes))]))
            })
    }

    private static let rounds = 5

    /// `call` gives something that depends on all its work, so that nothing of it is left out; nil when it failed.
    @inline(never)
    private static func figure(
        _ name: String, _ input: [UInt8], _ seconds: Double, _ call: ([UInt8]) -> Int?
    ) throws(WorkbenchError) -> ParserFigure {
        var sum = 0
        func run(_ count: Int) throws(WorkbenchError) -> Double {
            let start = bare_thread_cpu_ns()
            for _ in 0..<count {
                guard let value = call(input) else { throw WorkbenchError("the benchmark's own \(name) does not parse") }
                sum &+= value
            }
            return Double(bare_thread_cpu_ns() - start)
        }
        // How many calls make a round.
        var count = 16
        while try run(count) < seconds * 1e9 / Double(rounds) / 4, count < 1 << 30 { count *= 2 }
        var least = Double.infinity
        for _ in 0..<rounds { least = min(least, try run(count) / Double(count)) }
        guard sum != Int.min else { throw WorkbenchError("unreachable sum") }
        return ParserFigure(name: name, nanosecondsPerCall: least, bytes: input.count)
    }
}
