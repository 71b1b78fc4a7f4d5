import CFastPath
import FastPath

/// A counter as C knows it: its number, which stays the same for ever, and its name.
struct CounterName: Sendable {
    let number: UInt32
    let name: StaticString

    init(_ number: Int, _ name: StaticString) {
        self.number = UInt32(truncatingIfNeeded: number)
        self.name = name
    }
}

/// A family of counters that C may name. The switches below are exhaustive: a counter that C cannot name does not compile.
protocol NamedCounter: CaseIterable, Sendable {
    var inC: CounterName { get }
}

extension EngineCounter: NamedCounter {
    var inC: CounterName {
        switch self {
        case .packetsReceived: CounterName(FP_COUNTER_PACKETS_RECEIVED, "packets_received")
        case .bytesReceived: CounterName(FP_COUNTER_BYTES_RECEIVED, "bytes_received")
        case .packetsSent: CounterName(FP_COUNTER_PACKETS_SENT, "packets_sent")
        case .bytesSent: CounterName(FP_COUNTER_BYTES_SENT, "bytes_sent")
        case .sendsSubmitted: CounterName(FP_COUNTER_SENDS_SUBMITTED, "sends_submitted")
        case .datagramsForeign: CounterName(FP_COUNTER_DATAGRAMS_FOREIGN, "datagrams_foreign")
        case .datagramsMalformed: CounterName(FP_COUNTER_DATAGRAMS_MALFORMED, "datagrams_malformed")
        case .datagramsOversize: CounterName(FP_COUNTER_DATAGRAMS_OVERSIZE, "datagrams_oversize")
        case .framesUnknownChannel: CounterName(FP_COUNTER_FRAMES_UNKNOWN_CHANNEL, "frames_unknown_channel")
        case .packetsBeforeKeyFrame: CounterName(FP_COUNTER_PACKETS_BEFORE_KEY_FRAME, "packets_before_key_frame")
        case .packetsBeforeSplice: CounterName(FP_COUNTER_PACKETS_BEFORE_SPLICE, "packets_before_splice")
        case .ringOverruns: CounterName(FP_COUNTER_RING_OVERRUNS, "ring_overruns")
        case .packetsOverrun: CounterName(FP_COUNTER_PACKETS_OVERRUN, "packets_overrun")
        case .sendsDeferred: CounterName(FP_COUNTER_SENDS_DEFERRED, "sends_deferred")
        case .packetsDroppedNoRoom: CounterName(FP_COUNTER_PACKETS_DROPPED_NO_ROOM, "packets_dropped_no_room")
        case .trainsRefused: CounterName(FP_COUNTER_TRAINS_REFUSED, "trains_refused")
        case .packetsRefused: CounterName(FP_COUNTER_PACKETS_REFUSED, "packets_refused")
        case .shortWrites: CounterName(FP_COUNTER_SHORT_WRITES, "short_writes")
        case .readersStalled: CounterName(FP_COUNTER_READERS_STALLED, "readers_stalled")
        case .readersConnectionLost: CounterName(FP_COUNTER_READERS_CONNECTION_LOST, "readers_connection_lost")
        case .readersQueueFull: CounterName(FP_COUNTER_READERS_QUEUE_FULL, "readers_queue_full")
        case .readersTooSlow: CounterName(FP_COUNTER_READERS_TOO_SLOW, "readers_too_slow")
        case .packetsOverPolicy: CounterName(FP_COUNTER_PACKETS_OVER_POLICY, "packets_over_policy")
        case .joinBursts: CounterName(FP_COUNTER_JOIN_BURSTS, "join_bursts")
        case .pacedTurns: CounterName(FP_COUNTER_PACED_TURNS, "paced_turns")
        case .handovers: CounterName(FP_COUNTER_HANDOVERS, "handovers")
        case .packetsLogPinned: CounterName(FP_COUNTER_PACKETS_LOG_PINNED, "packets_log_pinned")
        case .zcSent: CounterName(FP_COUNTER_ZC_SENT, "zc_sent")
        case .zcCopied: CounterName(FP_COUNTER_ZC_COPIED, "zc_copied")
        case .zcPending: CounterName(FP_COUNTER_ZC_PENDING, "zc_pending")
        case .receiveBuffersExhausted: CounterName(FP_COUNTER_RECEIVE_BUFFERS_EXHAUSTED, "receive_buffers_exhausted")
        case .completionOverflows: CounterName(FP_COUNTER_COMPLETION_OVERFLOWS, "completion_overflows")
        case .staleCommands: CounterName(FP_COUNTER_STALE_COMMANDS, "stale_commands")
        case .reportsDropped: CounterName(FP_COUNTER_REPORTS_DROPPED, "reports_dropped")
        case .turns: CounterName(FP_COUNTER_TURNS, "turns")
        case .systemCalls: CounterName(FP_COUNTER_SYSTEM_CALLS, "system_calls")
        case .fanOutNanoseconds: CounterName(FP_COUNTER_FAN_OUT_NANOSECONDS, "fan_out_nanoseconds")
        case .fanOuts: CounterName(FP_COUNTER_FAN_OUTS, "fan_outs")
        case .packetsFragmented: CounterName(FP_COUNTER_PACKETS_FRAGMENTED, "packets_fragmented")
        case .packetsOversize: CounterName(FP_COUNTER_PACKETS_OVERSIZE, "packets_oversize")
        case .packetsOverDatagram: CounterName(FP_COUNTER_PACKETS_OVER_DATAGRAM, "packets_over_datagram")
        case .packetsBehindCut: CounterName(FP_COUNTER_PACKETS_BEHIND_CUT, "packets_behind_cut")
        case .parameterSetsTooLong: CounterName(FP_COUNTER_PARAMETER_SETS_TOO_LONG, "parameter_sets_too_long")
        case .packetsResent: CounterName(FP_COUNTER_PACKETS_RESENT, "packets_resent")
        case .resendsTooLate: CounterName(FP_COUNTER_RESENDS_TOO_LATE, "resends_too_late")
        case .resendsRefused: CounterName(FP_COUNTER_RESENDS_REFUSED, "resends_refused")
        case .storedReads: CounterName(FP_COUNTER_STORED_READS, "stored_reads")
        case .storedReadBytes: CounterName(FP_COUNTER_STORED_READ_BYTES, "stored_read_bytes")
        case .storedReadNanoseconds: CounterName(FP_COUNTER_STORED_READ_NANOSECONDS, "stored_read_nanoseconds")
        case .storedBlocksShared: CounterName(FP_COUNTER_STORED_BLOCKS_SHARED, "stored_blocks_shared")
        case .storedReadsFailed: CounterName(FP_COUNTER_STORED_READS_FAILED, "stored_reads_failed")
        case .storedBlocksShort: CounterName(FP_COUNTER_STORED_BLOCKS_SHORT, "stored_blocks_short")
        case .storedReadsOverdue: CounterName(FP_COUNTER_STORED_READS_OVERDUE, "stored_reads_overdue")
        case .storedReadersOverdue: CounterName(FP_COUNTER_STORED_READERS_OVERDUE, "stored_readers_overdue")
        }
    }
}

