extension ASFVideoFormat {
    /// Whether a picture is a key frame by its own first bits, for streams whose key bits cannot be believed (VLC sets it on all). `data` is the
    /// beginning of a media object, its first 16 bytes or more. Nil where the codec does not say that soon.
    package func isKeyPicture(_ data: Span<UInt8>) -> Bool? {
        guard data.count > 0 else { return nil }
        switch codecName.uppercased() {
        case "MP42", "DIV2", "MP43", "DIV3", "DIV4", "DIV5", "DIV6", "MPG3", "COL0", "COL1", "AP41", "WMV1":
            return data[0] >> 6 == 0
        case "WMV2": return data[0] >> 7 == 0
        case "MPG4", "MP41", "DIV1":
            // A start code, five bits of frame number, two of type.
            guard data.count >= 5, data.load32(0) == 0x100 else { return nil }
            return data[4] >> 1 & 3 == 0
        case "WMV3": return isSimpleVC1Key(data)
        case "WVC1", "WMVA":
            // The sequence header stands before every key frame; other frames begin with themselves.
            guard data.count >= 4, data.load32(0) >> 8 == 1 else { return nil }
            return data[3] == 0x0F || data[3] == 0x0E
        case "MP4S", "M4S2", "MP4V", "DIVX", "XVID", "DX50", "FMP4":
            for index in 0..<max(data.count &- 4, 0) where data.load32(index) == 0x1B6 { return data[index &+ 4] >> 6 == 0 }
            return nil
        case "H264", "X264", "AVC1", "DAVC":
            for index in 0..<max(data.count &- 3, 0) where data.load32(index) >> 8 == 1 {
                switch data[index &+ 3] & 0x1F {
                case 5, 7: return true
                case 1: return false
                default: continue
                }
            }
            return nil
        case "MJPG", "JPEG": return true
        default: return nil
        }
    }

    /// SMPTE 421M annex J.1 (the sequence header, which is the codec's extra data) and 7.1.1.4 (the picture's type).
    private func isSimpleVC1Key(_ data: Span<UInt8>) -> Bool? {
        guard extra.count >= 4 else { return nil }
        let hasRange = extra[3] & 0x80 != 0, hasB = extra[3] & 0x70 != 0, hasInterpolation = extra[3] & 0x02 != 0
        var bit = 2 &+ (hasInterpolation ? 1 : 0) &+ (hasRange ? 1 : 0)
        func isSet(_ bit: Int) -> Bool { data[0] << UInt8(bit) & 0x80 != 0 }
        if isSet(bit) { return false }
        guard hasB else { return true }
        bit = bit &+ 1
        return isSet(bit)
    }
}
