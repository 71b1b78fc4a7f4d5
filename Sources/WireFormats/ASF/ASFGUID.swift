/// What kind of thing an ASF object, stream or value is: 16 bytes, as they stand in the file (the first three numbers of the printed form have
/// their lowest byte first there).
package struct ASFGUID: Sendable, Hashable, BitwiseCopyable, CustomStringConvertible {
    /// Bytes 0–7, byte 0 the highest.
    package var first: UInt64
    /// Bytes 8–15, byte 8 the highest.
    package var last: UInt64

    /// From its bytes.
    package init(_ first: UInt64, _ last: UInt64) {
        self.first = first
        self.last = last
    }

    /// The 16 bytes at an offset that the caller has checked.
    package init(_ bytes: Span<UInt8>, at offset: Int) {
        first = UInt64(bytes.load32(offset)) << 32 | UInt64(bytes.load32(offset &+ 4))
        last = UInt64(bytes.load32(offset &+ 8)) << 32 | UInt64(bytes.load32(offset &+ 12))
    }

    /// Its 16 bytes.
    package var bytes: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? first : last) >> UInt64(56 - 8 * ($0 % 8))) }
    }

    /// The printed form: `75B22630-668E-11CF-A6D9-00AA0062CE6C`.
    package var description: String {
        let bytes = bytes
        let order = [3, 2, 1, 0, -1, 5, 4, -1, 7, 6, -1, 8, 9, -1, 10, 11, 12, 13, 14, 15]
        return order.map { index in
            guard index >= 0 else { return "-" }
            let text = String(bytes[index], radix: 16, uppercase: true)
            return text.utf8.count == 1 ? "0" + text : text
        }.joined()
    }

    /// What the specification calls it, or its printed form.
    package var name: String { Self.names[self] ?? description }
}

extension ASFGUID {
    // Objects of a file.
    package static let header = ASFGUID(0x3026_B275_8E66_CF11, 0xA6D9_00AA_0062_CE6C)
    package static let data = ASFGUID(0x3626_B275_8E66_CF11, 0xA6D9_00AA_0062_CE6C)
    package static let simpleIndex = ASFGUID(0x9008_0033_B1E5_CF11, 0x89F4_00A0_C903_49CB)
    package static let index = ASFGUID(0xD329_E2D6_DA35_D111, 0x9034_00A0_C903_49BE)
    package static let mediaObjectIndex = ASFGUID(0xF803_B1FE_AD12_644C, 0x840F_2A1D_2F7A_D48C)
    package static let timecodeIndex = ASFGUID(0xD03F_B73C_4A0C_0348, 0x953D_EDF7_B622_8F0C)

    // Children of the Header Object.
    package static let fileProperties = ASFGUID(0xA1DC_AB8C_47A9_CF11, 0x8EE4_00C0_0C20_5365)
    package static let streamProperties = ASFGUID(0x9107_DCB7_B7A9_CF11, 0x8EE6_00C0_0C20_5365)
    package static let headerExtension = ASFGUID(0xB503_BF5F_2EA9_CF11, 0x8EE3_00C0_0C20_5365)
    package static let codecList = ASFGUID(0x4052_D186_1D31_D011, 0xA3A4_00A0_C903_48F6)
    package static let scriptCommand = ASFGUID(0x301A_FB1E_620B_D011, 0xA39B_00A0_C903_48F6)
    package static let marker = ASFGUID(0x01CD_87F4_51A9_CF11, 0x8EE6_00C0_0C20_5365)
    package static let bitrateMutualExclusion = ASFGUID(0xDC29_E2D6_DA35_D111, 0x9034_00A0_C903_49BE)
    package static let errorCorrection = ASFGUID(0x3526_B275_8E66_CF11, 0xA6D9_00AA_0062_CE6C)
    package static let contentDescription = ASFGUID(0x3326_B275_8E66_CF11, 0xA6D9_00AA_0062_CE6C)
    package static let extendedContentDescription = ASFGUID(0x40A4_D0D2_07E3_D211, 0x97F0_00A0_C95E_A850)
    package static let streamBitrateProperties = ASFGUID(0xCE75_F87B_8D46_D111, 0x8D82_0060_97C9_A2B2)
    package static let contentBranding = ASFGUID(0xFAB3_1122_23BD_D211, 0xB4B7_00A0_C955_FC6E)
    package static let contentEncryption = ASFGUID(0xFBB3_1122_23BD_D211, 0xB4B7_00A0_C955_FC6E)
    package static let extendedContentEncryption = ASFGUID(0x14E6_8A29_2226_174C, 0xB935_DAE0_7EE9_289C)
    package static let digitalSignature = ASFGUID(0xFCB3_1122_23BD_D211, 0xB4B7_00A0_C955_FC6E)
    package static let padding = ASFGUID(0x74D4_0618_DFCA_0945, 0xA4BA_9AAB_CB96_AAE8)

