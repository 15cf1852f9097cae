//! Listeners, limits, request ids, drain, errors into responses.
