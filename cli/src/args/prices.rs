//! `tagfleet prices`: what it takes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct PricesOptions {
    #[command(subcommand)]
    pub(crate) command: PricesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// Show what AWS charges, as far as it is known: each price with its source, age and confidence
    Show(ShowPricesOptions),
    /// Ask AWS what it charges, list and spot prices, and write a price book
    Refresh(RefreshPricesOptions),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowPricesOptions {
    /// Only this region; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Vec<String>,
    /// Lay this price book over the one that is built in
    #[arg(long, value_name = "FILE")]
    pub(crate) book: Option<PathBuf>,
    /// Print as JSON, in the form of a price book
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RefreshPricesOptions {
    /// A region to ask for; may be given several times [default: all of the built-in book; with --stack the stack's]
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Vec<String>,
    /// One more instance type to ask for; may be given several times
    #[arg(long, value_name = "TYPE")]
    pub(crate) instance_type: Vec<String>,
    /// Put the book into the bucket of this stack, whose runs are priced by it from then on
    #[arg(long, value_name = "NAME", required_unless_present = "out")]
    pub(crate) stack: Option<String>,
    /// Write the book to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    pub(crate) profile: Option<String>,
    /// Where AWS is, instead of its own endpoints
    #[arg(long, value_name = "URL", help_heading = "AWS")]
    pub(crate) endpoint_url: Option<String>,
}