    // Children of the Header Extension.
    package static let extendedStreamProperties = ASFGUID(0xCBA5_E614_72C6_3243, 0x8399_A969_5206_5B5A)
    package static let advancedMutualExclusion = ASFGUID(0xCF49_86A0_7547_7046, 0x8A16_6E35_3575_66CD)
    package static let groupMutualExclusion = ASFGUID(0x405A_46D1_795A_3843, 0xB71B_E36B_8FD6_C249)
    package static let streamPrioritization = ASFGUID(0x5BD1_FED4_D388_4F45, 0x81F0_ED5C_4599_9E24)
    package static let bandwidthSharing = ASFGUID(0xE609_96A6_7B51_D211, 0xB6AF_00C0_4FD9_08E9)
    package static let languageList = ASFGUID(0xA946_437C_E0EF_FC4B, 0xB229_393E_DE41_5C85)
    package static let metadata = ASFGUID(0xEACB_F8C5_AF5B_7748, 0x8467_AA8C_44FA_4CCA)
    package static let metadataLibrary = ASFGUID(0x941C_2344_9894_D149, 0xA141_1D13_4E45_7054)
    package static let indexParameters = ASFGUID(0xDF29_E2D6_DA35_D111, 0x9034_00A0_C903_49BE)
    package static let mediaObjectIndexParameters = ASFGUID(0xAD3B_206B_113F_E448, 0xACA8_D761_3DE2_CFA7)
    package static let timecodeIndexParameters = ASFGUID(0x6D49_5EF5_9797_5D4B, 0x8C8B_604D_FE9B_FB24)
    package static let compatibility = ASFGUID(0x5D8B_F126_8445_EC47, 0x9F5F_0E65_1F04_52C9)
    package static let advancedContentEncryption = ASFGUID(0x3385_0543_8169_E649, 0x9B74_AD12_CB86_D58C)

    // Kinds of streams.
    package static let audioMedia = ASFGUID(0x409E_69F8_4D5B_CF11, 0xA8FD_0080_5F5C_442B)
    package static let videoMedia = ASFGUID(0xC0EF_19BC_4D5B_CF11, 0xA8FD_0080_5F5C_442B)
    package static let commandMedia = ASFGUID(0xC0CF_DA59_E659_D011, 0xA3AC_00A0_C903_48F6)
    package static let jfifMedia = ASFGUID(0x00E1_1BB6_4E5B_CF11, 0xA8FD_0080_5F5C_442B)
    package static let degradableJPEGMedia = ASFGUID(0xE07D_9035_15E4_CF11, 0xA917_0080_5F5C_442B)
    package static let fileTransferMedia = ASFGUID(0x2C22_BD91_1CF2_7A49, 0x8B6D_5AA8_6BFC_0185)
    package static let binaryMedia = ASFGUID(0xE265_FB3A_EF47_F240, 0xAC2C_70A9_0D71_D343)

    // Kinds of error correction.
    package static let noErrorCorrection = ASFGUID(0x0057_FB20_555B_CF11, 0xA8FD_0080_5F5C_442B)
    package static let audioSpread = ASFGUID(0x50CD_C3BF_8F61_CF11, 0x8BB2_00AA_00B4_E220)

    // Values that stand where only one is allowed.
    package static let reserved1 = ASFGUID(0x11D2_D3AB_BAA9_CF11, 0x8EE6_00C0_0C20_5365)
    package static let reserved2 = ASFGUID(0x4152_D186_1D31_D011, 0xA3A4_00A0_C903_48F6)
    package static let reserved3 = ASFGUID(0xE3CB_1A4B_0B10_D011, 0xA39B_00A0_C903_48F6)
    package static let reserved4 = ASFGUID(0x20DB_FE4C_F675_CF11, 0x9C0F_00A0_C903_49CB)

