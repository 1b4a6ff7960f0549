//! Drives whole stages in temporary folders.
