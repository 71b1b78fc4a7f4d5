import WireFormats

/// Looks at the ASF packets of an RTP session (MS-RTSP).
struct ASFStreamProbe {
    private let header: ASFHeader
    private var scan: ASFScan
    private var receiver: ASFRTPReceiver
    private var account = SequenceAccount()
    private var sequenceLast: UInt16?
    private var packets = 0

    /// For what the description says; throws where its header cannot be read.
    init(_ description: MSRTSPDescription) throws(WorkbenchError) {
        do throws(ASFHeaderError) { header = try description.asfHeader() } catch {
            throw WorkbenchError("the ASF header in the description: \(error)")
        }
        scan = ASFScan(header: header)
        receiver = ASFRTPReceiver(packetBytes: header.packetBytes, isPadded: true)
    }

    /// Takes an RTP packet. What is none is left out, and so is what comes out of order: it counts as lost.
    mutating func take(_ bytes: Span<UInt8>) {
        guard let head = try? RTPHeader(bytes) else { return }
        account.take(head.sequence)
        if let last = sequenceLast {
            guard SequenceArithmetic.distance(from: last, to: head.sequence) > 0 else { return }
            if head.sequence != last &+ 1 { receiver.gap() }
        }
        sequenceLast = head.sequence
        receiver.take(
            bytes.extracting(head.payloadOffset..<head.payloadEnd), timestamp: head.timestamp, marker: head.marker
        ) { packet in
            scan.take(packet.bytes.span, number: packets)
            packets += 1
        }
    }

    func report(
        source: String, transport: String, server: String?, _ description: MSRTSPDescription, seconds: Double
    ) -> WMSPProbeReport {
        let metadata = WMSPMetadata(
            playlistGenID: nil, features: description.features.wmsp, descriptions: description.contentDescriptions)
        return WMSPProbeReport(
            source: source, transport: transport, server: server, features: description.features.wmsp, header: header, metadata: metadata,
            scan: scan, lost: account.lost, headers: 1, seconds: seconds, ended: nil)
    }
}
