//! HTTP triggers: function URLs.
