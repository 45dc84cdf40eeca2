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
    /// Show known AWS prices with their source, age and grade
    Show(ShowPricesOptions),
    /// Get list and spot prices from AWS and write a price file
    Refresh(RefreshPricesOptions),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowPricesOptions {
    /// Only this region; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Vec<String>,
    /// Price file that overrides built-in prices
    #[arg(long, value_name = "FILE")]
    pub(crate) book: Option<PathBuf>,
    /// Print as JSON, in the form of a price book
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RefreshPricesOptions {
    /// A region to ask for; may be given several times [default: all of the built-in book; with --stack the
    /// stack's]
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Vec<String>,
    /// One more instance type to ask for; may be given several times
    #[arg(long, value_name = "TYPE")]
    pub(crate) instance_type: Vec<String>,
    #[command(flatten)]
    pub(crate) target: PricesTarget,
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    pub(crate) profile: Option<String>,
    /// Where AWS is, instead of its own endpoints
    #[arg(long, value_name = "URL", help_heading = "AWS")]
    pub(crate) endpoint_url: Option<String>,
}

/// Where new prices go. A group, so that an error names both options.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = true)]
pub(crate) struct PricesTarget {
    /// Save the prices in this stack's bucket; its runs use them
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// Write the book to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
