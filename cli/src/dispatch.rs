//! The function of each command.
//!
//! It only wires.

use crate::args::Command;
use crate::exit::{Exit, Failure};
use crate::{analysis, fit, fleet, inspect, plan, prices, report, run, shell, show, tagger_process};

pub(crate) fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(options) => run::run(&options),
        Command::Plan(options) => plan::plan(&options),
        Command::Inspect(options) => inspect::inspect(&options),
        Command::Fit(options) => fit::fit(&options),
        Command::Show(options) => show::show(&options),
        Command::Evaluate(options) => analysis::evaluate::evaluate(&options),
        Command::Diff(options) => analysis::diff::diff(&options),
        Command::Prices(options) => prices::prices(&options),
        Command::Report(options) => report::report(&options),
        Command::Completions(options) => shell::completions(&options),
        Command::Man(options) => shell::man(&options),
        Command::TaggerProcess => tagger_process::serve(),
        Command::Fleet(command) => fleet::run(&command),
    }
}
