//! Systems whose terminals keep what is typed by themselves.

pub(super) fn hold() {}

pub(super) fn before_reading() {}

pub(super) fn after_reading() {}

pub(super) fn release(_flush: bool) {}

pub(super) fn lend() -> bool {
    false
}

pub(super) fn take_back() {}
