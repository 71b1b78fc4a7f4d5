// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath

@c @implementation public func fp_event_fd(_ engine: OpaquePointer?) -> Int32 {
    unsafe EngineBox.of(engine)?.splitter.eventDescriptor ?? code(FP_ERROR_ARGUMENT)
}

@c @implementation public func fp_flush(_ engine: OpaquePointer?) -> Int32 {
    unsafe call(engine) { box throws in box.splitter.flush() }
}

@c @implementation public func fp_next_event(_ engine: OpaquePointer?, _ event: UnsafeMutablePointer<fp_event>?) -> Int32 {
    var isThere = false
    let result = unsafe call(engine) { box throws in
        let place = try unsafe required(event, "event")
        // Before the event is taken: one that cannot be told must not be lost.
        _ = try unsafe size(of: UnsafePointer(place))
        box.forgetText()
        guard let next = box.splitter.nextEvent() else { return }
        isThere = true
        try unsafe write(eventInC(next, box), to: place)
    }
    return result == code(FP_OK) && isThere ? 1 : result
}

@unsafe private func eventInC(_ event: SplitterEvent, _ box: EngineBox) -> fp_event {
    var result = unsafe fp_event()
    func about(_ type: Int, _ id: fp_id) {
        unsafe result.type = UInt32(truncatingIfNeeded: type)
        unsafe result.id = id
        unsafe result.user = box.user(of: id)
    }
    func ends(_ type: Int, _ id: fp_id) {
        unsafe result.type = UInt32(truncatingIfNeeded: type)
        unsafe result.id = id
        unsafe result.user = box.ended(id)
    }
    switch event {
    case .readerJoined(let reader, let point):
        about(FP_EVENT_READER_JOINED, inC(reader))
        unsafe result.starts = starts(point)
    case .readerFailed(let reader, let failure):
        about(FP_EVENT_READER_FAILED, inC(reader))
        unsafe result.reason = reason(failure)
    case .readerLagged(let reader, let cause, let packets):
        about(FP_EVENT_READER_LAGGED, inC(reader))
        unsafe result.reason = reason(cause)
        unsafe result.packets = packets
    case .readerRemoved(let reader): ends(FP_EVENT_READER_REMOVED, inC(reader))
    case .sourceActive(let source): about(FP_EVENT_SOURCE_ACTIVE, inC(source))
    case .sourceText(let source, let text):
        about(FP_EVENT_SOURCE_TEXT, inC(source))
        unsafe result.text = box.keepText(text)
        unsafe result.text_length = text.count
    case .sourceEnded(let source, let errorNumber):
        about(FP_EVENT_SOURCE_ENDED, inC(source))
        unsafe result.error_number = errorNumber
    case .sourceRemoved(let source): ends(FP_EVENT_SOURCE_REMOVED, inC(source))
    case .senderReport(let stream, let track, let ssrc, let ntp, let rtpTime):
        about(FP_EVENT_SENDER_REPORT, inC(stream))
        unsafe result.track = UInt32(truncatingIfNeeded: track)
        unsafe result.ssrc = ssrc
        unsafe result.ntp = ntp
        unsafe result.rtp_time = rtpTime
    case .sourceBye(let stream, let track):
        about(FP_EVENT_SOURCE_BYE, inC(stream))
        unsafe result.track = UInt32(truncatingIfNeeded: track)
    case .streamRemoved(let stream): ends(FP_EVENT_STREAM_REMOVED, inC(stream))
    case .senderRemoved(let sender): ends(FP_EVENT_SENDER_REMOVED, inC(sender))
    case .refused(let refusal, let errorNumber):
        unsafe result.type = UInt32(FP_EVENT_REFUSED)
        unsafe result.reason = reason(refusal)
        unsafe result.error_number = errorNumber
    case .stopped(let leaks):
        unsafe result.type = UInt32(FP_EVENT_STOPPED)
        unsafe result.leaks = leaks
    }
    return unsafe result
}

private func starts(_ point: JoinPoint) -> (fp_start, fp_start, fp_start, fp_start, fp_start, fp_start, fp_start, fp_start) {
    func start(_ track: Int) -> fp_start {
        let start = point[track]
        return fp_start(timestamp: start.timestamp, sequence: start.sequence, is_known: start.isKnown ? 1 : 0)
    }
    return (start(0), start(1), start(2), start(3), start(4), start(5), start(6), start(7))
}

private func reason(_ failure: SubscriberFailure) -> UInt32 {
    switch failure {
    case .stalled: UInt32(FP_FAILURE_STALLED)
    case .connectionLost: UInt32(FP_FAILURE_CONNECTION_LOST)
    case .queueFull: UInt32(FP_FAILURE_QUEUE_FULL)
    case .tooSlow: UInt32(FP_FAILURE_TOO_SLOW)
    }
}

private func reason(_ cause: LagCause) -> UInt32 {
    switch cause {
    case .socketFull: UInt32(FP_LAG_SOCKET_FULL)
    case .ringOverrun: UInt32(FP_LAG_RING_OVERRUN)
    case .policy: UInt32(FP_LAG_POLICY)
    case .kernelRefusal: UInt32(FP_LAG_REFUSED)
    }
}

private func reason(_ refusal: EngineRefusal) -> UInt32 {
    switch refusal {
    case .registerFailed: UInt32(FP_REFUSAL_REGISTER)
    case .ringFailed: UInt32(FP_REFUSAL_RING)
    case .wrongKind: UInt32(FP_REFUSAL_KIND)
    }
}
