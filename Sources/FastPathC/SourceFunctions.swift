// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath
import Glibc

@c @implementation public func fp_source_add_udp(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ descriptor: Int32, _ channel: UInt32, _ peer: UnsafePointer<sockaddr>?,
    _ peer_length: socklen_t, _ source: UnsafeMutablePointer<fp_source>?
) -> Int32 {
    unsafe add(engine, source) { box throws in
        let (host, port) = try unsafe hostAndPort(peer, peer_length, "peer")
        return try box.splitter.addDatagramSource(
            try streamHandle(stream), descriptor: descriptor, channel: Int(channel), peer: host, port: port)
    }
}

@c @implementation public func fp_source_open_udp(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ channel: UInt32, _ local: UnsafePointer<sockaddr>?, _ local_length: socklen_t,
    _ source: UnsafeMutablePointer<fp_source>?
) -> Int32 {
    unsafe add(engine, source) { box throws in
        let (host, port) = try unsafe hostAndPort(local, local_length, "local")
        return try box.splitter.openDatagramSource(try streamHandle(stream), host: host, port: port, channel: Int(channel))
    }
}

@c @implementation public func fp_source_port(
    _ engine: OpaquePointer?, _ source: fp_source, _ port: UnsafeMutablePointer<UInt16>?
) -> Int32 {
    unsafe call(engine) { box throws in
        let place = try unsafe required(port, "port")
        guard let port = box.splitter.port(of: try sourceHandle(source)) else {
            throw Failure(FP_ERROR_STATE, "the source has no UDP socket, or is gone")
        }
        unsafe place.pointee = port
    }
}

@c @implementation public func fp_source_add_multicast(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ channel: UInt32, _ group: UnsafePointer<sockaddr>?, _ group_length: socklen_t,
    _ origin: UnsafePointer<sockaddr>?, _ origin_length: socklen_t, _ interface_name: UnsafePointer<CChar>?,
    _ source: UnsafeMutablePointer<fp_source>?
) -> Int32 {
    unsafe add(engine, source) { box throws in
        let (address, port) = try unsafe requiredHostAndPort(group, group_length, "group")
        let only = try unsafe origin == nil ? nil : hostAndPort(origin, origin_length, "origin").0
        let wanted = unsafe MulticastGroup(address: address, port: port, interface: string(interface_name), source: only)
        return try box.splitter.addMulticastSource(try streamHandle(stream), group: wanted, channel: Int(channel))
    }
}

@c @implementation public func fp_source_add_tcp(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ descriptor: Int32, _ channels: UnsafePointer<Int16>?, _ channel_count: Int,
    _ prefix: UnsafeRawPointer?, _ prefix_length: Int, _ source: UnsafeMutablePointer<fp_source>?
) -> Int32 {
    unsafe add(engine, source) { box throws in
        let map = try unsafe channelMap(channels, channel_count)
        guard (0...box.splitter.limits.interleavedBufferBytes).contains(prefix_length) else {
            throw Failure(argument: "prefix_length must be 0 to \(box.splitter.limits.interleavedBufferBytes)")
        }
        guard unsafe prefix != nil || prefix_length == 0 else { throw Failure(argument: "prefix is NULL, and prefix_length is not 0") }
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: prefix, count: prefix_length))
        return try box.splitter.addInterleavedSource(try streamHandle(stream), descriptor: descriptor, channels: map, prefix: bytes)
    }
}

@c @implementation public func fp_source_resume(_ engine: OpaquePointer?, _ source: fp_source, _ consumed: Int) -> Int32 {
    unsafe call(engine) { box throws in
        let handle = try sourceHandle(source)
        do { try box.splitter.resume(handle, consumed: consumed) } catch SplitterError.argument(name: "source", _) {
            throw Failure(FP_ERROR_STATE, "the source does not wait for an answer to FP_EVENT_SOURCE_TEXT")
        }
    }
}

@c @implementation public func fp_source_add_pushed(
    _ engine: OpaquePointer?, _ stream: fp_stream, _ source: UnsafeMutablePointer<fp_source>?
) -> Int32 {
    unsafe add(engine, source) { box throws in try box.splitter.addPushedSource(try streamHandle(stream)) }
}

@c @implementation public func fp_source_push(
    _ engine: OpaquePointer?, _ source: fp_source, _ channel: UInt32, _ packet: UnsafeRawPointer?, _ length: Int
) -> Int32 {
    unsafe call(engine) { box throws in
        guard let packet = unsafe packet else { throw Failure(argument: "packet is NULL") }
        guard (1...Splitter.packetBytesMax).contains(length) else {
            throw Failure(argument: "length is \(length), and must be 1 to \(Splitter.packetBytesMax)")
        }
        try unsafe box.splitter.push(
            try sourceHandle(source), channel: Int(channel), UnsafeRawBufferPointer(start: packet, count: length))
    }
}

@c @implementation public func fp_source_remove(_ engine: OpaquePointer?, _ source: fp_source) -> Int32 {
    unsafe call(engine) { box throws in try box.splitter.removeSource(try sourceHandle(source)) }
}

@unsafe private func add(
    _ engine: OpaquePointer?, _ source: UnsafeMutablePointer<fp_source>?, _ make: (EngineBox) throws -> SourceHandle
) -> Int32 {
    unsafe call(engine) { box throws in
        let place = try unsafe required(source, "source")
        let id = inC(try make(box))
        box.began(id)
        unsafe place.pointee = id
    }
}
