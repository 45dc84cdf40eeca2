//! The whole AWS path on the emulator: the real template, the real functions, real worker processes, the real
//! command.

mod budget;
mod denied;
mod faults;
mod manifests;
mod metering;
mod operator;
mod options;
mod planned;
mod policy;
mod reach;
mod reclaimed;
mod reference;
mod requests;
mod started;
mod whole;
