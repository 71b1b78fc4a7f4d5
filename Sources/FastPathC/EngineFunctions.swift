// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath

@c @implementation public func fp_engine_create(
    _ options: UnsafePointer<fp_options>?, _ engine: UnsafeMutablePointer<OpaquePointer?>?, _ why: UnsafeMutablePointer<CChar>?,
    _ why_size: Int
) -> Int32 {
    unsafe engine?.pointee = nil
    do {
        let place = try unsafe required(engine, "engine")
        let wanted = try unsafe engineOptions(options)
        let box = EngineBox(try withSignalsBlocked { try Splitter(options: wanted) })
        unsafe place.pointee = OpaquePointer(Unmanaged.passRetained(box).toOpaque())
        if let why = unsafe why, why_size > 0 { unsafe why[0] = 0 }
        return code(FP_OK)
    } catch {
        let failure = (error as? Failure) ?? (error as? SplitterError).map(Failure.init) ?? Failure(FP_ERROR_STATE, "\(error)")
        if let why = unsafe why, why_size > 0 { unsafe TextBuffer.copy(failure.detail, to: why, room: why_size) }
        return failure.code
    }
}

@c @implementation public func fp_engine_shutdown(_ engine: OpaquePointer?) -> Int32 {
    unsafe call(engine) { box throws in box.splitter.shutdown() }
}

@c @implementation public func fp_engine_free(_ engine: OpaquePointer?) {
    guard let engine = unsafe engine else { return }
    // An engine that has not ended does so on a thread of its own.
    withSignalsBlocked { unsafe Unmanaged<EngineBox>.fromOpaque(UnsafeRawPointer(engine)).release() }
}

@c @implementation public func fp_backend(_ engine: OpaquePointer?) -> Int32 {
    guard let box = unsafe EngineBox.of(engine) else { return code(FP_ERROR_ARGUMENT) }
    return switch box.splitter.backend.name {
    case "io_uring": code(FP_BACKEND_IO_URING)
    case "epoll": code(FP_BACKEND_EPOLL)
    case "plain": code(FP_BACKEND_PLAIN)
    default: code(FP_ERROR_STATE)
    }
}

@c @implementation public func fp_backend_name(_ engine: OpaquePointer?) -> UnsafePointer<CChar>? {
    unsafe EngineBox.of(engine)?.backendName.pointer ?? text("")
}

@c @implementation public func fp_backend_reason(_ engine: OpaquePointer?) -> UnsafePointer<CChar>? {
    unsafe EngineBox.of(engine)?.backendReason.pointer ?? text("")
}

@c @implementation public func fp_engine_workers(_ engine: OpaquePointer?) -> Int32 {
    guard let box = unsafe EngineBox.of(engine) else { return code(FP_ERROR_ARGUMENT) }
    return Int32(truncatingIfNeeded: box.splitter.workerCount)
}

@c @implementation public func fp_engine_limits(_ engine: OpaquePointer?, _ limits: UnsafeMutablePointer<fp_limits>?) -> Int32 {
    unsafe call(engine) { box throws in try unsafe write(limitsInC(box.splitter.limits), to: try required(limits, "limits")) }
}

// MARK: Options

