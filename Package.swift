// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of Weir is built with.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "weir",
    products: [
    ],
    dependencies: [
    ],
    targets: [
        .target(name: "WireFormats", swiftSettings: settings),
        .testTarget(name: "WireFormatsTests", dependencies: ["WireFormats"], swiftSettings: settings),
    ]
)