    // Kinds of mutual exclusion.
    package static let mutexLanguage = ASFGUID(0x002A_E2D6_DA35_D111, 0x9034_00A0_C903_49BE)
    package static let mutexBitrate = ASFGUID(0x012A_E2D6_DA35_D111, 0x9034_00A0_C903_49BE)
    package static let mutexUnknown = ASFGUID(0x022A_E2D6_DA35_D111, 0x9034_00A0_C903_49BE)

    // What replicated data may hold behind its first eight bytes.
    package static let extensionTimecode = ASFGUID(0xEC95_9539_6786_2D4E, 0x8FDB_9881_4CE7_6C1E)
    package static let extensionFileName = ASFGUID(0x0EEC_65E1_ED19_D745, 0xB4A7_25CB_D1E2_8E9B)
    package static let extensionContentType = ASFGUID(0x20DC_90D5_BC07_6C43, 0x9CF7_F3BB_FBF1_A4DC)
    package static let extensionPixelAspectRatio = ASFGUID(0x54E5_1E1B_EAF9_C84B, 0x821A_376B_74E4_C4B8)
    package static let extensionSampleDuration = ASFGUID(0x5094_BDC6_7F86_0749, 0x83A3_C779_21B7_33AD)
    package static let extensionEncryptionSampleID = ASFGUID(0x4EB8_9866_FA0A_3043, 0xAEB2_1C0A_98D7_A44D)

    private static let names: [ASFGUID: String] = [
        .header: "Header Object",
        .data: "Data Object",
        .simpleIndex: "Simple Index",
        .index: "Index",
        .mediaObjectIndex: "Media Index",
        .timecodeIndex: "Timecode Index",
        .fileProperties: "File Properties",
        .streamProperties: "Stream Properties",
        .headerExtension: "Header Extension",
        .codecList: "Codec List",
        .scriptCommand: "Script Command",
        .marker: "Marker",
        .bitrateMutualExclusion: "Bitrate Mutual Exclusion",
        .errorCorrection: "Error Correction",
        .contentDescription: "Content Description",
        .extendedContentDescription: "Extended Content Description",
        .streamBitrateProperties: "Stream Bitrate Properties",
        .contentBranding: "Content Branding",
        .contentEncryption: "Content Encryption",
        .extendedContentEncryption: "Extended Content Encryption",
        .digitalSignature: "Digital Signature",
        .padding: "Padding",
        .extendedStreamProperties: "Extended Stream Properties",
        .advancedMutualExclusion: "Advanced Mutual Exclusion",
        .groupMutualExclusion: "Group Mutual Exclusion",
        .streamPrioritization: "Stream Prioritization",
        .bandwidthSharing: "Bandwidth Sharing",
        .languageList: "Language List",
        .metadata: "Metadata",
        .metadataLibrary: "Metadata Library",
        .indexParameters: "Index Parameters",
        .mediaObjectIndexParameters: "Media Index Parameters",
        .timecodeIndexParameters: "Timecode Index Parameters",
        .compatibility: "Compatibility",
        .advancedContentEncryption: "Advanced Content Encryption",
        .audioMedia: "Audio Media",
        .videoMedia: "Video Media",
        .commandMedia: "Command (script) Media",
        .jfifMedia: "JFIF Media",
        .degradableJPEGMedia: "Degradable JPEG Media",
        .fileTransferMedia: "File Transfer Media",
        .binaryMedia: "Binary Media",
        .noErrorCorrection: "No Error Correction",
        .audioSpread: "Audio Spread",
        .mutexLanguage: "Mutex Language",
        .mutexBitrate: "Mutex Bitrate",
        .mutexUnknown: "Mutex Unknown",
        .extensionTimecode: "Payload Extension Timecode",
        .extensionFileName: "Payload Extension File Name",
        .extensionContentType: "Payload Extension Content Type",
        .extensionPixelAspectRatio: "Payload Extension Pixel Aspect Ratio",
        .extensionSampleDuration: "Payload Extension Sample Duration",
        .extensionEncryptionSampleID: "Payload Extension Encryption Sample ID",
    ]
}