extension StreamCounter: NamedCounter {
    var inC: CounterName {
        switch self {
        case .packetsReceived: CounterName(FP_STREAM_COUNTER_PACKETS_RECEIVED, "packets_received")
        case .bytesReceived: CounterName(FP_STREAM_COUNTER_BYTES_RECEIVED, "bytes_received")
        case .packetsSent: CounterName(FP_STREAM_COUNTER_PACKETS_SENT, "packets_sent")
        case .bytesSent: CounterName(FP_STREAM_COUNTER_BYTES_SENT, "bytes_sent")
        case .readersLive: CounterName(FP_STREAM_COUNTER_READERS_LIVE, "readers_live")
        case .ringOverruns: CounterName(FP_STREAM_COUNTER_RING_OVERRUNS, "ring_overruns")
        case .packetsDropped: CounterName(FP_STREAM_COUNTER_PACKETS_DROPPED, "packets_dropped")
        case .lastArrivalNanoseconds: CounterName(FP_STREAM_COUNTER_LAST_ARRIVAL_NANOSECONDS, "last_arrival_nanoseconds")
        case .epochs: CounterName(FP_STREAM_COUNTER_EPOCHS, "epochs")
        case .packetsLogged: CounterName(FP_STREAM_COUNTER_PACKETS_LOGGED, "packets_logged")
        case .slateFrames: CounterName(FP_STREAM_COUNTER_SLATE_FRAMES, "slate_frames")
        case .slatePackets: CounterName(FP_STREAM_COUNTER_SLATE_PACKETS, "slate_packets")
        case .clockSteps: CounterName(FP_STREAM_COUNTER_CLOCK_STEPS, "clock_steps")
        case .reportsUnusable: CounterName(FP_STREAM_COUNTER_REPORTS_UNUSABLE, "reports_unusable")
        case .framesCut: CounterName(FP_STREAM_COUNTER_FRAMES_CUT, "frames_cut")
        case .prefacePackets: CounterName(FP_STREAM_COUNTER_PREFACE_PACKETS, "preface_packets")
        case .picturesNotHeld: CounterName(FP_STREAM_COUNTER_PICTURES_NOT_HELD, "pictures_not_held")
        case .packetsResent: CounterName(FP_STREAM_COUNTER_PACKETS_RESENT, "packets_resent")
        }
    }
}

