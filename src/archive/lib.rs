//! Zips in and out, safely.
