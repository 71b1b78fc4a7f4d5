/// Handles, limits, policies and addresses are shared with the control plane: whoever embeds the fast path needs one import.
@_exported import PlaneLink
