// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath

@c @implementation public func fp_stream_add(
    _ engine: OpaquePointer?, _ config: UnsafePointer<fp_stream_config>?, _ stream: UnsafeMutablePointer<fp_stream>?
) -> Int32 {
    unsafe call(engine) { box throws in
        let place = try unsafe required(stream, "stream")
        guard let config = unsafe config else { throw Failure(argument: "config is NULL") }
        let id = inC(try box.splitter.addStream(try configuration(try unsafe read(config))))
        box.began(id)
        unsafe place.pointee = id
    }
}

@c @implementation public func fp_stream_remove(_ engine: OpaquePointer?, _ stream: fp_stream) -> Int32 {
    unsafe call(engine) { box throws in try box.splitter.removeStream(try streamHandle(stream)) }
}

@c @implementation public func fp_stream_begin_epoch(_ engine: OpaquePointer?, _ stream: fp_stream) -> Int32 {
    unsafe call(engine) { box throws in try box.splitter.beginEpoch(try streamHandle(stream)) }
}

// MARK: Configuration

private func configuration(_ config: fp_stream_config) throws(Failure) -> StreamConfiguration {
    guard (1...UInt32(FP_TRACKS_MAX)).contains(config.track_count) else {
        throw Failure(argument: "config.track_count is \(config.track_count), and must be 1 to \(FP_TRACKS_MAX)")
    }
    guard config.flags & ~FP_NO_JOIN_BURST == 0, config.reserved == 0 else {
        throw Failure(argument: "config.flags sets something that this library does not know")
    }
    var tracks: [TrackPlan] = []
    let places = config.tracks
    let all = [places.0, places.1, places.2, places.3, places.4, places.5, places.6, places.7]
    for (number, track) in all.prefix(Int(config.track_count)).enumerated() { tracks.append(try plan(track, number)) }
    return StreamConfiguration(
        tracks: tracks, bitRate: config.bit_rate == 0 ? nil : Int(clamping: config.bit_rate),
        windowMilliseconds: config.window_milliseconds == 0 ? nil : Int(config.window_milliseconds), policy: try policy(config))
}

private func plan(_ track: fp_track, _ number: Int) throws(Failure) -> TrackPlan {
    guard track.reserved == 0 else { throw Failure(argument: "config.tracks[\(number)].reserved is not 0") }
    let codec: TrackCodec
    switch Int(track.codec) {
    case FP_CODEC_OPAQUE: codec = .opaque
    case FP_CODEC_H264: codec = .h264
    case FP_CODEC_H265: codec = .h265
    case FP_CODEC_AV1: codec = .av1
    case FP_CODEC_VP8: codec = .vp8
    case FP_CODEC_VP9: codec = .vp9
    case FP_CODEC_MPEG4_PART2: codec = .mpeg4Part2
    case FP_CODEC_MPEG12_VIDEO: codec = .mpeg12Video
    case FP_CODEC_JPEG: codec = .jpeg
    case FP_CODEC_MP2T: codec = .mp2t
    default: throw Failure(argument: "config.tracks[\(number)].codec is \(track.codec), and none of FP_CODEC_...")
    }
    let ssrc = track.ssrc != 0 ? track.ssrc : UInt32.random(in: 1...UInt32.max)
    return TrackPlan(clockRate: track.clock_rate, codec: codec, ssrc: ssrc)
}

private func policy(_ config: fp_stream_config) throws(Failure) -> StreamPolicy {
    var policy = StreamPolicy()
    switch Int(config.pacing) {
    case FP_PACING_ADAPTIVE: policy.pacing = .adaptive
    case FP_PACING_OFF: policy.pacing = .off
    case FP_PACING_FIXED: policy.pacing = .fixed(bitsPerSecond: config.pacing_bit_rate)
    default: throw Failure(argument: "config.pacing is \(config.pacing), and none of FP_PACING_...")
    }
    if config.flags & FP_ORIGIN_CLOCK != 0 { policy.clock = .origin }
    if config.flags & FP_NO_JOIN_BURST != 0 {
        policy.joinBurst = nil
    } else {
        var burst = JoinBurst()
        if config.join_burst_nanoseconds != 0 { burst.nanosecondsMax = config.join_burst_nanoseconds }
        if config.join_burst_bytes != 0 { burst.bytesMax = config.join_burst_bytes }
        if config.join_burst_speed_tenths != 0 { burst.speedTenths = config.join_burst_speed_tenths }
        policy.joinBurst = burst
    }
    policy.overload = try overloadPolicy(config.overload, config.overload_nanoseconds, "config.overload")
    policy.lagNanosecondsMax = config.lag_nanoseconds
    policy.lagBytesMax = config.lag_bytes
    return policy
}

func overloadPolicy(_ overload: UInt32, _ nanoseconds: UInt64, _ name: String) throws(Failure) -> OverloadPolicy {
    switch Int(overload) {
    case FP_OVERLOAD_DEFAULT, FP_OVERLOAD_SKIP_TO_KEY_FRAME: .skipToKeyFrame
    case FP_OVERLOAD_DROP_OLDEST: .dropOldest
    case FP_OVERLOAD_DISCONNECT: .disconnect(afterNanoseconds: nanoseconds)
    default: throw Failure(argument: "\(name) is \(overload), and none of FP_OVERLOAD_...")
    }
}
