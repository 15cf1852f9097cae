//! What operators see: function logs, metrics, traces.