extension TrackCounter: NamedCounter {
    var inC: CounterName {
        switch self {
        case .packets: CounterName(FP_TRACK_COUNTER_PACKETS, "packets")
        case .bytes: CounterName(FP_TRACK_COUNTER_BYTES, "bytes")
        case .sequenceHighest: CounterName(FP_TRACK_COUNTER_SEQUENCE_HIGHEST, "sequence_highest")
        case .expected: CounterName(FP_TRACK_COUNTER_EXPECTED, "expected")
        case .receivedInEpoch: CounterName(FP_TRACK_COUNTER_RECEIVED_IN_EPOCH, "received_in_epoch")
        case .jitter: CounterName(FP_TRACK_COUNTER_JITTER, "jitter")
        case .ssrc: CounterName(FP_TRACK_COUNTER_SSRC, "ssrc")
        case .sequenceOut: CounterName(FP_TRACK_COUNTER_SEQUENCE_OUT, "sequence_out")
        case .timestampOut: CounterName(FP_TRACK_COUNTER_TIMESTAMP_OUT, "timestamp_out")
        case .lastSenderReport: CounterName(FP_TRACK_COUNTER_LAST_SENDER_REPORT, "last_sender_report")
        case .lastSenderReportArrival: CounterName(FP_TRACK_COUNTER_LAST_SENDER_REPORT_ARRIVAL, "last_sender_report_arrival")
        case .keyFrames: CounterName(FP_TRACK_COUNTER_KEY_FRAMES, "key_frames")
        case .timestampStep: CounterName(FP_TRACK_COUNTER_TIMESTAMP_STEP, "timestamp_step")
        case .senderReportOut: CounterName(FP_TRACK_COUNTER_SENDER_REPORT_OUT, "sender_report_out")
        case .senderReportOutAt: CounterName(FP_TRACK_COUNTER_SENDER_REPORT_OUT_AT, "sender_report_out_at")
        case .packetBytesMax: CounterName(FP_TRACK_COUNTER_PACKET_BYTES_MAX, "packet_bytes_max")
        case .packetsFragmented: CounterName(FP_TRACK_COUNTER_PACKETS_FRAGMENTED, "packets_fragmented")
        case .packetsOversize: CounterName(FP_TRACK_COUNTER_PACKETS_OVERSIZE, "packets_oversize")
        }
    }
}
