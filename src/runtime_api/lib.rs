//! What a function sees from inside: the Runtime API.
