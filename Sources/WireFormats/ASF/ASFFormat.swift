/// The format of an audio stream: a WAVEFORMATEX.
///
///     codec u16 | channels u16 | samples/s u32 | bytes/s u32 | block align u16 | bits u16 | extra count u16 | extra
package struct ASFAudioFormat: Sendable, Hashable {
    /// The codec's format tag: 0x0161 is WMA 9.
    package var codec: UInt16
    package var channels: UInt16
    /// Hz.
    package var sampleRate: UInt32
    package var bytesPerSecond: UInt32
    package var blockAlign: UInt16
    package var bitsPerSample: UInt16
    /// What the codec needs beside.
    package var extra: [UInt8]

    /// The format in a stream's type-specific data; nil when that has fewer than 16 bytes.
    package init?(_ data: [UInt8]) {
        guard data.count >= 16 else { return nil }
        let bytes = data.span
        codec = bytes.loadLittle16(0)
        channels = bytes.loadLittle16(2)
        sampleRate = bytes.loadLittle32(4)
        bytesPerSecond = bytes.loadLittle32(8)
        blockAlign = bytes.loadLittle16(12)
        bitsPerSample = bytes.loadLittle16(14)
        extra = data.count >= 18 ? Array(data[18..<min(18 + Int(bytes.loadLittle16(16)), data.count)]) : []
    }

    /// The codec, for people.
    package var codecName: String {
        switch codec {
        case 0x0001: "PCM"
        case 0x0002: "MS ADPCM"
        case 0x0006: "A-law"
        case 0x0007: "mu-law"
        case 0x000A, 0x000B: "WMA Voice"
        case 0x0011: "IMA ADPCM"
        case 0x0050: "MP2"
        case 0x0055: "MP3"
        case 0x00FF, 0x1600, 0x1610, 0x706D: "AAC"
        case 0x0130: "Sipro ACELP"
        case 0x0160: "WMA1"
        case 0x0161: "WMA2"
        case 0x0162: "WMA Pro"
        case 0x0163: "WMA Lossless"
        case 0x0164: "WMA Pro over S/PDIF"
        case 0x2000: "AC-3"
        default: "audio 0x" + String(codec, radix: 16)
        }
    }
}

/// The format of a video stream: a few bytes, and a BITMAPINFOHEADER.
///
///     width u32 | height u32 | 2 | size u16 | { size u32 | width i32 | height i32 | planes u16 | bits u16 | FOURCC | 20 bytes | extra }
package struct ASFVideoFormat: Sendable, Hashable {
    /// Picture size in pixels as coded; a negative height (top line first) is given without its sign.
    package var width: UInt32
    package var height: UInt32
    package var bitsPerPixel: UInt16
    /// The codec, its first letter the lowest byte.
    package var fourCC: UInt32
    /// What the codec needs beside.
    package var extra: [UInt8]

    /// The format in a stream's type-specific data; nil when that has fewer than 51 bytes.
    package init?(_ data: [UInt8]) {
        guard data.count >= 51 else { return nil }
        let bytes = data.span
        width = bytes.loadLittle32(15)
        height = Int32(bitPattern: bytes.loadLittle32(19)).magnitude
        bitsPerPixel = bytes.loadLittle16(25)
        fourCC = bytes.loadLittle32(27)
        // Both sizes are wrong in what some muxers write; what is there counts.
        let end = min(11 + Int(bytes.loadLittle16(9)), data.count)
        extra = end > 51 ? Array(data[51..<end]) : []
    }

    /// The codec's four letters; those that cannot be printed in hexadecimal.
    package var codecName: String {
        var name = ""
        for shift in [UInt32(0), 8, 16, 24] {
            let byte = UInt8(truncatingIfNeeded: fourCC >> shift)
            if byte > 0x20, byte < 0x7F {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            } else if byte != 0x20 {
                return "video 0x" + String(fourCC, radix: 16)
            }
        }
        return name.isEmpty ? "video 0x" + String(fourCC, radix: 16) : name
    }
}
