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
        // What the two planes say to each other, and the bytes both know.
        .target(name: "PlaneLink", swiftSettings: settings),
        .target(name: "WireFormats", swiftSettings: settings),
        .testTarget(name: "WireFormatsTests", dependencies: ["WireFormats"], swiftSettings: settings),
        .testTarget(name: "PlaneLinkTests", dependencies: ["PlaneLink"], swiftSettings: settings),
    ]
)
