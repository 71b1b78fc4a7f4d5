// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath
import Glibc

@c @implementation public func fp_reader_add_udp(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ sender: fp_sender, _ address: UnsafePointer<sockaddr>?, _ address_length: socklen_t,
    _ ports: UnsafePointer<UInt16>?, _ port_count: Int, _ begin: UInt32, _ reader: UnsafeMutablePointer<fp_reader>?
) -> Int32 {
    unsafe add(engine, reader) { box throws in
        let (host, port) = try unsafe requiredHostAndPort(address, address_length, "address")
        let (beginning, waits) = try beginning(begin)
        return try box.splitter.addDatagramReader(
            try streamHandle(stream), host: host, ports: try unsafe portMap(ports, port_count, first: port), sender: try senderID(sender),
            begin: beginning, waits: waits)
    }
}

@c @implementation public func fp_reader_add_tcp(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ descriptor: Int32, _ channels: UnsafePointer<Int16>?, _ channel_count: Int,
    _ begin: UInt32, _ reader: UnsafeMutablePointer<fp_reader>?
) -> Int32 {
    unsafe add(engine, reader) { box throws in
        let map = try unsafe channelMap(channels, channel_count)
        let (beginning, waits) = try beginning(begin)
        return try box.splitter.addInterleavedReader(
            try streamHandle(stream), descriptor: descriptor, channels: map, begin: beginning, waits: waits)
    }
}

@c @implementation public func fp_reader_start(_ engine: OpaquePointer?, _ reader: fp_reader) -> Int32 {
    unsafe call(engine) { box throws in
        let handle = try readerHandle(reader)
        do { try box.splitter.start(handle) } catch SplitterError.argument(name: "reader", _) {
            throw Failure(FP_ERROR_STATE, "the reader has not joined: FP_EVENT_READER_JOINED says so")
        }
    }
}

@c @implementation public func fp_reader_pause(_ engine: OpaquePointer?, _ reader: fp_reader) -> Int32 {
    unsafe call(engine) { box throws in try box.splitter.pause(try readerHandle(reader)) }
}

@c @implementation public func fp_reader_resume(_ engine: OpaquePointer?, _ reader: fp_reader, _ begin: UInt32) -> Int32 {
    unsafe call(engine) { box throws in
        let handle = try readerHandle(reader)
        let (beginning, waits) = try beginning(begin)
        guard !waits else {
            throw Failure(argument: "begin must be FP_BEGIN_KEY_FRAME or FP_BEGIN_NOW: whether it waits was said when it was added")
        }
        do { try box.splitter.resume(handle, begin: beginning) } catch SplitterError.argument(name: "reader", _) {
            throw Failure(FP_ERROR_STATE, "the reader is not paused")
        }
    }
}

@c @implementation public func fp_reader_set_overload(
    _ engine: OpaquePointer?, _ reader: fp_reader, _ overload: UInt32, _ nanoseconds: UInt64
) -> Int32 {
    unsafe call(engine) { box throws in
        try box.splitter.setOverload(try readerHandle(reader), try overloadPolicy(overload, nanoseconds, "overload"))
    }
}

@c @implementation public func fp_reader_send(
    _ engine: OpaquePointer?, _ reader: fp_reader, _ bytes: UnsafeRawPointer?, _ length: Int
) -> Int32 {
    unsafe call(engine) { box throws in
        guard let bytes = unsafe bytes else { throw Failure(argument: "bytes is NULL") }
        guard (1...Splitter.replyBytesMax).contains(length) else {
            throw Failure(argument: "length is \(length), and must be 1 to \(Splitter.replyBytesMax)")
        }
        try unsafe box.splitter.send(try readerHandle(reader), UnsafeRawBufferPointer(start: bytes, count: length))
    }
}

@c @implementation public func fp_reader_remove(_ engine: OpaquePointer?, _ reader: fp_reader) -> Int32 {
    unsafe call(engine) { box throws in try box.splitter.removeReader(try readerHandle(reader)) }
}

private func beginning(_ begin: UInt32) throws(Failure) -> (Beginning, waits: Bool) {
    let waits = begin & FP_BEGIN_WAITS != 0
    switch Int(begin & ~FP_BEGIN_WAITS) {
    case FP_BEGIN_KEY_FRAME: return (.keyFrame, waits)
    case FP_BEGIN_NOW: return (.now, waits)
    default: throw Failure(argument: "begin is \(begin), and none of FP_BEGIN_...")
    }
}

@unsafe private func add(
    _ engine: OpaquePointer?, _ reader: UnsafeMutablePointer<fp_reader>?, _ make: (EngineBox) throws -> SubscriberHandle
) -> Int32 {
    unsafe call(engine) { box throws in
        let place = try unsafe required(reader, "reader")
        let id = inC(try make(box))
        box.began(id)
        unsafe place.pointee = id
    }
}
