//! Runtime images: which identifiers are served, by what tree, started how.
