// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath

/// The counters of a family in the order of their numbers.
struct CounterTable<Counter: NamedCounter>: Sendable {
    private let counters: [Counter]

    init() { counters = Counter.allCases.sorted { $0.inC.number < $1.inC.number } }

    var count: Int { counters.count }

    /// The counter of a number, or nil.
    subscript(number: UInt32) -> Counter? {
        guard let place = Int(exactly: number), place < counters.count else { return nil }
        return counters[place]
    }

    func name(_ number: UInt32) -> StaticString? { self[number]?.inC.name }

    func number(_ name: UnsafePointer<CChar>) -> Int32? {
        for counter in counters {
            let text = counter.inC.name
            if unsafe isEqual(text, name) { return Int32(truncatingIfNeeded: counter.inC.number) }
        }
        return nil
    }

    private func isEqual(_ text: StaticString, _ name: UnsafePointer<CChar>) -> Bool {
        for place in 0..<text.utf8CodeUnitCount {
            // The terminating zero of a shorter name differs from every character of the text.
            if unsafe UInt8(bitPattern: name[place]) != text.utf8Start[place] { return false }
        }
        return unsafe name[text.utf8CodeUnitCount] == 0
    }
}

let engineCounters = CounterTable<EngineCounter>()
let streamCounters = CounterTable<StreamCounter>()
let trackCounters = CounterTable<TrackCounter>()

@c @implementation public func fp_counter(
    _ engine: OpaquePointer?, _ counter: UInt32, _ value: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    // No `call`: other threads may be here, and the last error belongs to the engine's own.
    guard let box = unsafe EngineBox.of(engine), let value = unsafe value, let counter = engineCounters[counter] else {
        return code(FP_ERROR_ARGUMENT)
    }
    unsafe value.pointee = box.splitter.counters[counter]
    return code(FP_OK)
}

@c @implementation public func fp_stream_counter(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ counter: UInt32, _ value: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    unsafe call(engine) { box throws in
        guard let value = unsafe value else { throw Failure(argument: "value is NULL") }
        guard let counter = streamCounters[counter] else {
            throw Failure(argument: "stream counter \(counter) is none of 0 to \(streamCounters.count - 1)")
        }
        unsafe value.pointee = try box.counters(of: stream)[counter]
    }
}

@c @implementation public func fp_track_counter(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ track: UInt32, _ counter: UInt32, _ value: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    unsafe call(engine) { box throws in
        guard let value = unsafe value else { throw Failure(argument: "value is NULL") }
        guard let counter = trackCounters[counter] else {
            throw Failure(argument: "track counter \(counter) is none of 0 to \(trackCounters.count - 1)")
        }
        guard track < UInt32(FP_TRACKS_MAX) else { throw Failure(argument: "track \(track) is none of 0 to \(FP_TRACKS_MAX - 1)") }
        unsafe value.pointee = try box.counters(of: stream)[Int(track), counter]
    }
}

@c @implementation public func fp_counter_count(_ family: UInt32) -> Int32 {
    switch Int(family) {
    case FP_COUNTERS_ENGINE: Int32(truncatingIfNeeded: engineCounters.count)
    case FP_COUNTERS_STREAM: Int32(truncatingIfNeeded: streamCounters.count)
    case FP_COUNTERS_TRACK: Int32(truncatingIfNeeded: trackCounters.count)
    default: code(FP_ERROR_ARGUMENT)
    }
}

@c @implementation public func fp_counter_name(_ family: UInt32, _ counter: UInt32) -> UnsafePointer<CChar>? {
    switch Int(family) {
    case FP_COUNTERS_ENGINE: unsafe engineCounters.name(counter).map { unsafe text($0) }
    case FP_COUNTERS_STREAM: unsafe streamCounters.name(counter).map { unsafe text($0) }
    case FP_COUNTERS_TRACK: unsafe trackCounters.name(counter).map { unsafe text($0) }
    default: nil
    }
}

@c @implementation public func fp_counter_find(_ family: UInt32, _ name: UnsafePointer<CChar>?) -> Int32 {
    guard let name = unsafe name else { return code(FP_ERROR_ARGUMENT) }
    let number =
        switch Int(family) {
        case FP_COUNTERS_ENGINE: unsafe engineCounters.number(name)
        case FP_COUNTERS_STREAM: unsafe streamCounters.number(name)
        case FP_COUNTERS_TRACK: unsafe trackCounters.number(name)
        default: Int32?.none
        }
    return number ?? code(FP_ERROR_ARGUMENT)
}
