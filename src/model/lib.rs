//! The words of the domain, parsed once and valid ever after.