@unsafe private func engineOptions(_ options: UnsafePointer<fp_options>?) throws(Failure) -> EngineOptions {
    guard let options = unsafe options else { return EngineOptions() }
    let wanted = try unsafe read(options)
    var result = EngineOptions()
    guard unsafe wanted.flags & ~FP_REQUIRE_IO_URING == 0, unsafe wanted.reserved == 0 else {
        throw Failure(argument: "options.flags sets something that this library does not know")
    }
    result.requireIOUring = unsafe wanted.flags & FP_REQUIRE_IO_URING != 0
    switch unsafe Int(wanted.backend) {
    case FP_BACKEND_AUTO: result.backend = nil
    case FP_BACKEND_IO_URING: result.backend = .ioUring
    case FP_BACKEND_EPOLL: result.backend = .epoll
    case FP_BACKEND_PLAIN:
        guard let plain = BackendName(rawValue: "plain") else { throw Failure(FP_ERROR_BACKEND, "this library has no backend `plain`") }
        result.backend = plain
    default: throw Failure(argument: "options.backend is \(unsafe wanted.backend), and none of FP_BACKEND_...")
    }
    switch unsafe Int(wanted.zero_copy) {
    case FP_ZERO_COPY_AUTO: result.zeroCopy = .auto
    case FP_ZERO_COPY_OFF: result.zeroCopy = .off
    case FP_ZERO_COPY_ON: result.zeroCopy = .on
    default: throw Failure(argument: "options.zero_copy is \(unsafe wanted.zero_copy), and none of FP_ZERO_COPY_...")
    }
    switch unsafe wanted.workers {
    case 0: result.workers = 1
    case FP_WORKERS_PER_PROCESSOR: result.workers = min(Processors.usable, Limits.workersMax)
    default: result.workers = unsafe Int(wanted.workers)
    }
    if let limits = unsafe wanted.limits { result.limits = unsafe limitsInSwift(try read(limits)) }
    return result
}

private func limitsInSwift(_ limits: fp_limits) -> Limits {
    var result = Limits()
    func set(_ field: inout Int, _ value: UInt64) { if value != 0 { field = Int(clamping: value) } }
    set(&result.streamsMax, UInt64(limits.streams_max))
    set(&result.sourcesMax, UInt64(limits.sources_max))
    set(&result.subscribersMax, UInt64(limits.readers_max))
    set(&result.packetLogBytesMax, limits.packet_log_bytes_max)
    set(&result.bitRateDefault, limits.bit_rate_default)
    set(&result.windowMilliseconds, UInt64(limits.window_milliseconds))
    set(&result.delayMicrosecondsMax, UInt64(limits.delay_microseconds_max))
    if limits.delay_microseconds_max == FP_NO_DELAY { result.delayMicrosecondsMax = 0 }
    if limits.write_stall_nanoseconds != 0 { result.writeStallNanoseconds = limits.write_stall_nanoseconds }
    if limits.sender_silence_nanoseconds != 0 { result.senderSilenceNanoseconds = limits.sender_silence_nanoseconds }
    set(&result.queuedSendsMax, UInt64(limits.queued_sends_max))
    set(&result.interleavedBufferBytes, UInt64(limits.interleaved_buffer_bytes))
    set(&result.datagramBuffers, UInt64(limits.datagram_buffers))
    set(&result.datagramBufferBytes, UInt64(limits.datagram_buffer_bytes))
    return result
}

private func limitsInC(_ limits: Limits) -> fp_limits {
    var result = fp_limits()
    result.streams_max = UInt32(clamping: limits.streamsMax)
    result.sources_max = UInt32(clamping: limits.sourcesMax)
    result.readers_max = UInt32(clamping: limits.subscribersMax)
    result.packet_log_bytes_max = UInt64(clamping: limits.packetLogBytesMax)
    result.bit_rate_default = UInt64(clamping: limits.bitRateDefault)
    result.window_milliseconds = UInt32(clamping: limits.windowMilliseconds)
    result.delay_microseconds_max = limits.delayMicrosecondsMax == 0 ? FP_NO_DELAY : UInt32(clamping: limits.delayMicrosecondsMax)
    result.write_stall_nanoseconds = limits.writeStallNanoseconds
    result.sender_silence_nanoseconds = limits.senderSilenceNanoseconds
    result.queued_sends_max = UInt32(clamping: limits.queuedSendsMax)
    result.interleaved_buffer_bytes = UInt32(clamping: limits.interleavedBufferBytes)
    result.datagram_buffers = UInt32(clamping: limits.datagramBuffers)
    result.datagram_buffer_bytes = UInt32(clamping: limits.datagramBufferBytes)
    return result
}
